//! The awkward corpus: a few hundred files from the test suites of image libraries, each compared with the result of
//! Pillow. It is not part of the repository: its folder is `../shared/corpus`, or `GLIMPSE_CORPUS`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use glimpse::imaging::{ImagingSettings, UprightImage, decode_upright};
use serde::Deserialize;

use crate::support::environment::{print, skip, variable};
use crate::support::process::{peak_since, reset_peak, runs_alone};

/// A debug build needs some seconds for a HEIC image of 12 megapixels.
const MAX_TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 2 });
const MAX_MEMORY: u64 = 256 << 20;
/// The mean absolute difference of a grid, out of 255.
const MAX_DIFFERENCE: f64 = 2.0;

/// Files for which Pillow is wrong, or is right in a way that we do not want, and the reason.
const KNOWN_DIFFERENCES: [(&str, &str); 4] = [
    (
        "Pillow__hopper_bad_exif.jpg",
        "its pixel data is broken in nearly every row: Pillow gives stripes and black blots",
    ),
    ("Pillow__i_trns.png", "by its tRNS the sample 255 is transparent, and so white over white; Pillow leaves it dark"),
    ("Pillow__truncated_jpeg.jpg", "only its end marker is missing: every scan is complete, as browsers show it"),
    ("Pillow__unknown_compression_method.png", "only its colour profile is broken: every browser shows the image"),
];

#[derive(Deserialize)]
struct Expected {
    file: String,
    expect: Expect,
    class: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    grid: Option<Vec<u8>>,
}

/// Additional facts of `manifest.json`.
#[derive(Deserialize)]
struct Manifest {
    file: String,
    frames: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expect {
    #[serde(rename = "picture")]
    Image,
    Error,
    /// Readers differ with good reason: the error, or any image.
    Either,
}

pub(super) const CORPUS_IS_MISSING: &str = "set GLIMPSE_CORPUS to the folder that has awkward/expected.json";

pub(super) fn corpus() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    variable("GLIMPSE_CORPUS").map_or(default, PathBuf::from).join("awkward")
}

/// Runs in a process of its own: the peak of memory belongs to a process, and other tests have higher peaks.
#[test]
fn every_file_gives_the_image_or_error_of_pillow() {
    let folder = corpus();
    if !folder.join("expected.json").exists() {
        skip("corpus", CORPUS_IS_MISSING);
    } else if runs_alone(module_path!(), "every_file_gives_the_image_or_error_of_pillow") {
        compare_all(&folder);
    }
}

/// What is expected of each file. The list of the corpus is older than the decoders of some formats; what is expected of
/// their files is in the repository (`zarf/golden/formats.py`).
fn expectations(folder: &Path) -> Vec<Expected> {
    let newer = std::fs::read(super::formats::data().join("corpus.json")).unwrap();
    let mut newer: HashMap<String, Expected> = serde_json::from_slice::<Vec<Expected>>(&newer)
        .unwrap()
        .into_iter()
        .map(|expected| (expected.file.clone(), expected))
        .collect();
    let all: Vec<Expected> = serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    all.into_iter().map(|expected| newer.remove(&expected.file).unwrap_or(expected)).collect()
}

fn compare_all(folder: &Path) {
    let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
    let all = expectations(folder);
    let manifest: Vec<Manifest> = serde_json::from_slice(&read("manifest.json")).unwrap();
    let frames: HashMap<String, Option<u32>> =
        manifest.into_iter().map(|manifest| (manifest.file, manifest.frames)).collect();
    let (mut wrong, mut slowest, mut largest) = (Vec::new(), (Duration::ZERO, ""), (None, ""));
    for expected in &all {
        let file = expected.file.as_str();
        let bytes = read(file);
        let before = reset_peak();
        let started = Instant::now();
        let ours = decode_upright(&bytes, &ImagingSettings::default().limits());
        let took = started.elapsed();
        let memory = peak_since(before);
        slowest = slowest.max((took, file));
        largest = largest.max((memory, file));
        if took > MAX_TIME {
            wrong.push(format!("{file}: {took:?}"));
        }
        if memory.is_some_and(|memory| memory > MAX_MEMORY) {
            wrong.push(format!("{file}: {memory:?} bytes"));
        }
        let ours = ours.map_err(|error| (error.class().to_string(), error.to_string()));
        let found = describe_difference(expected, frames.get(file).copied().flatten(), ours);
        match (found, KNOWN_DIFFERENCES.iter().find(|(name, _)| *name == file)) {
            (Some(what), None) => wrong.push(format!("{file}: {what}")),
            (None, Some(_)) => wrong.push(format!("{file}: no longer different, take it off the list")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
    print(&format!("{} files; slowest {slowest:?}; most bytes of memory {largest:?}", all.len()));
}

fn describe_difference(
    expected: &Expected,
    frames: Option<u32>,
    ours: Result<UprightImage, (String, String)>,
) -> Option<String> {
    match (expected.expect, ours) {
        (Expect::Error, Ok(UprightImage { meta, .. })) => {
            Some(format!("an image of {} x {}, not {:?}", meta.width, meta.height, expected.class))
        }
        (Expect::Either, Ok(_)) => None,
        (Expect::Image, Err((_, error))) => Some(format!("no image: {error}")),
        (_, Err((class, error))) => {
            (expected.class.as_deref() != Some(&class)).then(|| format!("not {:?} but {error}", expected.class))
        }
        (Expect::Image, Ok(ours)) => {
            let (theirs, our_size) = ((expected.width, expected.height), (ours.meta.width, ours.meta.height));
            if (Some(our_size.0), Some(our_size.1)) != theirs {
                return Some(format!("{our_size:?} and not {theirs:?}"));
            }
            if frames.is_some_and(|frames| frames != ours.meta.frames) {
                return Some(format!("{} frames and not {frames:?}", ours.meta.frames));
            }
            let theirs = expected.grid.as_deref()?;
            let mean_difference = mean_difference(&grid(&ours), theirs);
            (mean_difference > MAX_DIFFERENCE)
                .then(|| format!("{mean_difference:.2} apart, orientation {}", ours.meta.orientation))
        }
    }
}

/// The means of 16 x 16 cells, as Pillow's box filter computes them.
fn grid(image: &UprightImage) -> Vec<u8> {
    let (width, height) = (image.meta.width, image.meta.height);
    let source = ImageRef::new(width, height, &image.rgb, PixelType::U8x3).unwrap();
    let mut cells = Image::new(16, 16, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Box));
    Resizer::new().resize(&source, &mut cells, &options).unwrap();
    cells.into_vec()
}

fn mean_difference(ours: &[u8], theirs: &[u8]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let sum: u32 = ours.iter().zip(theirs).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    f64::from(sum) / f64::from(u32::try_from(ours.len()).unwrap())
}
