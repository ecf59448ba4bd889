//! Whatever bytes come: no panic, no hang, and `prepare` and `decode_upright` agree on whether it is an image.
#![no_main]

use glimpse::domain::ExifLevel;
use glimpse::imaging::{Limits, Preprocessing, decode_upright, exif_facts, prepare};
use libfuzzer_sys::fuzz_target;

/// Small images that promise to be large cost time and no insight.
const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 20, max_decode_bytes: 1 << 25 };

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(exif_facts(bytes, ExifLevel::All).above_limit(), None);
    let is_image = decode_upright(bytes, &LIMITS).is_ok();
    // Every pixel for a large square; a half and a quarter of a JPEG's, and fewer of a WebP's, for small ones.
    for size in [32, 8, 4] {
        let prepared = prepare(bytes, &LIMITS, &Preprocessing::crop(size));
        assert_eq!(prepared.is_ok(), is_image, "to {size}: {:?}", prepared.err());
    }
});
