//! What the targets of the formats share.

use glimpse::domain::ImageFormat;
use glimpse::imaging::isolated::{self, DecodeHelper, Request};
use glimpse::imaging::{ImageError, Limits, Preprocessing, decode_upright, prepare, sniff, thumbnail};

/// Small images that promise to be large cost time and no insight.
const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 20, max_decode_bytes: 1 << 26 };

/// Decodes in this process, so that the fuzzer sees the decoder.
#[derive(Debug)]
struct InThisProcess;

impl DecodeHelper for InThisProcess {
    fn run(&self, request: &Request<'_>) -> Result<Vec<u8>, ImageError> {
        isolated::work(request)
    }
}

/// Decodes, prepares and makes a thumbnail of a file of this format: they agree on whether it is an image.
pub fn run(bytes: &[u8], format: ImageFormat) {
    if sniff(bytes) != Ok(format) {
        return;
    }
    isolated::install(InThisProcess);
    let is_image = decode_upright(bytes, &LIMITS).is_ok();
    // A small square needs few pixels, so that the image is reduced while it is decoded.
    for size in [32, 4] {
        let prepared = prepare(bytes, &LIMITS, &Preprocessing::crop(size));
        assert_eq!(prepared.is_ok(), is_image, "to {size}: {:?}", prepared.err());
    }
    assert_eq!(thumbnail(bytes, &LIMITS).is_ok(), is_image);
}
