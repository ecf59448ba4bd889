//! Whatever bytes come: no panic, no hang, and `prepare` and `picture` agree on whether it is a picture.
#![no_main]

use glimpse::imaging::{Limits, Preprocessing, picture, prepare};
use libfuzzer_sys::fuzz_target;

/// Small pictures that promise to be large cost time and no insight.
const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 20, max_decode_bytes: 1 << 25 };

fuzz_target!(|bytes: &[u8]| {
    let prepared = prepare(bytes, &LIMITS, &Preprocessing::crop(32));
    assert_eq!(prepared.is_ok(), picture(bytes, &LIMITS).is_ok());
});
