//! `tests/data/clip-tiny`: a CLIP model of random weights in a folder, and the vectors that transformers makes of
//! images and texts with it (`zarf/golden/clip_tiny.py`).

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use glimpse::domain::{Embedding, FailureKind};
use glimpse::embed::local::{LocalProvider, Precision, Source};
use glimpse::embed::{EmbedError, ImageEmbeddingProvider};
use glimpse::imaging::{Limits, PreparedImage, prepare};
use reqwest::StatusCode;
use serde_json::Value;

use crate::contract::embed::suite::{
    a_batch_equals_its_single_images, calls_do_not_mix, texts_get_different_vectors, the_space_is_stable,
};
use crate::support::{TestApp, demo_image, names};

const LIMITS: Limits = Limits { max_bytes: 1 << 26, max_pixels: 1 << 26, max_decode_bytes: 1 << 29 };
const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clip-tiny")
}

pub(crate) async fn tiny(precision: Precision) -> LocalProvider {
    LocalProvider::open(Source::folder(folder(), precision), TWO).await.unwrap()
}

pub(crate) fn golden() -> Value {
    serde_json::from_slice(&std::fs::read(folder().join("golden.json")).unwrap()).unwrap()
}

pub(crate) fn embedding(value: &Value) -> Embedding {
    #[expect(clippy::cast_possible_truncation, reason = "they were f32")]
    let raw: Vec<f32> = value.as_array().unwrap().iter().map(|it| it.as_f64().unwrap() as f32).collect();
    let size = raw.len();
    Embedding::normalised(raw, size).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn clip_tiny_passes_the_contract() {
    for precision in [Precision::Fp32, Precision::Int8, Precision::Q4] {
        let (one, other) = (tiny(precision).await, tiny(precision).await);
        the_space_is_stable(&one, &other).await;
        a_batch_equals_its_single_images(&one).await;
        texts_get_different_vectors(&one).await;
        calls_do_not_mix(&one).await;
    }
}

#[tokio::test]
async fn size_and_dimension_come_from_the_model() {
    let tiny = tiny(Precision::Fp32).await;
    assert_eq!(tiny.preprocessing().to_string(), "crop-32-bicubic-floor");
    assert_eq!(tiny.space().await.unwrap().name(), "clip-tiny/24/crop-32-bicubic-floor");
}

/// Some texts have far more than 77 tokens: with padding, the wrong row would be read (see `Towers::text`).
#[tokio::test]
async fn texts_get_the_vectors_of_transformers() {
    let (golden, tiny) = (golden(), tiny(Precision::Fp32).await);
    let (mut compared, mut refused) = (0, 0);
    for expected in golden["texts"].as_array().unwrap() {
        match tiny.embed_text(text(&expected["text"])).await {
            Ok(ours) => {
                let cosine = ours.cosine(&embedding(&expected["embedding"]));
                assert!(cosine >= 0.9999, "{}: {cosine}", expected["text"]);
                compared += 1;
            }
            Err(EmbedError::Rejected(_)) => refused += 1,
            Err(error) => panic!("{}: {error}", expected["text"]),
        }
    }
    assert!(compared > 30);
    assert_eq!(refused, 1, "only the one without a visible character");
}

/// The pixels are the same, so only the arithmetic of the network differs, including mean and deviation.
#[tokio::test]
async fn pixels_get_the_vectors_of_transformers() {
    let (golden, tiny) = (golden(), tiny(Precision::Fp32).await);
    for expected in golden["images"].as_array().unwrap() {
        let rgb = Bytes::from(STANDARD.decode(text(&expected["rgb"])).unwrap());
        let ours = tiny.embed_image(&PreparedImage { size: 32, rgb }).await.unwrap();
        let cosine = ours.cosine(&embedding(&expected["embedding"]));
        assert!(cosine >= 0.9999, "{}: {cosine}", expected["file"]);
    }
}

/// From the bytes of the file: our preprocessing equals that of transformers.
#[tokio::test]
async fn images_get_the_vectors_of_transformers() {
    let (golden, tiny) = (golden(), tiny(Precision::Fp32).await);
    for expected in golden["images"].as_array().unwrap() {
        let file = text(&expected["file"]);
        let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let prepared = prepare(&bytes, &LIMITS, &tiny.preprocessing()).unwrap().image;
        let theirs = STANDARD.decode(text(&expected["rgb"])).unwrap();
        let difference = prepared.rgb.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        let cosine = tiny.embed_image(&prepared).await.unwrap().cosine(&embedding(&expected["embedding"]));
        assert!(cosine >= 0.9999, "{file}: {difference} of 255 off, cosine {cosine}");
    }
}

#[tokio::test]
async fn int8_and_q4_vectors_are_close_and_in_other_spaces() {
    let full = tiny(Precision::Fp32).await;
    for precision in [Precision::Int8, Precision::Q4] {
        let small = tiny(precision).await;
        for text in ["a photo of a cat", "two people walking on a beach at sunset"] {
            let cosine = full.embed_text(text).await.unwrap().cosine(&small.embed_text(text).await.unwrap());
            // Sums of int8 products are less exact on some x86 CPUs: 0.939 on one with AVX2 and without VNNI.
            assert!((0.9..1.0).contains(&cosine), "{precision}, {text}: {cosine}");
        }
        assert_eq!(small.space().await.unwrap().model, format!("clip-tiny ({precision})"));
    }
}

/// Its activations are scaled per run, so an image must not share a run with another.
#[tokio::test]
async fn an_int8_vector_does_not_depend_on_its_batch() {
    let (golden, small) = (golden(), tiny(Precision::Int8).await);
    let images: Vec<_> = golden["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| PreparedImage { size: 32, rgb: STANDARD.decode(text(&image["rgb"])).unwrap().into() })
        .collect();
    let together = small.embed_image_batch(&images).await.unwrap();
    for (image, vector) in images.iter().zip(together) {
        assert_eq!(small.embed_image(image).await.unwrap(), vector);
    }
}

async fn refusal(change: impl FnOnce(&Path)) -> String {
    let copy = tempfile::tempdir().unwrap();
    for name in
        ["config.json", "preprocessor_config.json", "tokenizer.json", "onnx/vision_model.onnx", "onnx/text_model.onnx"]
    {
        let to = copy.path().join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(folder().join(name), to).unwrap();
    }
    change(copy.path());
    match LocalProvider::open(Source::folder(copy.path(), Precision::Auto), NonZeroUsize::MIN).await {
        Err(EmbedError::Dependency(down)) if down.failure == FailureKind::Refused => down.detail,
        other => panic!("{other:?}"),
    }
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[tokio::test]
async fn a_folder_without_a_clip_model_is_refused_with_the_reason() {
    let missing_tower = refusal(|folder| std::fs::remove_file(folder.join("onnx/text_model.onnx")).unwrap()).await;
    assert!(missing_tower.contains("text_model.onnx"), "{missing_tower}");
    let other =
        refusal(|folder| replace(&folder.join("preprocessor_config.json"), "\"resample\": 3", "\"resample\": 9"));
    assert!(other.await.contains("resample is 9"));
    let sizes =
        refusal(|folder| replace(&folder.join("config.json"), "\"image_size\": 32", "\"image_size\": 64")).await;
    assert!(sizes.contains("64") && sizes.contains("32"), "{sizes}");
    let swapped = refusal(|folder| {
        std::fs::copy(folder.join("onnx/text_model.onnx"), folder.join("onnx/vision_model.onnx")).unwrap();
    });
    let swapped = swapped.await;
    assert!(swapped.contains("vision_model.onnx") && swapped.contains("`input_ids`"), "{swapped}");
    let torn =
        refusal(|folder| std::fs::write(folder.join("onnx/vision_model.onnx"), b"\x08\x07garbage").unwrap()).await;
    assert!(torn.contains("does not load"), "{torn}");
    let torn_q4 = refusal(|folder| {
        for tower in ["vision", "text"] {
            std::fs::rename(
                folder.join(format!("onnx/{tower}_model.onnx")),
                folder.join(format!("onnx/{tower}_model_q4.onnx")),
            )
            .unwrap();
        }
        std::fs::write(folder.join("onnx/vision_model_q4.onnx"), b"\x08\x07garbage").unwrap();
    });
    let torn_q4 = torn_q4.await;
    assert!(torn_q4.contains("zero points") && torn_q4.contains("another CLIP_PRECISION"), "{torn_q4}");
    let nowhere = LocalProvider::open(Source::folder("/no/such/folder", Precision::Fp32), NonZeroUsize::MIN).await;
    assert!(nowhere.unwrap_err().to_string().contains("/no/such/folder"));
}

/// The size in the configuration is compared with the output of the network.
#[tokio::test]
async fn a_wrong_dimension_is_detected() {
    let copy = tempfile::tempdir().unwrap();
    for name in ["config.json", "preprocessor_config.json", "tokenizer.json", "vision_model.onnx", "text_model.onnx"] {
        let from = if name.contains("_model.") { folder().join("onnx").join(name) } else { folder().join(name) };
        std::fs::copy(from, copy.path().join(name)).unwrap();
    }
    replace(&copy.path().join("config.json"), "\"projection_dim\": 24", "\"projection_dim\": 32");
    let refused = LocalProvider::open(Source::folder(copy.path(), Precision::Fp32), NonZeroUsize::MIN).await;
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("24 numbers") && message.contains("32 (projection_dim"), "{message}");
}

#[tokio::test]
async fn a_size_in_the_settings_must_be_that_of_the_model() {
    let source = Source::folder(folder(), Precision::Fp32);
    let other = LocalProvider::new(source, Some(224), NonZeroUsize::MIN).unwrap();
    let message = other.space().await.unwrap_err().to_string();
    assert!(message.contains("IMAGE_TARGET_SIZE is 224") && message.contains("takes 32"), "{message}");
}

/// From the setting to a hit: an image finds itself, in the space of the configured model.
#[tokio::test]
async fn the_service_runs_on_it() {
    let folder = folder().display().to_string();
    let app = TestApp::start_with(&[("CLIP_MODEL", &folder), ("CLIP_PRECISION", "int8")]).await;
    let (status, ready) = app.get("/readyz").await;
    assert_eq!((status, text(&ready["space"])), (StatusCode::OK, "clip-tiny (int8)/24/crop-32-bicubic-floor"));
    for name in ["cat.jpg", "rocket.jpg", "wrench.jpg"] {
        app.put(&format!("images/{name}"), demo_image(name)).await;
    }
    assert_eq!(app.ingest().await.counts.done, 3);
    let found = app.find_like(demo_image("rocket.jpg")).await;
    assert_eq!(names(&found)[0], "rocket.jpg");
    assert_eq!(app.find("a cat", 10).await.len(), 3);
    app.stop().await;
}
