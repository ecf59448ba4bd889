//! A JPEG or WebP that is decoded at a reduced size gives the embedding of the full decode: the bounds of ADR 0006,
//! for sizes at which reducing starts and each scale begins, and for all images of the demo.

use std::num::NonZeroUsize;

use glimpse::domain::ImageFormat;
use glimpse::embed::ImageEmbeddingProvider;
use glimpse::embed::local::LocalProvider;
use glimpse::imaging::{Decode, Extras, ImagingSettings, Preprocessing, Resize, prepare, prepare_with, sniff};
use image::imageops::FilterType;
use image::{DynamicImage, GenericImage, RgbImage};

use super::corpus::{CORPUS_IS_MISSING, corpus};
use crate::support::demo_images;
use crate::support::environment::skip;

const MIN_COSINE: f32 = 0.999;
const MEAN_COSINE: f32 = 0.9995;

fn jpeg(image: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
    image.write_with_encoder(encoder).unwrap();
    bytes
}

fn webp(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write_with_encoder(image::codecs::webp::WebPEncoder::new_lossless(&mut bytes)).unwrap();
    bytes
}

fn demo() -> Vec<DynamicImage> {
    let read = |path| image::load_from_memory(&std::fs::read(path).unwrap()).unwrap();
    demo_images().into_iter().map(read).collect()
}

/// Photographs side by side at their own size: detail down to the pixel.
fn collage(width: u32, height: u32, first: usize) -> RgbImage {
    let images = demo();
    let mut collage = RgbImage::new(width, height);
    let (mut left, mut top, mut number) = (0, 0, first);
    while top < height {
        let image = images[number % images.len()].to_rgb8();
        let (wide, high) = (image.width().min(width - left), image.height().min(height - top).min(250));
        let part = image::imageops::crop_imm(&image, 0, 0, wide, high).to_image();
        collage.copy_from(&part, left, top).unwrap();
        left += wide;
        number += 1;
        if left >= width {
            (left, top) = (0, top + 250);
        }
    }
    collage
}

/// The cosine with the full decode; `None` if the image was not reduced.
async fn cosine(provider: &LocalProvider, file: &[u8], preprocessing: &Preprocessing) -> Option<f32> {
    let limits = ImagingSettings::default().limits();
    let fast = prepare(file, &limits, preprocessing).ok()?;
    let full = Extras { decode: Decode::Full, ..Extras::default() };
    let full = prepare_with(file, &limits, preprocessing, full).unwrap();
    assert_eq!(fast.meta, full.meta);
    if fast.image == full.image {
        return None;
    }
    let [fast, full] = [fast, full].map(|prepared| prepared.image);
    let (fast, full) = (provider.embed_image(&fast).await.unwrap(), provider.embed_image(&full).await.unwrap());
    Some(fast.cosine(&full))
}

#[tokio::test]
async fn an_image_decoded_at_reduced_size_has_the_same_embedding() {
    let provider = LocalProvider::start(NonZeroUsize::new(2).unwrap()).unwrap();
    let crop = provider.preprocessing();
    let pad = Preprocessing { resize: Resize::Pad([0; 3]), ..crop };
    let images = demo();
    let mut cosines = Vec::new();
    // A half from 1,430 pixels on, a quarter from 2,860.
    for (number, shortest) in [1430, 1437, 2001, 2860].into_iter().enumerate() {
        let enlarged = images[number * 3].resize_to_fill(
            shortest * 4 / 3 + u32::try_from(number).unwrap(),
            shortest,
            FilterType::Lanczos3,
        );
        for (what, image) in
            [("enlarged", enlarged.to_rgb8()), ("collage", collage(shortest * 4 / 3, shortest, number * 5))]
        {
            let file = if number == 2 { webp(&image) } else { jpeg(&image, 90) };
            let preprocessing = if number % 4 == 3 { pad } else { crop };
            let cosine = cosine(&provider, &file, &preprocessing).await;
            cosines.push((format!("{what} {shortest}"), cosine.expect("it is large enough to be reduced")));
        }
    }
    assert_close(&cosines);
    let small = jpeg(&collage(1800, 1429, 1), 90);
    assert_eq!(cosine(&provider, &small, &crop).await, None, "it has no spare pixels for a reduced decode");
}

/// The corpus has few images that are large enough for the model's 260 pixels, so they are also compared at smaller
/// squares: by their pixels, because no model here takes those sizes.
#[test]
fn every_image_of_the_corpus_is_reduced_to_the_same_square() {
    let Ok(entries) = std::fs::read_dir(corpus()) else {
        skip("corpus", CORPUS_IS_MISSING);
        return;
    };
    let limits = ImagingSettings::default().limits();
    let (mut reduced, mut wrong) = (0, Vec::new());
    for entry in entries {
        let path = entry.unwrap().path();
        let file = std::fs::read(&path).unwrap();
        // A debug build decodes large ones for minutes; `formats.rs` tests them.
        if matches!(sniff(&file), Ok(ImageFormat::Avif | ImageFormat::Jxl)) {
            continue;
        }
        for size in [32, 128] {
            let preprocessing = Preprocessing::crop(size);
            let Ok(fast) = prepare(&file, &limits, &preprocessing) else { break };
            let full = Extras { decode: Decode::Full, ..Extras::default() };
            let full = match prepare_with(&file, &limits, &preprocessing, full) {
                Ok(full) => full,
                Err(error) => {
                    wrong.push(format!("{}: whole it is refused: {error}", path.display()));
                    break;
                }
            };
            let difference = fast.image.rgb.iter().zip(&full.image.rgb).map(|(a, b)| u32::from(a.abs_diff(*b)));
            let mean = f64::from(difference.sum::<u32>()) / f64::from(size * size * 3);
            reduced += usize::from(fast.image != full.image);
            if mean > 1.0 {
                wrong.push(format!("{} at {size}: {mean:.2} of 255 apart", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(reduced > 40, "only {reduced} were reduced");
}

fn assert_close(cosines: &[(String, f32)]) {
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let mean = cosines.iter().map(|(_, cosine)| cosine).sum::<f32>() / cosines.len() as f32;
    assert!(cosines.iter().all(|(_, cosine)| *cosine >= MIN_COSINE), "{cosines:?}");
    assert!(mean >= MEAN_COSINE, "{mean} of {cosines:?}");
}
