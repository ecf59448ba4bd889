//! The contract of every embedding provider, as functions over the port; run here with `local`.

use std::num::NonZeroUsize;
use std::sync::LazyLock;

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use glimpse::domain::Embedding;
use glimpse::embed::local::LocalProvider;
use glimpse::embed::probe::probe_space;
use glimpse::embed::{EmbedError, ImageEmbeddingProvider};
use glimpse::imaging::PreparedImage;

/// `count` images that clearly differ: stripes of one colour each.
pub(crate) fn images(provider: &dyn ImageEmbeddingProvider, count: u8) -> Vec<PreparedImage> {
    let size = provider.preprocessing().size;
    let image = |number: u8| {
        let width = u32::from(number) * 7 + 3;
        let pixel = |place: u32| {
            if (place % size / width).is_multiple_of(2) { [number * 30, 60, 90] } else { [200, number * 25, 255] }
        };
        PreparedImage { size, rgb: Bytes::from((0..size * size).flat_map(pixel).collect::<Vec<u8>>()) }
    };
    (0..count).map(image).collect()
}

fn length(embedding: &Embedding) -> f32 {
    embedding.as_slice().iter().map(|value| value * value).sum::<f32>().sqrt()
}

/// The space does not change, and two providers of one model share it.
pub(crate) async fn the_space_is_stable(one: &dyn ImageEmbeddingProvider, other: &dyn ImageEmbeddingProvider) {
    let space = one.space().await.unwrap();
    // Not bit by bit: the batches of a service depend on its other callers.
    let again = one.space().await.unwrap();
    space.admits(&again).unwrap();
    assert_eq!(space.name(), again.name());
    space.admits(&other.space().await.unwrap()).unwrap();
    assert!(space.probes.iter().all(|probe| probe.vector.len() == space.dimension));
    assert_eq!(space.preprocessing, one.preprocessing().to_string());
}

/// The order is kept, a batch gives the vectors of its single images, and every vector has the dimension of the space.
pub(crate) async fn a_batch_equals_its_single_images(provider: &dyn ImageEmbeddingProvider) {
    let images = images(provider, 5);
    let dimension = provider.space().await.unwrap().dimension;
    let batch = provider.embed_image_batch(&images).await.unwrap();
    let singles = try_join_all(images.iter().map(|image| provider.embed_image(image))).await.unwrap();
    assert_eq!(batch.len(), images.len());
    for (place, (together, single)) in batch.iter().zip(&singles).enumerate() {
        assert!(together.cosine(single) >= 0.99999, "image {place}: {}", together.cosine(single));
        assert!((length(together) - 1.0).abs() < 1e-5);
        assert_eq!(together.dimension(), dimension);
        for other in &batch[..place] {
            assert!(together.cosine(other) < 0.999, "image {place} equals another");
        }
    }
    assert!(provider.embed_image_batch(&[]).await.unwrap().is_empty());
}

/// Texts differ; a text that is too long is truncated, not refused.
pub(crate) async fn texts_get_different_vectors(provider: &dyn ImageEmbeddingProvider) {
    let (cat, ship) =
        (provider.embed_text("a cat").await.unwrap(), provider.embed_text("a ship at sea").await.unwrap());
    assert!(cat.cosine(&ship) < 0.99);
    assert!((length(&cat) - 1.0).abs() < 1e-5);
    assert!(provider.embed_text("a cat").await.unwrap().cosine(&cat) >= 0.99999);
    let text = "a cat that sits on a mat ".repeat(2_000);
    let more = format!("{text} and on");
    let (first, second) = (provider.embed_text(&text).await.unwrap(), provider.embed_text(&more).await.unwrap());
    assert!(first.cosine(&second) >= 0.99999);
    for text in ["🦀", "xqzkj", "日本", "İstanbul", &"x".repeat(5_000)] {
        provider.embed_text(text).await.unwrap();
    }
}

/// Concurrent calls get their own answers.
pub(crate) async fn calls_do_not_mix(provider: &dyn ImageEmbeddingProvider) {
    let images = images(provider, 4);
    let expected = provider.embed_image_batch(&images).await.unwrap();
    let calls = (0..8).map(|call| {
        let images = &images;
        async move { (call % 4, provider.embed_image(&images[call % 4]).await, provider.embed_text("a cat").await) }
    });
    for (place, image, text) in join_all(calls).await {
        assert!(image.unwrap().cosine(&expected[place]) >= 0.99999);
        text.unwrap();
    }
}

static ONE: LazyLock<LocalProvider> = LazyLock::new(|| LocalProvider::start(NonZeroUsize::new(2).unwrap()).unwrap());

#[tokio::test]
async fn local_space() {
    let other = LocalProvider::start(NonZeroUsize::MIN).unwrap();
    the_space_is_stable(&*ONE, &other).await;
    // Both have the cached space of the process; a new probe gives the same.
    let space = ONE.space().await.unwrap();
    space.admits(&probe_space(&other, &space.model, Some(space.dimension)).await.unwrap()).unwrap();
}

#[tokio::test]
async fn local_batches() {
    a_batch_equals_its_single_images(&*ONE).await;
}

#[tokio::test]
async fn local_texts() {
    texts_get_different_vectors(&*ONE).await;
}

#[tokio::test]
async fn local_side_by_side() {
    calls_do_not_mix(&*ONE).await;
    assert!(ONE.busy().unwrap().worked.as_nanos() > 0);
}

#[tokio::test]
async fn local_refuses_what_it_cannot_embed() {
    let small = PreparedImage { size: 8, rgb: Bytes::from(vec![0; 8 * 8 * 3]) };
    assert!(matches!(ONE.embed_image(&small).await, Err(EmbedError::Rejected(_))));
    let lying = PreparedImage { size: ONE.preprocessing().size, rgb: Bytes::new() };
    let good = images(&*ONE, 1).remove(0);
    assert!(matches!(ONE.embed_image_batch(&[good.clone(), lying]).await, Err(EmbedError::Rejected(_))));
    assert!(matches!(ONE.embed_text(" \u{200B} ").await, Err(EmbedError::Rejected(_))));
    ONE.embed_image(&good).await.unwrap();
}
