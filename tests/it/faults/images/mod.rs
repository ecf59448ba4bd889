//! Images that other decoders read: they give the right image, or an error that names the reason.

mod codings;
mod colours;
mod files;
mod gammas;
mod gifs;
#[cfg(feature = "heic")]
mod hostile;
mod large;
mod orientation;
mod pngs;
mod progressive;
mod repeated_header;
mod service;

use glimpse::imaging::{ImageError, ImagingSettings, UprightImage, decode_upright};

/// A file of `tests/data/faults`.
fn data(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/faults/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn decoded(bytes: &[u8]) -> Result<UprightImage, ImageError> {
    decode_upright(bytes, &ImagingSettings::default().limits())
}

fn pixel(image: &UprightImage, x: u32, y: u32) -> [u8; 3] {
    let at = (y * image.meta.width + x) as usize * 3;
    image.rgb[at..at + 3].try_into().unwrap()
}

fn assert_near(name: &str, ours: [u8; 3], theirs: [u8; 3], tolerance: u8) {
    let difference = ours.iter().zip(theirs).map(|(one, other)| one.abs_diff(other)).max();
    assert!(difference <= Some(tolerance), "{name}: {ours:?} and not {theirs:?}");
}

/// Every test image is red on the left, blue on the right, and green above both.
fn assert_red_blue_green(name: &str, image: &UprightImage, tolerance: u8) {
    let (width, height) = (image.meta.width, image.meta.height);
    assert_near(name, pixel(image, width / 4, height * 3 / 4), [220, 30, 30], tolerance);
    assert_near(name, pixel(image, width * 3 / 4, height * 3 / 4), [30, 30, 220], tolerance);
    assert_near(name, pixel(image, width / 2, height / 16), [30, 200, 30], tolerance);
}
