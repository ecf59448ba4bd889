//! Embedding services that refuse, stall and break off. The adapters classify the error; retries are a decorator.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::{Json, Router};
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use glimpse::domain::FailureKind;
use glimpse::embed::{EmbedError, ProviderKind};
use glimpse::imaging::PreparedImage;
use serde_json::{Value, json};

use crate::support::serve;
use crate::support::services::embed_services::provider;
use crate::support::services::fixed_reply::{ALL, FixedReply, SIDE, TIMEOUT};

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn each_status_is_classified_as_input_settings_or_service_error() {
    for content in [400, 413, 415, 422] {
        for (what, error) in FixedReply::start_with(content, "{\"error\":\"/srv/secret\"}").await.errors(TIMEOUT).await
        {
            assert!(matches!(error, EmbedError::Rejected(_)), "{content}, {what}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
    for (status, failure) in [
        (401, FailureKind::Refused),
        (403, FailureKind::Refused),
        (404, FailureKind::Refused),
        (405, FailureKind::Refused),
        (501, FailureKind::Refused),
        (500, FailureKind::Failed),
        (502, FailureKind::Failed),
        (503, FailureKind::Failed),
        (504, FailureKind::TimedOut),
    ] {
        FixedReply::start_with(status, "<html>sorry</html>").await.assert_failure(failure, TIMEOUT).await;
    }
}

#[tokio::test]
async fn retry_after_is_read_in_seconds_and_as_a_date() {
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
        let server = FixedReply::start(move || (status, [("retry-after", "7")])).await;
        server.assert_failure(FailureKind::Busy { retry_after: Duration::from_secs(7) }, TIMEOUT).await;
        let server = FixedReply::start(move || {
            let when = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(40));
            (status, [("retry-after", when)])
        });
        for (what, error) in server.await.errors(TIMEOUT).await {
            let EmbedError::Dependency(down) = error else { panic!("{what}: {error}") };
            let FailureKind::Busy { retry_after } = down.failure else { panic!("{what}: {down}") };
            assert!((30..=40).contains(&retry_after.as_secs()), "{what}: {retry_after:?}");
        }
    }
    FixedReply::start_with(429, "")
        .await
        .assert_failure(FailureKind::Busy { retry_after: Duration::from_secs(1) }, TIMEOUT)
        .await;
}

#[tokio::test]
async fn a_missing_or_stalled_answer_times_out() {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    let router = Router::new().fallback(move || {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<StatusCode>()
    });
    let (url, task) = serve(router).await;
    let silent = FixedReply { url, requests, _task: task };
    silent.assert_failure(FailureKind::TimedOut, SHORT).await;
    assert_eq!(silent.requests.load(Ordering::SeqCst), 8, "one request each: adapters do not retry");

    let stalled = || Body::from_stream(stream::iter([Ok::<_, io::Error>("[{\"vec")]).chain(stream::pending()));
    FixedReply::start(stalled).await.assert_failure(FailureKind::TimedOut, SHORT).await;
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_a_body_is_a_failure() {
    let cut = || Body::from_stream(stream::iter([Ok("[{\"vector\":[1,2"), Err(io::Error::other("cut"))]));
    FixedReply::start(cut).await.assert_failure(FailureKind::Failed, TIMEOUT).await;
}

#[tokio::test]
async fn an_unreadable_answer_is_a_failure() {
    for body in ["", "<!doctype html><title>Sign in</title>", "[{\"vector\":[1,", "{\"error\":\"x\"}", "7", "null"] {
        FixedReply::start_with(200, body).await.assert_failure(FailureKind::Failed, TIMEOUT).await;
    }
}

#[tokio::test]
async fn an_endless_reply_is_cut_off() {
    let endless = || Body::from_stream(stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[b' '; 8192]))));
    FixedReply::start(endless).await.assert_failure(FailureKind::Failed, TIMEOUT).await;
    // A reply that announces such a length is not read either.
    let announced = || {
        let stalls = Body::from_stream(stream::pending::<Result<Bytes, io::Error>>());
        Response::builder().header("content-length", u64::MAX / 2).body(stalls).unwrap()
    };
    FixedReply::start(announced).await.assert_failure(FailureKind::Failed, TIMEOUT).await;
    // The text of an error is not needed.
    let grumbling = move || (StatusCode::BAD_GATEWAY, endless());
    FixedReply::start(grumbling).await.assert_failure(FailureKind::Failed, TIMEOUT).await;
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let target = FixedReply::start_with(200, "").await;
    for status in [301, 302, 307, 308] {
        let to = target.url.clone();
        let away = move || (StatusCode::from_u16(status).unwrap(), [("location", to.clone())]);
        FixedReply::start(away).await.assert_failure(FailureKind::Refused, TIMEOUT).await;
    }
    assert_eq!(target.requests.load(Ordering::SeqCst), 0, "a key must not be sent to another host");
}

#[tokio::test]
async fn a_refused_connection_is_a_failure() {
    for kind in ALL {
        let error = provider(kind, "http://127.0.0.1:9", Some(SIDE), TIMEOUT).space().await.unwrap_err();
        assert!(matches!(&error, EmbedError::Dependency(down) if down.failure == FailureKind::Failed), "{error}");
    }
}

#[tokio::test]
async fn batches_stay_small_after_a_service_refused_a_large_one() {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let sent = sizes.clone();
    let router = Router::new().fallback(move |Json(body): Json<Value>| {
        let count = body["images"].as_array().unwrap().len();
        sent.lock().unwrap().push(count);
        let vectors: Vec<_> = (0..count).map(|_| json!({"vector": [1.0, 2.0]})).collect();
        std::future::ready(if count > 2 { Err(StatusCode::PAYLOAD_TOO_LARGE) } else { Ok(Json(vectors)) })
    });
    let (url, _serving) = serve(router).await;
    let provider = provider(ProviderKind::Clip, &url, Some(SIDE), TIMEOUT);
    let image = PreparedImage { size: SIDE, rgb: vec![7; (SIDE * SIDE * 3) as usize].into() };
    let four = vec![image; 4];
    for _ in 0..9 {
        assert_eq!(provider.embed_image_batch(&four).await.unwrap().len(), 4);
    }
    let sizes = sizes.lock().unwrap();
    assert!(sizes[0] == 4 && sizes.len() == 19 && sizes[1..].iter().all(|&count| count == 2), "{sizes:?}");
}
