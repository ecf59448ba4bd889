//! The contract of embedding providers, for every adapter of an external service.

use std::time::Duration;

use bytes::Bytes;
use glimpse::embed::{EmbedError, ImageEmbeddingProvider, ProviderKind};
use glimpse::imaging::PreparedImage;

use crate::contract::embed::suite::{
    a_batch_equals_its_single_images, calls_do_not_mix, images, texts_get_different_vectors, the_space_is_stable,
};
use crate::support::services::embed_services::{MODEL, SIZE, Service, provider};

const TIMEOUT: Duration = Duration::from_mins(2);

/// A service and its adapter, which knows the image size that the service takes.
async fn running(kind: ProviderKind) -> (Service, Box<dyn ImageEmbeddingProvider>) {
    let service = Service::start(kind).await;
    let takes_its_size_from_the_service = kind == ProviderKind::Clip;
    let provider = provider(kind, &service.url, (!takes_its_size_from_the_service).then_some(SIZE), TIMEOUT);
    if takes_its_size_from_the_service {
        provider.space().await.unwrap();
    }
    assert_eq!(provider.preprocessing().size, SIZE);
    (service, provider)
}

/// A service that runs the model of `local` has the same space and returns the same vectors.
async fn assert_same_as_local(provider: &dyn ImageEmbeddingProvider) {
    the_space_is_stable(provider, &*MODEL).await;
    let images = images(provider, 3);
    let remote = provider.embed_image_batch(&images).await.unwrap();
    let local = MODEL.embed_image_batch(&images).await.unwrap();
    for (remote, local) in remote.iter().zip(&local) {
        assert!(remote.cosine(local) > 0.999_999, "{}", remote.cosine(local));
    }
    let (remote, local) = (provider.embed_text("a cat").await.unwrap(), MODEL.embed_text("a cat").await.unwrap());
    assert!(remote.cosine(&local) > 0.999_999, "{}", remote.cosine(&local));
}

/// Images that were prepared for another model, or are not images, are refused before a request is sent.
async fn unusable_images_are_refused(service: &Service, provider: &dyn ImageEmbeddingProvider) {
    let requests_before = service.received.lock().unwrap().bodies.len();
    let small = PreparedImage { size: 8, rgb: Bytes::from(vec![0; 8 * 8 * 3]) };
    assert!(matches!(provider.embed_image(&small).await, Err(EmbedError::Rejected(_))));
    let lying = PreparedImage { size: SIZE, rgb: Bytes::new() };
    assert!(matches!(provider.embed_image(&lying).await, Err(EmbedError::Rejected(_))));
    assert_eq!(service.received.lock().unwrap().bodies.len(), requests_before);
    provider.embed_text(" \u{200B} ").await.unwrap_err();
    provider.embed_image(&images(provider, 1)[0]).await.unwrap();
}

macro_rules! contract {
    ($name:ident, $kind:expr) => {
        mod $name {
            use super::*;

            #[tokio::test]
            async fn batches() {
                let (service, provider) = running($kind).await;
                a_batch_equals_its_single_images(&*provider).await;
                unusable_images_are_refused(&service, &*provider).await;
            }

            #[tokio::test]
            async fn texts() {
                let (_service, provider) = running($kind).await;
                texts_get_different_vectors(&*provider).await;
            }

            #[tokio::test]
            async fn side_by_side() {
                let (_service, provider) = running($kind).await;
                calls_do_not_mix(&*provider).await;
            }
        }
    };
}

contract!(clip, ProviderKind::Clip);
contract!(openai, ProviderKind::OpenAi);
contract!(multi2vec, ProviderKind::Multi2Vec);
contract!(ollama, ProviderKind::Ollama);

#[tokio::test]
async fn one_model_is_one_space_in_every_service() {
    for kind in [ProviderKind::Clip, ProviderKind::OpenAi, ProviderKind::Multi2Vec] {
        let (_service, provider) = running(kind).await;
        assert_same_as_local(&*provider).await;
    }
}

#[tokio::test]
async fn ollama_has_a_space_of_texts_only() {
    let (service, one) = running(ProviderKind::Ollama).await;
    the_space_is_stable(&*one, &*provider(ProviderKind::Ollama, &service.url, Some(SIZE), TIMEOUT)).await;
    let space = one.space().await.unwrap();
    assert_eq!(space.model, "llava+nomic-embed-text");
    assert!(space.probes.iter().all(|probe| probe.name.starts_with("text:")));
}

#[tokio::test]
async fn requests_fit_the_service_and_use_few_connections() {
    for kind in [ProviderKind::Clip, ProviderKind::OpenAi, ProviderKind::Multi2Vec] {
        let (service, provider) = running(kind).await;
        service.received.lock().unwrap().bodies.clear();
        provider.embed_image_batch(&images(&*provider, 7)).await.unwrap();
        assert_eq!(service.batches(), [4, 3], "{}", kind.name());
        for _ in 0..5 {
            provider.embed_text("a cat").await.unwrap();
        }
        // Two requests of one call are sent at the same time.
        let clients = service.received.lock().unwrap().clients.len();
        assert!(clients <= 2, "{} connections for {}", clients, kind.name());
    }
}

#[tokio::test]
async fn requests_have_the_json_of_each_service() {
    let mut spelled = Vec::new();
    for kind in [ProviderKind::Clip, ProviderKind::OpenAi, ProviderKind::Multi2Vec, ProviderKind::Ollama] {
        let (service, provider) = running(kind).await;
        service.received.lock().unwrap().bodies.clear();
        provider.embed_image(&images(&*provider, 1)[0]).await.unwrap();
        provider.embed_text("a \"cat\"\n").await.unwrap();
        for (path, body) in &service.received.lock().unwrap().bodies {
            spelled.push(format!("{} {path} {body}", kind.name()));
        }
    }
    insta::assert_snapshot!(without_images(&spelled.join("\n")));
}

/// Shortens images to their first characters.
fn without_images(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("iVBORw0KGgo") {
        let end = rest[at..].find('"').map_or(rest.len(), |end| at + end);
        out.push_str(&rest[..at]);
        out.push_str("iVBORw0KGgo…");
        rest = &rest[end..];
    }
    out + rest
}
