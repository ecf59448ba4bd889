//! The images of the demo, and generated ones.

use std::path::PathBuf;

use bytes::Bytes;
use glimpse::domain::ImageUri;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// The id of an image in the bucket of a [`super::TestApp`].
pub(crate) fn image_id(key: &str) -> String {
    ImageUri::new("pipeline", key).id().to_string()
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The demo images, in order of their names.
pub(crate) fn demo_images() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(root().join("demo"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jpg"))
        .collect();
    paths.sort();
    paths
}

pub(crate) fn demo_image(name: &str) -> Vec<u8> {
    std::fs::read(root().join("demo").join(name)).unwrap()
}

pub(crate) fn encode_png(image: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A PNG of 16 x 16 pixels whose quarters have colours of their own for each seed.
pub(crate) fn quarters_png(seed: u32) -> Bytes {
    encode_png(RgbImage::from_fn(16, 16, |x, y| {
        let value = (seed.wrapping_mul(2_654_435_761) >> ((x / 8 + 2 * (y / 8)) * 6)).to_le_bytes();
        Rgb([value[0], value[1], value[2]])
    }))
    .into()
}
