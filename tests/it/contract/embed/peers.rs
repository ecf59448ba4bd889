//! The contract of embedding providers against a real server, [infinity](https://github.com/michaelfeil/infinity) with
//! `tests/data/clip-tiny`, at `GLIMPSE_INFINITY_URL` (`make test-peers`).

use std::num::NonZeroUsize;
use std::time::Duration;

use glimpse::domain::Secret;
use glimpse::embed::local::Precision;
use glimpse::embed::{ImageEmbeddingProvider, OpenAiProvider, RemoteSettings, ServiceSettings};
use glimpse::imaging::Resize;

use crate::contract::embed::clip_tiny::tiny;
use crate::contract::embed::suite::{
    a_batch_equals_its_single_images, calls_do_not_mix, images, texts_get_different_vectors, the_space_is_stable,
};
use crate::support::environment::{skip, variable};

fn infinity() -> Option<OpenAiProvider> {
    let Some(url) = variable("GLIMPSE_INFINITY_URL") else {
        skip("infinity", "set GLIMPSE_INFINITY_URL, or run make test-peers");
        return None;
    };
    let timeout = Duration::from_mins(1);
    let settings = RemoteSettings {
        service: ServiceSettings { url: url.parse().unwrap(), key: Secret::default(), timeout },
        model: "clip-tiny".to_owned(),
        max_batch: NonZeroUsize::new(8).unwrap(),
        size: Some(32),
        resize: Resize::CropFloor,
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
