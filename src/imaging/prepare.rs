//! The whole way from a file's bytes to the model's input.

use bytes::Bytes;

use super::header::read_facts;
use super::stored::{Least, Stored};
use super::{Decode, ImageError, Limits, Prepared, PreparedImage, Preprocessing, resize, thumbnail};

/// What [`prepare_with`] is asked for besides the model's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// The thumbnail, out of the same decode.
    pub thumbnail: bool,
    /// How much of the file is decoded.
    pub decode: Decode,
}

/// Header, limits, decode, alpha over white, resize, orientation.
///
/// # Errors
/// [`ImageError`]: what is wrong with the image. No retry helps.
pub fn prepare(bytes: &[u8], limits: &Limits, preprocessing: &Preprocessing) -> Result<Prepared, ImageError> {
    prepare_with(bytes, limits, preprocessing, Extras::default())
}

/// The same, and what else is asked for.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_with(
    bytes: &[u8],
    limits: &Limits,
    preprocessing: &Preprocessing,
    extras: Extras,
) -> Result<Prepared, ImageError> {
    let least = Least::for_model(*preprocessing, extras);
    let stored = Stored::decode(bytes, limits, least, extras.decode)?;
    let square = resize::square(&stored, *preprocessing).map_err(|reason| stored.corrupt(reason))?;
    let image = PreparedImage { size: preprocessing.size, rgb: Bytes::from(square.into_raw()) };
    let thumbnail = if extras.thumbnail { Some(thumbnail::of_stored(&stored, bytes)?) } else { None };
    Ok(Prepared { image, meta: stored.meta, thumbnail })
}

/// About how many bytes [`prepare_with`] will allocate for this file.
///
/// # Errors
/// [`ImageError`]: no image, a header that is cut or contradicts itself, or more than a limit allows.
pub fn prepared_size(
    bytes: &[u8],
    limits: &Limits,
    preprocessing: &Preprocessing,
    extras: Extras,
) -> Result<u64, ImageError> {
    Least::for_model(*preprocessing, extras).memory_of(bytes, &read_facts(bytes, limits)?, limits, extras.decode)
}

impl Least {
    fn for_model(preprocessing: Preprocessing, extras: Extras) -> Self {
        Self { model: Some(preprocessing), thumbnail: extras.thumbnail }
    }
}

/// The model's input alone: what [`prepare`] makes of the file.
///
/// # Errors
/// As [`prepare`].
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
