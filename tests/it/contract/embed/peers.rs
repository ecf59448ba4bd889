//! The contract of embedding providers against a real server, [infinity](https://github.com/michaelfeil/infinity) with
//! `tests/data/clip-tiny` and the SigLIPs of `tests/data/families`, at `GLIMPSE_INFINITY_URL` (`make test-peers`).

use std::io::Cursor;
use std::num::NonZeroUsize;
use std::time::Duration;

use glimpse::domain::Secret;
use glimpse::embed::local::{LocalProvider, Precision, Source};
use glimpse::embed::{ImageEmbeddingProvider, OpenAiProvider, RemoteSettings, ServiceSettings};
use glimpse::imaging::{ImagingSettings, InputColour, PreparedImage, Preprocessing, Resize, prepare};
use image::{ImageFormat, RgbImage};

use crate::contract::embed::clip_tiny::tiny;
use crate::contract::embed::suite::{
    a_batch_equals_its_single_images, calls_do_not_mix, images, texts_get_different_vectors, the_space_is_stable,
};
use crate::support::environment::{skip, variable};
use crate::support::{demo_image, root};

fn infinity() -> Option<OpenAiProvider> {
    infinity_with("clip-tiny", Some(32))
}

fn infinity_with(model: &str, size: Option<u32>) -> Option<OpenAiProvider> {
    let Some(url) = variable("GLIMPSE_INFINITY_URL") else {
        skip("infinity", "set GLIMPSE_INFINITY_URL, or run make test-peers");
        return None;
    };
    let timeout = Duration::from_mins(1);
    let settings = RemoteSettings {
        service: ServiceSettings { url: url.parse().unwrap(), key: Secret::default(), timeout },
        model: model.to_owned(),
        max_batch: NonZeroUsize::new(8).unwrap(),
        size,
        resize: Resize::CropFloor,
        colour: InputColour::Reference,
    };
    Some(OpenAiProvider::new(settings).unwrap())
}

#[tokio::test]
async fn infinity_batches() {
    if let Some(provider) = infinity() {
        a_batch_equals_its_single_images(&provider).await;
    }
}

#[tokio::test]
async fn infinity_texts() {
    if let Some(provider) = infinity() {
        texts_get_different_vectors(&provider).await;
    }
}

#[tokio::test]
async fn infinity_side_by_side() {
    if let Some(provider) = infinity() {
        calls_do_not_mix(&provider).await;
    }
}

/// The same weights in both processes are one space and give the same vectors.
#[tokio::test]
async fn infinity_is_the_space_of_the_same_model_in_this_process() {
    let Some(remote) = infinity() else { return };
    let local = tiny(Precision::Fp32).await;
    the_space_is_stable(&remote, &local).await;
    let images = images(&local, 5);
    let vectors = remote.embed_image_batch(&images).await.unwrap();
    for (image, vector) in images.iter().zip(&vectors) {
        let cosine = vector.cosine(&local.embed_image(image).await.unwrap());
        assert!(cosine >= 0.9999, "{cosine}");
    }
    for text in ["a cat", "two people walking on a beach at sunset", "café"] {
        let cosine = remote.embed_text(text).await.unwrap().cosine(&local.embed_text(text).await.unwrap());
        assert!(cosine >= 0.9999, "{text}: {cosine}");
    }
}

/// Returns an image as a model takes it.
fn prepared(bytes: &[u8], preprocessing: &Preprocessing) -> PreparedImage {
    prepare(bytes, &ImagingSettings::default().limits(), preprocessing).unwrap().image
}

/// The tiny models are served under the names of the published ones, by which the provider knows how to prepare texts and
/// images. Infinity reduces the images further, to the size of the tiny models.
async fn a_siglip_gets_the_vectors_of_the_same_model_in_this_process(family: &str, name: &str, images: &str) {
    let Some(remote) = infinity_with(name, None) else { return };
    let folder = root().join("tests/data/families").join(family);
    let local = LocalProvider::open(Source::folder(folder, Precision::Fp32), NonZeroUsize::MIN).await.unwrap();
    assert!(remote.space().await.unwrap().name().starts_with(&format!("{name}/16/{images}")));
    let long = "A small cat, that sleeps on a red chair! ".repeat(20);
    for text in ["a cat", "A Cat!", "two people walking on a beach at sunset", "café", &long] {
        let cosine = remote.embed_text(text).await.unwrap().cosine(&local.embed_text(text).await.unwrap());
        assert!(cosine >= 0.9999, "{name}, {text}: {cosine}");
    }
    for file in ["cat.jpg", "rocket.jpg", "wrench.jpg"] {
        let sent = prepared(&demo_image(file), &remote.preprocessing());
        let mut png = Cursor::new(Vec::new());
        let pixels = RgbImage::from_raw(sent.size, sent.size, sent.rgb.to_vec()).unwrap();
        pixels.write_to(&mut png, ImageFormat::Png).unwrap();
        let reduced = prepared(png.get_ref(), &local.preprocessing());
        let cosine = remote.embed_image(&sent).await.unwrap().cosine(&local.embed_image(&reduced).await.unwrap());
        assert!(cosine >= 0.9995, "{name}, {file}: {cosine}");
    }
}

#[tokio::test]
async fn infinity_serves_siglip() {
    let (name, images) = ("google/siglip-base-patch16-224", "squash-224-bicubic");
    a_siglip_gets_the_vectors_of_the_same_model_in_this_process("siglip", name, images).await;
}

#[tokio::test]
async fn infinity_serves_siglip_2() {
    let (name, images) = ("google/siglip2-base-patch16-224", "squash-224-bilinear");
    a_siglip_gets_the_vectors_of_the_same_model_in_this_process("siglip2", name, images).await;
}
