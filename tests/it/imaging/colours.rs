//! `tests/data/colour`: small files with colour profiles, and their colours in sRGB by littleCMS (`zarf/golden/colour.py`);
//! and what a conversion of the model's input changes.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use glimpse::embed::ImageEmbeddingProvider;
use glimpse::embed::local::LocalProvider;
use glimpse::imaging::{
    Extras, ImagingSettings, InputColour, Preprocessing, Resize, decode_upright, prepare, prepare_with, preview,
    thumbnail,
};
use image::RgbImage;
use moxcms::{ColorProfile, Layout, RenderingIntent, TransformOptions};
use serde::Deserialize;

use crate::support::demo_images;
use crate::support::environment::print;

/// The files show 8 x 8 squares.
const SQUARES: u32 = 8;

#[derive(Deserialize)]
struct Expected {
    file: String,
    /// The colours in sRGB.
    srgb: Vec<u8>,
    /// What the model gets without a conversion.
    stored: Option<Vec<u8>>,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/colour")
}

/// The means of the middle of each square.
fn means(image: &RgbImage) -> Vec<u8> {
    let side = image.width() / SQUARES;
    let mut means = Vec::new();
    for (row, column) in (0..SQUARES).flat_map(|row| (0..SQUARES).map(move |column| (row, column))) {
        let inner = |square: u32| square * side + side / 4..square * side + side * 3 / 4;
        let mut sums = [0_u32; 3];
        for (x, y) in inner(column).flat_map(|x| inner(row).map(move |y| (x, y))) {
            sums.iter_mut().zip(image.get_pixel(x, y).0).for_each(|(sum, value)| *sum += u32::from(value));
        }
        let count = (side / 2) * (side / 2);
        means.extend(sums.map(|sum| u8::try_from((sum + count / 2) / count).unwrap()));
    }
    means
}

fn square(rgb: &[u8]) -> RgbImage {
    RgbImage::from_raw(256, 256, rgb.to_vec()).unwrap()
}

/// Says how far the colours are apart, if the mean or the maximum difference is too large.
fn describe_difference(name: &str, ours: &RgbImage, theirs: &[u8], limit: (f64, u8)) -> Option<String> {
    let ours = means(ours);
    assert_eq!(ours.len(), theirs.len());
    let (place, worst) =
        ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b)).enumerate().max_by_key(|(_, apart)| *apart).unwrap();
    let sum: u32 = ours.iter().zip(theirs).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    let mean = f64::from(sum) / f64::from(u32::try_from(ours.len()).unwrap());
    let at = place / 3 * 3;
    (mean > limit.0 || worst > limit.1).then(|| {
        format!("{name}: mean {mean:.2}, worst {worst}: {:?} and not {:?}", &ours[at..at + 3], &theirs[at..at + 3])
    })
}

