//! `tests/data`: small files of every kind, and the results of Pillow for them (`zarf/golden/make.py`).

use std::path::{Path, PathBuf};

use glimpse::imaging::{ImagingSettings, Preprocessing, Resize, decode_upright, prepare};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    file: String,
    /// The model's input for it, as a PNG.
    reference: String,
    /// `crop` or `pad`.
    resize: String,
    width: u32,
    height: u32,
    frames: u32,
    orientation: u8,
    /// Whether every decoder gives the same pixels.
    lossless: bool,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

#[test]
fn every_kind_of_image_becomes_the_square_of_pillow() {
    let limits = ImagingSettings::default().limits();
    let all: Vec<Expected> = serde_json::from_slice(&std::fs::read(data().join("expected.json")).unwrap()).unwrap();
    let mut wrong = Vec::new();
    for expected in &all {
        let file = expected.file.as_str();
        let reference = std::fs::read(data().join("reference").join(&expected.reference)).unwrap();
        let reference = decode_upright(&reference, &limits).unwrap();
        let resize = if expected.resize == "pad" { Resize::Pad([32, 48, 64]) } else { Resize::Crop };
        let square = Preprocessing::new(reference.meta.width, resize);
        let ours = match prepare(&std::fs::read(data().join(file)).unwrap(), &limits, &square) {
            Ok(ours) => ours,
            Err(error) => {
                wrong.push(format!("{file}: {error}"));
                continue;
            }
        };
        let facts = (ours.meta.width, ours.meta.height, ours.meta.frames, ours.meta.orientation);
        let theirs = (expected.width, expected.height, expected.frames, expected.orientation);
        if facts != theirs {
            wrong.push(format!("{file}: {facts:?} and not {theirs:?}"));
        }
        let difference = ours.image.rgb.iter().zip(&reference.rgb).map(|(a, b)| u32::from(a.abs_diff(*b)));
        let worst = difference.clone().max().unwrap();
        let mean = f64::from(difference.sum::<u32>()) / f64::from(u32::try_from(reference.rgb.len()).unwrap());
        // With equal pixels only the rounding of the resampler differs; decoders differ in interpolating colours.
        if mean > 0.5 || (expected.lossless && worst > 2) {
            wrong.push(format!("{file} ({}): {mean:.3} apart on average, {worst} at the most", expected.resize));
        }
    }
    assert!(all.len() > 40, "the reference images were not found");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}
