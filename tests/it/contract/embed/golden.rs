//! `models/glimpse-mini-1/golden.json`: the results of Pillow and ONNX Runtime for the demo images and six texts.

use std::num::NonZeroUsize;
use std::path::Path;

use glimpse::domain::Embedding;
use glimpse::embed::ImageEmbeddingProvider;
use glimpse::embed::local::LocalProvider;
use glimpse::imaging::{Limits, PreparedImage, Preprocessing, prepare};
use serde_json::Value;

const LIMITS: Limits = Limits { max_bytes: 1 << 26, max_pixels: 1 << 26, max_decode_bytes: 1 << 29 };

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/glimpse-mini-1/golden.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn demo(file: &str) -> PreparedImage {
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(file)).unwrap();
    prepare(&bytes, &LIMITS, &Preprocessing::crop(260)).unwrap().image
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "the file's numbers are f32")]
fn embedding(value: &Value) -> Embedding {
    let raw: Vec<f32> = numbers(value).into_iter().map(|it| it as f32).collect();
    let size = raw.len();
    Embedding::normalised(raw, size).unwrap()
}

/// A pixel as the model gets it: `(pixel - 127) / 128`.
fn level(pixel: u8) -> f64 {
    (f64::from(pixel) - 127.0) / 128.0
}

#[test]
fn pixels_equal_those_of_pillow() {
    for expected in golden()["images"].as_array().unwrap() {
        let file = expected["file"].as_str().unwrap();
        let image = demo(file);
        let means = numbers(&expected["pixel_values_mean_rgb"]);
        for (channel, mean) in means.into_iter().enumerate() {
            let ours = image.rgb[channel..].iter().step_by(3).map(|&pixel| level(pixel));
            let count = f64::from(image.size * image.size);
            let difference = (ours.sum::<f64>() / count - mean).abs();
            // Half a step of 1/128: decoders interpolate colours differently.
            assert!(difference < 0.5 / 128.0, "{file}, channel {channel}: the mean is {difference} off");
        }
        for (place, red) in numbers(&expected["pixel_values_first_row_red"]).into_iter().enumerate() {
            let difference = (level(image.rgb[place * 3]) - red).abs();
            // Decoders round the inverse transform and the colours differently, by a step or two of 1/128.
            assert!(difference < 4.0 / 128.0, "{file}, pixel {place}: {difference} off");
        }
    }
}

#[tokio::test]
async fn images_get_the_golden_vectors() {
    let (golden, local) = (golden(), LocalProvider::start(NonZeroUsize::new(2).unwrap()).unwrap());
    let mut compared = 0;
    for (file, expected) in golden["full"]["images"].as_object().unwrap() {
        let cosine = local.embed_image(&demo(file)).await.unwrap().cosine(&embedding(expected));
        assert!(cosine >= 0.99, "{file}: {cosine}");
        compared += 1;
    }
    for expected in golden["images"].as_array().unwrap() {
        let file = expected["file"].as_str().unwrap();
        let ours = local.embed_image(&demo(file)).await.unwrap();
        for (at, key) in [(0, "embedding_first8"), (384, "embedding_visual_first8")] {
            for (place, value) in numbers(&expected[key]).into_iter().enumerate() {
                let difference = (f64::from(ours.as_slice()[at + place]) - value).abs();
                assert!(difference < 0.02, "{file}, {key} {place}: {difference} off");
            }
        }
    }
    assert!(compared > 0);
}

#[tokio::test]
async fn texts_get_the_golden_vectors() {
    let (golden, local) = (golden(), LocalProvider::start(NonZeroUsize::MIN).unwrap());
    for (text, expected) in golden["full"]["texts"].as_object().unwrap() {
        let cosine = local.embed_text(text).await.unwrap().cosine(&embedding(expected));
        assert!(cosine >= 0.999, "{text}: {cosine}");
    }
    for expected in golden["texts"].as_array().unwrap() {
        let text = expected["text"].as_str().unwrap();
        let ours = local.embed_text(text).await.unwrap();
        for (place, value) in numbers(&expected["embedding_first8"]).into_iter().enumerate() {
            let difference = (f64::from(ours.as_slice()[place]) - value).abs();
            assert!(difference < 0.004, "{text}, number {place}: {difference} off");
        }
    }
}

/// Rows are texts, columns are images; a search ranks by these scores.
#[tokio::test]
async fn scores_are_the_golden_scores() {
    let (golden, local) = (golden(), LocalProvider::start(NonZeroUsize::new(2).unwrap()).unwrap());
    let mut images = Vec::new();
    for image in golden["images"].as_array().unwrap() {
        images.push(local.embed_image(&demo(image["file"].as_str().unwrap())).await.unwrap());
    }
    for (text, scores) in golden["texts"].as_array().unwrap().iter().zip(golden["scores"].as_array().unwrap()) {
        let text = local.embed_text(text["text"].as_str().unwrap()).await.unwrap();
        for (image, score) in images.iter().zip(numbers(scores)) {
            assert!((f64::from(text.cosine(image)) - score).abs() < 0.01);
        }
    }
}
