//! Converts the bytes of a file to the input of the model.

pub(crate) mod decoded_image;
pub(crate) mod region;
pub(crate) mod thumbnail;
pub(crate) mod upright;

use bytes::Bytes;

use crate::imaging::facts::header::read_facts;
use crate::imaging::{Decode, ImageError, Limits, Prepared, PreparedImage, Preprocessing, convert, signature};
use decoded_image::{DecodeTarget, DecodedImage};

/// The options of [`prepare_with`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Whether the thumbnail is made from the same decode.
    pub thumbnail: bool,
    /// Whether the signature of the pixels is computed.
    pub hashes: bool,
    /// How much of the file is decoded.
    pub decode: Decode,
}

/// Makes the input of the model from a file: reads the header, checks the limits, decodes, composites alpha over white,
/// resizes and applies the orientation.
///
/// # Errors
/// Returns an [`ImageError`] that says what is wrong with the image. A retry does not help.
pub fn prepare(bytes: &[u8], limits: &Limits, preprocessing: &Preprocessing) -> Result<Prepared, ImageError> {
    prepare_with(bytes, limits, preprocessing, Extras::default())
}

/// Does the same as [`prepare`], with options.
///
/// # Errors
/// Fails under the same conditions as [`prepare`].
pub fn prepare_with(
    bytes: &[u8],
    limits: &Limits,
    preprocessing: &Preprocessing,
    extras: Extras,
) -> Result<Prepared, ImageError> {
    let target = DecodeTarget::for_model(*preprocessing, extras);
    let decoded = DecodedImage::decode(bytes, limits, target, extras.decode)?;
    let square = convert::square(&decoded, bytes, *preprocessing).map_err(|reason| decoded.corrupt(reason))?;
    let image = PreparedImage { size: preprocessing.size, rgb: Bytes::from(square.into_raw()) };
    let thumbnail = if extras.thumbnail {
        Some(thumbnail::from_decoded(&decoded, bytes, thumbnail::THUMBNAIL_SIDE)?)
    } else {
        None
    };
    let hashes = if extras.hashes { signature(&image) } else { None };
    Ok(Prepared { image, meta: decoded.meta, thumbnail, hashes })
}

/// Returns approximately how many bytes [`prepare_with`] will allocate for this file.
///
/// # Errors
/// Returns an [`ImageError`] if the file is not an image, if its header is truncated or inconsistent, or if a limit is
/// exceeded.
pub fn prepared_size(
    bytes: &[u8],
    limits: &Limits,
    preprocessing: &Preprocessing,
    extras: Extras,
) -> Result<u64, ImageError> {
    DecodeTarget::for_model(*preprocessing, extras).required_bytes(
        bytes,
        &read_facts(bytes, limits)?,
        limits,
        extras.decode,
    )
}

impl DecodeTarget {
    fn for_model(preprocessing: Preprocessing, extras: Extras) -> Self {
        Self { model: Some(preprocessing), fitted: extras.thumbnail.then_some(thumbnail::THUMBNAIL_SIDE) }
    }
}

/// Returns only the input of the model, as [`prepare`] makes it.
///
/// # Errors
/// Fails under the same conditions as [`prepare`].
pub fn resize_for_embedding(
    bytes: &[u8],
    limits: &Limits,
    preprocessing: &Preprocessing,
) -> Result<PreparedImage, ImageError> {
    prepare(bytes, limits, preprocessing).map(|prepared| prepared.image)
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
