//! Metadata: an EXIF block, an XMP packet and IPTC in the segments of a JPEG, and whole files.
#![no_main]

use glimpse::domain::ExifLevel;
use glimpse::imaging::{exif_facts, exif_facts_of_head};
use libfuzzer_sys::fuzz_target;

const KINDS: [(u8, &[u8]); 3] =
    [(0xE1, b"Exif\0\0"), (0xE1, b"http://ns.adobe.com/xap/1.0/\0"), (0xED, b"Photoshop 3.0\0")];
/// The rest of a JPEG of one pixel, as far as its header is read.
const FRAME: &[u8] = b"\xFF\xC0\0\x0B\x08\0\x01\0\x01\x01\x01\x11\0\xFF\xDA";

fuzz_target!(|bytes: &[u8]| {
    for level in [ExifLevel::Basic, ExifLevel::All] {
        assert_eq!(exif_facts(bytes, level).above_limit(), None);
        let _ = exif_facts_of_head(bytes, level);
        for (marker, prefix) in KINDS {
            let Ok(length) = u16::try_from(bytes.len() + prefix.len() + 2) else { return };
            let file = [&[0xFF, 0xD8, 0xFF, marker][..], &length.to_be_bytes(), prefix, bytes, FRAME].concat();
            assert_eq!(exif_facts(&file, level).above_limit(), None);
        }
    }
});