#[test]
fn colours_are_those_of_littlecms() {
    let limits = ImagingSettings::default().limits();
    let all: Vec<Expected> = serde_json::from_slice(&std::fs::read(data().join("expected.json")).unwrap()).unwrap();
    assert!(all.len() >= 18, "{} files", all.len());
    let mut wrong = Vec::new();
    for Expected { file, srgb, stored } in &all {
        let bytes = std::fs::read(data().join(file)).unwrap();
        let squash = Preprocessing::new(256, Resize::Squash);
        let model = |colour| {
            let extras = Extras { thumbnail: true, ..Extras::default() };
            prepare_with(&bytes, &limits, &Preprocessing { colour, ..squash }, extras).unwrap()
        };
        let (reference, converted) = (model(InputColour::Reference), model(InputColour::Srgb));
        let mut check = |what: &str, image: &RgbImage, theirs: &[u8], limit| {
            wrong.extend(describe_difference(&format!("{file}, {what}"), image, theirs, limit));
        };
        // The two libraries interpolate tables of inks in different ways.
        let most = if file.starts_with("cmyk") { 3 } else { 2 };
        check("model in sRGB", &square(&converted.image.rgb), srgb, (1.0, most));
        if let Some(stored) = stored {
            check("model", &square(&reference.image.rgb), stored, (1.0, 2));
        }
        // The JPEG of a thumbnail rounds in steps.
        for (what, jpeg) in [
            ("thumbnail", thumbnail(&bytes, &limits).unwrap()),
            ("thumbnail of a job", reference.thumbnail.unwrap()),
            ("preview", preview(&bytes, &limits, 1440).unwrap()),
        ] {
            check(what, &image::load_from_memory(&jpeg).unwrap().into_rgb8(), srgb, (1.5, 5));
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_padded_square_keeps_the_colour_of_its_padding() {
    let bytes = std::fs::read(data().join("adobe.jpg")).unwrap();
    let wide = RgbImage::from_fn(256, 64, |x, y| *decoded(&bytes).get_pixel(x, y));
    let file = png_with_profile(&wide, &ColorProfile::new_adobe_rgb());
    let pad = Preprocessing { colour: InputColour::Srgb, ..Preprocessing::new(64, Resize::Pad([40, 90, 200])) };
    let square = prepare(&file, &ImagingSettings::default().limits(), &pad).unwrap().image.rgb;
    assert_eq!(square[..3], [40, 90, 200]);
}

fn decoded(file: &[u8]) -> RgbImage {
    image::load_from_memory(file).unwrap().into_rgb8()
}

fn png_with_profile(image: &RgbImage, profile: &ColorProfile) -> Vec<u8> {
    let mut file = Vec::new();
    let mut info = png::Info::with_size(image.width(), image.height());
    info.color_type = png::ColorType::Rgb;
    info.bit_depth = png::BitDepth::Eight;
    info.icc_profile = Some(profile.encode().unwrap().into());
    let mut writer = png::Encoder::with_info(&mut file, info).unwrap().write_header().unwrap();
    writer.write_image_data(image.as_raw()).unwrap();
    writer.finish().unwrap();
    file
}

/// The table of docs/indexing.md is of all demo images; a debug build needs a minute for all.
const STEP: usize = if cfg!(debug_assertions) { 4 } else { 1 };

/// Demo images, stored in other spaces: the table of docs/indexing.md.
#[tokio::test(flavor = "multi_thread")]
async fn converted_input_gives_the_vector_of_the_same_image_in_srgb() {
    let provider = LocalProvider::start(NonZeroUsize::MIN).unwrap();
    let (limits, crop) = (ImagingSettings::default().limits(), provider.preprocessing());
    let srgb = ColorProfile::new_srgb();
    for (name, profile) in [
        ("Display P3", ColorProfile::new_display_p3()),
        ("Adobe RGB", ColorProfile::new_adobe_rgb()),
        ("ProPhoto RGB", ColorProfile::new_pro_photo_rgb()),
    ] {
        let options =
            TransformOptions { rendering_intent: RenderingIntent::RelativeColorimetric, ..Default::default() };
        let transform = srgb.create_transform_8bit(Layout::Rgb, &profile, Layout::Rgb, options).unwrap();
        let mut cosines = [Vec::new(), Vec::new()];
        for path in demo_images().into_iter().step_by(STEP) {
            let file = std::fs::read(path).unwrap();
            let upright = decode_upright(&file, &limits).unwrap();
            let mut pixels = vec![0; upright.rgb.len()];
            transform.transform(&upright.rgb, &mut pixels).unwrap();
            let size = (upright.meta.width, upright.meta.height);
            let retagged = png_with_profile(&RgbImage::from_raw(size.0, size.1, pixels).unwrap(), &profile);
            let original = provider.embed_image(&prepare(&file, &limits, &crop).unwrap().image).await.unwrap();
            for (cosines, colour) in cosines.iter_mut().zip([InputColour::Reference, InputColour::Srgb]) {
                let target = Preprocessing { colour, ..crop };
                let image = prepare(&retagged, &limits, &target).unwrap().image;
                cosines.push(f64::from(original.cosine(&provider.embed_image(&image).await.unwrap())));
            }
        }
        let [reference, converted] = cosines.map(|cosines| {
            let mean = cosines.iter().sum::<f64>() / f64::from(u32::try_from(cosines.len()).unwrap());
            (mean, cosines.into_iter().fold(1.0, f64::min))
        });
        print(&format!("{name}: reference {reference:.4?}, srgb {converted:.4?} (mean, least)"));
        assert!(converted.0 > 0.99 && converted.0 > reference.0, "{name}: {reference:?} {converted:?}");
    }
}
