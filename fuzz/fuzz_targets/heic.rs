//! HEIC files: `cargo +nightly fuzz run heic ../tests/data/formats ../tests/data/mutation`.
#![no_main]

mod shared;

use glimpse::domain::ImageFormat;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| shared::run(bytes, ImageFormat::Heic));
