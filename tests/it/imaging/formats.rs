//! `tests/data/formats`: small files of TIFF, BMP, HEIC, AVIF, JPEG XL and camera RAW, and what a second decoder makes of them
//! (`zarf/golden/formats.py`).

use std::path::{Path, PathBuf};

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use glimpse::domain::FailureClass;
use glimpse::imaging::{
    Decode, Extras, ImagingSettings, Preprocessing, decode_upright, prepare_with, thumbnail, validate_image,
};
use serde::Deserialize;

use crate::support::decode_helper;

/// Differences of the means of 8 x 8 cells, out of 255: on average, and of any cell.
const DECODED: (f64, u8) = (2.0, 6);
/// The same for reduced images and thumbnails. The edges of small images are blurred by the thumbnail's chroma.
const REDUCED: (f64, u8) = (2.5, 16);

#[derive(Deserialize)]
struct Expected {
    file: String,
    reference: String,
    width: u32,
    height: u32,
    frames: u32,
    orientation: u8,
    grid: Vec<u8>,
    /// The grid of the thumbnail, if the file has a colour profile.
    thumbnail: Option<Vec<u8>>,
}

pub(super) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats")
}

/// Whether this build reads the format of a file with this name.
fn is_built_in(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(std::ffi::OsStr::to_str);
    let features = [("heic", cfg!(feature = "heic")), ("avif", cfg!(feature = "avif")), ("jxl", cfg!(feature = "jxl"))];
    features.iter().all(|(feature, is_built_in)| extension != Some(*feature) || *is_built_in)
}

/// The means of 8 x 8 cells, as Pillow's box filter computes them.
fn grid(width: u32, height: u32, rgb: &[u8]) -> Vec<u8> {
    let source = ImageRef::new(width, height, rgb, PixelType::U8x3).unwrap();
    let mut cells = Image::new(8, 8, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Box));
    Resizer::new().resize(&source, &mut cells, &options).unwrap();
    cells.into_vec()
}

fn describe_difference(what: &str, ours: &[u8], theirs: &[u8], max: (f64, u8)) -> Option<String> {
    let differences = ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
    let worst = differences.clone().max().unwrap();
    let mean = f64::from(differences.map(u32::from).sum::<u32>()) / f64::from(u32::try_from(ours.len()).unwrap());
    (mean > max.0 || worst > max.1).then(|| format!("{what}: {mean:.2} apart on average, {worst} at the most"))
}

fn check(expected: &Expected) -> Result<(), String> {
    let limits = ImagingSettings::default().limits();
    let bytes = std::fs::read(data().join(&expected.file)).unwrap();
    let image = decode_upright(&bytes, &limits).map_err(|error| error.to_string())?;
    let facts = (image.meta.width, image.meta.height, image.meta.frames, image.meta.orientation);
    let theirs = (expected.width, expected.height, expected.frames, expected.orientation);
    if facts != theirs {
        return Err(format!("{facts:?} and not {theirs:?}"));
    }
    let ours = grid(image.meta.width, image.meta.height, &image.rgb);
    if let Some(difference) = describe_difference(&expected.reference, &ours, &expected.grid, DECODED) {
        return Err(difference);
    }
    // A small square needs few pixels, so that the image is reduced while it is decoded.
    for size in [16, 64] {
        let squash = Preprocessing::new(size, glimpse::imaging::Resize::Squash);
        let square = |decode| {
            let extras = Extras { decode, ..Extras::default() };
            prepare_with(&bytes, &limits, &squash, extras).map(|prepared| prepared.image.rgb)
        };
        let (fast, full) = (square(Decode::Fast).unwrap(), square(Decode::Full).unwrap());
        let (fast, full) = (grid(size, size, &fast), grid(size, size, &full));
        if let Some(difference) = describe_difference("reduced", &fast, &full, REDUCED) {
            return Err(difference);
        }
    }
    let small = image::load_from_memory(&thumbnail(&bytes, &limits).unwrap()).unwrap().into_rgb8();
    let theirs = expected.thumbnail.as_ref().unwrap_or(&expected.grid);
    let ours = grid(small.width(), small.height(), small.as_raw());
    describe_difference("thumbnail", &ours, theirs, REDUCED).map_or(Ok(()), Err)
}

#[test]
fn every_file_is_decoded_as_by_a_second_decoder() {
    let all: Vec<Expected> = serde_json::from_slice(&std::fs::read(data().join("expected.json")).unwrap()).unwrap();
    decode_helper::install();
    let read = all.iter().filter(|expected| is_built_in(&expected.file));
    let wrong: Vec<String> =
        read.filter_map(|expected| check(expected).err().map(|error| format!("{}: {error}", expected.file))).collect();
    assert!(all.len() > 75, "only {} files", all.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

#[test]
fn a_coding_that_is_not_supported_is_refused_by_name() {
    let limits = ImagingSettings::default().limits();
    for (file, name) in [
        ("refused-zstd.tif", "a TIFF file with Zstandard compression, which cannot be decoded"),
        ("refused-lab.tif", "a TIFF file with CIE L*a*b* colours, which cannot be decoded"),
        ("refused-thumbnail.dng", "a camera RAW file without an embedded JPEG of at least 160 pixels a side"),
    ] {
        let error = decode_upright(&std::fs::read(data().join(file)).unwrap(), &limits).unwrap_err();
        assert_eq!(error.class(), FailureClass::UnsupportedFormat, "{file}");
        assert!(error.to_string().starts_with(name), "{file}: {error}");
    }
}

/// Every file, cut at three places: an error, or the whole image.
#[test]
fn a_truncated_file_is_refused_or_complete() {
    let limits = ImagingSettings::default().limits();
    decode_helper::install();
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(data()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let Ok(whole) = decode_upright(&bytes, &limits) else { continue };
        for percent in [10, 50, 90, 99] {
            let part = &bytes[..bytes.len() * percent / 100];
            let facts = validate_image(part, &limits);
            match decode_upright(part, &limits) {
                Ok(image) if image.rgb != whole.rgb => wrong.push(format!("{}, {percent} %", path.display())),
                Ok(image) => assert_eq!(facts, Ok(image.meta)),
                Err(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "another image:\n{}", wrong.join("\n"));
}

/// Makes `grid.heic`, an input of `zarf/golden/formats.py`: no encoder of its environment writes a grid.
#[cfg(feature = "heic")]
#[test]
#[ignore = "makes a file of tests/data/formats"]
fn make_grid_heic() {
    let side = |number: u32| u8::try_from(number % 256).unwrap();
    let image = image::RgbImage::from_fn(1100, 700, |x, y| {
        let colour = match (x < 550, y < 350) {
            (true, true) => [200, 30, 30],
            (false, true) => [30, 200, 30],
            (true, false) => [30, 30, 200],
            (false, false) => [side(x / 5), side(y / 3), 128],
        };
        image::Rgb(colour)
    });
    let options = heifer::EncodeOptions::default();
    let file = heifer::encode_rgb8(image.width(), image.height(), image.as_raw(), &options).unwrap();
    std::fs::write(data().join("grid.heic"), file).unwrap();
}
