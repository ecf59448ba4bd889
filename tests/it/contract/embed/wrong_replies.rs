//! Embedding services that send a wrong answer: replies are always checked.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use glimpse::domain::{Embedding, FailureKind, InvalidEmbedding};
use glimpse::embed::{EmbedError, ProviderKind};

use crate::support::serve;
use crate::support::services::embed_services::{Service, provider, refusal};
use crate::support::services::fixed_reply::{ALL, FixedReply, TIMEOUT, image, vectors};

/// The result of each adapter for a reply with these vectors, for a text or for two images.
async fn results_for(raw: &'static [&'static str], images: bool) -> Vec<Result<Vec<Embedding>, EmbedError>> {
    let mut results = Vec::new();
    for kind in ALL {
        let server = FixedReply::start(move || vectors(kind, raw)).await;
        let provider = server.provider(kind, TIMEOUT);
        results.push(if images {
            provider.embed_image_batch(&[image(1), image(2)]).await
        } else {
            provider.embed_text("a cat").await.map(|one| vec![one])
        });
    }
    results
}

async fn assert_all_report(raw: &'static [&'static str], images: bool, expected: &EmbedError) {
    for (kind, results) in ALL.iter().zip(results_for(raw, images).await) {
        assert_eq!(results.as_ref(), Err(expected), "{} of {raw:?}", kind.name());
    }
}

#[tokio::test]
async fn a_wrong_number_of_vectors_is_detected() {
    assert_all_report(&[], false, &EmbedError::WrongCount { sent: 1, got: 0 }).await;
    assert_all_report(&["[1,2]", "[2,1]"], false, &EmbedError::WrongCount { sent: 1, got: 2 }).await;
    assert_all_report(&["[1,2]"], true, &EmbedError::WrongCount { sent: 2, got: 1 }).await;
}

#[tokio::test]
async fn an_unusable_vector_is_a_failure_of_its_input() {
    let invalid = EmbedError::Invalid;
    assert_all_report(&["[]"], false, &invalid(InvalidEmbedding::Zero)).await;
    assert_all_report(&["[0,0.0,-0]"], false, &invalid(InvalidEmbedding::Zero)).await;
    for raw in [&["[1,NaN]"], &["[1,null]"], &["[1, Infinity]"], &["[1,-Infinity]"], &["[1,1e39]"]] {
        assert_all_report(raw, false, &invalid(InvalidEmbedding::NotFinite(1))).await;
    }
    assert_all_report(&["[1,2]", "[1,2,3]"], true, &invalid(InvalidEmbedding::WrongSize { expected: 2, actual: 3 }))
        .await;
    for raw in [&["[1,\"2\"]"], &["\"1,2\""], &["null"], &["[[1,2]]"]] {
        for results in results_for(raw, false).await {
            assert!(
                matches!(&results, Err(EmbedError::Dependency(down)) if down.failure == FailureKind::Failed),
                "{results:?}"
            );
        }
    }
}

