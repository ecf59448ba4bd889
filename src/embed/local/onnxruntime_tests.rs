//! The provider with ONNX Runtime: the same vectors as with rten and as in transformers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::*;

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/clip-tiny");

/// Returns a provider for each engine of this machine: rten, and ONNX Runtime if there is a library.
async fn open(source: impl Fn() -> Source) -> Vec<LocalProvider> {
    let providers =
        engine::available().into_iter().map(|engine| LocalProvider::open(source().with_engine(engine), TWO));
    try_join_all(providers).await.unwrap()
}

fn golden() -> Value {
    serde_json::from_slice(&std::fs::read(format!("{TINY}/golden.json")).unwrap()).unwrap()
}

fn image(entry: &Value) -> PreparedImage {
    PreparedImage { size: 32, rgb: STANDARD.decode(entry["rgb"].as_str().unwrap()).unwrap().into() }
}

fn cosine(ours: &Embedding, entry: &Value) -> f32 {
    let theirs: Vec<f32> = serde_json::from_value(entry["embedding"].clone()).unwrap();
    ours.cosine(&Embedding::normalised(theirs, ours.dimension()).unwrap())
}

#[tokio::test]
async fn the_engine_does_not_change_the_space() {
    let mut engines = vec![open(Source::built_in).await];
    for precision in [Precision::Fp32, Precision::Fp16, Precision::Q4] {
        engines.push(open(|| Source::folder(TINY, precision)).await);
    }
    for providers in engines {
        let first = providers[0].space().await.unwrap();
        for provider in &providers {
            let space = provider.space().await.unwrap();
            first.admits(&space).unwrap_or_else(|error| panic!("{provider:?}: {error}"));
            assert_eq!(space.name(), first.name());
        }
    }
}

#[tokio::test]
async fn images_and_texts_get_the_vectors_of_transformers() {
    let golden = golden();
    let (images, texts) = (golden["images"].as_array().unwrap(), golden["texts"].as_array().unwrap());
    for provider in open(|| Source::folder(TINY, Precision::Fp32)).await {
        let prepared: Vec<_> = images.iter().map(image).collect();
        // Both workers run at once.
        let batch = provider.embed_image_batch(&prepared).await.unwrap();
        for (vector, entry) in batch.iter().zip(images) {
            assert!(cosine(vector, entry) >= 0.9999, "{provider:?}: {}", entry["file"]);
        }
        let texts = texts.iter().map(|entry| (entry["text"].as_str().unwrap(), entry));
        let vectors = texts.map(async |(text, entry)| (text, entry, provider.embed_text(text).await));
        for (text, entry, vector) in futures::future::join_all(vectors).await {
            // One text has no visible character.
            let Ok(vector) = vector else { continue };
            assert!(cosine(&vector, entry) >= 0.9999, "{provider:?}: {text}");
        }
    }
}
