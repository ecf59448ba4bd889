//! Does the work of a request in this process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{IsolatedFormat, Request};
use crate::imaging::ImageError;

/// Decodes a file in this process, which must be the helper (or a test of the decoders).
///
/// # Errors
/// Returns an error of the image. A panic of the decoder is one.
pub fn work(request: &Request<'_>) -> Result<Vec<u8>, ImageError> {
    let run = || match request.format {
        IsolatedFormat::Avif => avif(request),
        IsolatedFormat::Jxl => jxl(request),
    };
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(ImageError::corrupt(request.format.image_format(), "its decoder panicked")))
}

#[cfg(feature = "avif")]
fn avif(request: &Request<'_>) -> Result<Vec<u8>, ImageError> {
    use super::Output;
    use crate::imaging::avif;

    match request.output {
        Output::Pixels { times, .. } => Ok(avif::decode_here(request.bytes, times)?.finish_bytes()),
        // The profile is in the container, and is read without the helper.
        Output::Profile => Ok(Vec::new()),
    }
}

#[cfg(not(feature = "avif"))]
fn avif(_: &Request<'_>) -> Result<Vec<u8>, ImageError> {
    Err(ImageError::NotBuiltIn { name: "AVIF", feature: "avif" })
}

#[cfg(feature = "jxl")]
fn jxl(request: &Request<'_>) -> Result<Vec<u8>, ImageError> {
    use super::Output;
    use crate::imaging::jxl;

    match request.output {
        Output::Pixels { times, .. } => Ok(jxl::decode_here(request.bytes, times)?.finish_bytes()),
        Output::Profile => jxl::profile_here(request.bytes),
    }
}

#[cfg(not(feature = "jxl"))]
fn jxl(_: &Request<'_>) -> Result<Vec<u8>, ImageError> {
    Err(ImageError::NotBuiltIn { name: "JPEG XL", feature: "jxl" })
}