#[tokio::test]
async fn vectors_are_ordered_by_index_and_a_wrong_index_is_detected() {
    let vectors_for = |body: &'static str| async move {
        let server = FixedReply::start_with(200, body).await;
        let images = [image(1), image(2)];
        server.provider(ProviderKind::OpenAi, TIMEOUT).embed_image_batch(&images).await
    };
    let turned =
        vectors_for(r#"{"data":[{"index":1,"embedding":[0,1]},{"index":0,"embedding":[1,0]}]}"#).await.unwrap();
    assert_eq!([turned[0].as_slice(), turned[1].as_slice()], [[1.0, 0.0], [0.0, 1.0]]);
    let bare = vectors_for(r#"{"data":[{"embedding":[1,0]},{"embedding":[0,1]}]}"#).await.unwrap();
    assert_eq!(bare, turned);
    for twice in [
        r#"{"data":[{"index":0,"embedding":[0,1]},{"index":0,"embedding":[1,0]}]}"#,
        r#"{"data":[{"index":1,"embedding":[0,1]},{"index":2,"embedding":[1,0]}]}"#,
        r#"{"data":[{"index":0,"embedding":[0,1]},{"embedding":[1,0]}]}"#,
    ] {
        assert!(matches!(vectors_for(twice).await, Err(EmbedError::Dependency(_))), "{twice}");
    }
}

#[tokio::test]
async fn a_service_that_ignores_its_input_or_reads_images_as_text_is_refused() {
    for kind in ALL {
        let server = FixedReply::start(move || vectors(kind, &["[1,2]"])).await;
        let error = server.provider(kind, TIMEOUT).space().await.unwrap_err();
        assert!(matches!(error, EmbedError::ProbeFailed(_)), "{}: {error}", kind.name());
    }
    for kind in [ProviderKind::Clip, ProviderKind::OpenAi, ProviderKind::Multi2Vec] {
        let service = Service::start_reading_images_as_text(kind).await;
        let size = (kind != ProviderKind::Clip).then_some(64);
        let message = refusal(provider(kind, &service.url, size, Duration::from_mins(1)).space().await);
        assert!(message.contains("does not look at images"), "{}: {message}", kind.name());
    }
}

#[tokio::test]
async fn a_text_that_is_too_long_is_shortened_with_a_limited_number_of_requests() {
    let text = "a cat that sits on a mat ".repeat(50);
    for kind in [ProviderKind::Clip, ProviderKind::Multi2Vec] {
        for (status, failure) in [(500, true), (503, false), (404, false)] {
            let server = FixedReply::start_with(status, "{\"error\":\"index out of range\"}").await;
            server.provider(kind, TIMEOUT).embed_text(&text).await.unwrap_err();
            assert_eq!(server.requests.load(Ordering::SeqCst), if failure { 3 } else { 1 }, "{status}");
        }
    }
}

#[tokio::test]
async fn the_image_size_comes_from_the_service_or_the_settings_and_is_never_guessed() {
    let card = |status: u16, body: &'static str, size: Option<u32>| async move {
        let reply = move || (StatusCode::from_u16(status).unwrap(), body);
        let router = Router::new().route("/", get(move || std::future::ready(reply().into_response())));
        // It refuses everything else as too large, so the probe ends at its first call.
        let router = router.fallback(|| std::future::ready(StatusCode::TOO_MANY_REQUESTS));
        let (url, _task) = serve(router).await;
        let clip = provider(ProviderKind::Clip, &url, size, TIMEOUT);
        (clip.space().await.unwrap_err(), clip.preprocessing())
    };
    let busy = FailureKind::Busy { retry_after: Duration::from_secs(1) };
    let probed = |error: &EmbedError| matches!(error, EmbedError::Dependency(down) if down.failure == busy);
    for (status, body, set, size) in [
        (200, r#"{"model":"m","dimension":512,"image_size":336,"resize":"crop"}"#, None, 336),
        (200, r#"{"image_size":336}"#, Some(336), 336),
        (200, r#"{"message":"CLIP as a service"}"#, None, 224),
        (200, "<html>docs</html>", Some(288), 288),
        (200, r#"{"image_size":"large"}"#, None, 224),
        (404, "", None, 224),
        (405, "", Some(288), 288),
        (307, "", None, 224),
    ] {
        let (error, got) = card(status, body, set).await;
        assert!(probed(&error) && got.size == size, "{status} {body}: {error}, {got}");
    }
    for (value, expected) in
        [("crop", "crop-224"), ("crop-floor", "crop-224-bicubic-floor"), ("pad", "crop-224"), ("x", "crop-224")]
    {
        let body: &'static str = Box::leak(format!(r#"{{"resize":"{value}"}}"#).into_boxed_str());
        let (_, got) = card(200, body, None).await;
        assert_eq!(got.to_string().trim_end_matches("-bicubic"), expected, "{value}");
    }
    let (error, _) = card(200, r#"{"image_size":336}"#, Some(224)).await;
    assert!(error.to_string().contains("IMAGE_TARGET_SIZE is 224, but the service takes 336"), "{error}");
    for absurd in [r#"{"image_size":0}"#, r#"{"image_size":100000}"#] {
        assert!(refusal(Err::<(), _>(card(200, absurd, None).await.0)).contains("between 16 and 2048"));
    }
    for (status, failure) in [(500, FailureKind::Failed), (503, FailureKind::Failed), (401, FailureKind::Refused)] {
        let (error, _) = card(status, "", None).await;
        assert!(matches!(&error, EmbedError::Dependency(down) if down.failure == failure), "{status}: {error}");
    }
}

#[tokio::test]
async fn a_missing_or_unsuitable_model_is_named() {
    let down = |outcome: Result<_, EmbedError>| match outcome {
        Err(EmbedError::Dependency(down)) if down.failure == FailureKind::Refused => down.detail,
        Err(other) => panic!("{other}"),
        Ok(()) => panic!("accepted"),
    };
    let models = r#"{"data":[{"id":"a/b"},{"id":"c"}]}"#;
    let server = FixedReply::start_with(200, models).await;
    let message = down(server.provider(ProviderKind::OpenAi, TIMEOUT).space().await.map(|_| ()));
    assert!(message.contains("a/b, c") && message.contains("CLIP_MODEL"), "{message}");

    let ollama = |status, body| async move {
        let server = FixedReply::start_with(status, body).await;
        server.provider(ProviderKind::Ollama, TIMEOUT).space().await.map(|_| ())
    };
    let message = down(ollama(404, r#"{"error":"model 'llava' not found"}"#).await);
    assert!(message.contains("ollama pull llava"), "{message}");
    let message = down(ollama(200, r#"{"capabilities":["completion"]}"#).await);
    assert!(message.contains("OLLAMA_VISION_MODEL"), "{message}");
    let message = down(ollama(200, r#"{"capabilities":["vision"]}"#).await);
    assert!(message.contains("OLLAMA_MODEL"), "{message}");
}

#[tokio::test]
async fn an_empty_caption_is_a_failure_of_the_image() {
    let server = FixedReply::start_with(200, r#"{"message":{"content":" \n"},"done":true}"#).await;
    let outcome = server.provider(ProviderKind::Ollama, TIMEOUT).embed_image(&image(1)).await;
    assert!(matches!(outcome, Err(EmbedError::Rejected(_))), "{outcome:?}");
}
