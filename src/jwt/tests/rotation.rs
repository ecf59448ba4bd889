//! Keys that are published at an address, change, and cannot be read.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::jwt::key_cache::{MAX_AGE, MIN_INTERVAL};

/// A server of keys. `None` in place of a set: it fails.
struct KeyServer {
    url: String,
    set: Arc<std::sync::Mutex<Option<String>>>,
    requests: Arc<AtomicUsize>,
    _serving: AbortOnDropHandle<()>,
}

impl KeyServer {
    async fn start(set: String) -> Self {
        let (set, requests) = (Arc::new(std::sync::Mutex::new(Some(set))), Arc::new(AtomicUsize::new(0)));
        let (served, counted) = (set.clone(), requests.clone());
        let reply = move || async move {
            counted.fetch_add(1, Ordering::SeqCst);
            served.lock().unwrap().clone().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let serve = async move { axum::serve(listener, Router::new().route("/keys", get(reply))).await.unwrap() };
        #[expect(clippy::disallowed_methods, reason = "the handle aborts on drop")]
        let serving = AbortOnDropHandle::new(tokio::spawn(serve));
        Self { url, set, requests, _serving: serving }
    }

    async fn tokens(&self) -> Tokens {
        let settings = JwtSettings { glimpse_jwks_url: Some(self.url.parse().unwrap()), ..settings() };
        settings.validate().unwrap();
        Tokens::open(&settings, None).await.unwrap()
    }

    fn publish(&self, set: Option<String>) {
        *self.set.lock().unwrap() = set;
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Moves the clock of tokio on. It stands still otherwise only while a test needs it, because requests have timeouts.
async fn advance(time: std::time::Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn rotated_keys_are_read_again_at_most_once_per_minute() {
    let (first, second) = (TestKey::p256("first"), TestKey::p256("second"));
    let server = KeyServer::start(set(&[&first])).await;
    let tokens = server.tokens().await;
    assert_eq!(server.requests(), 0, "the start makes no request");
    let all = futures::future::join_all((0..5).map(|_| async { tokens.verify(&first.sign(&claims())).await })).await;
    assert!(all.iter().flatten().all(Result::is_ok));
    assert_eq!(server.requests(), 1);

    server.publish(Some(set(&[&first, &second])));
    for _ in 0..3 {
        assert!(reason(&tokens, &second.sign(&claims())).await.contains("no key with the id"));
    }
    assert_eq!(server.requests(), 1);
    advance(MIN_INTERVAL).await;
    assert!(tokens.verify(&second.sign(&claims())).await.unwrap().is_ok());
    assert!(tokens.verify(&first.sign(&claims())).await.unwrap().is_ok());
    assert_eq!(server.requests(), 2);

    // A key that is not published any more ends with the next reading.
    server.publish(Some(set(&[&second])));
    tokens.0.as_ref().unwrap().keys.refresh().await.unwrap();
    assert!(reason(&tokens, &first.sign(&claims())).await.contains("no key with the id"));
}

#[tokio::test]
async fn known_keys_stay_in_use_for_hours_while_they_cannot_be_read() {
    let key = TestKey::p256("a");
    let server = KeyServer::start(set(&[&key])).await;
    let tokens = server.tokens().await;
    server.publish(None);
    assert_eq!(tokens.note(), None, "they were not requested yet");
    let unavailable = tokens.verify(&key.sign(&claims())).await.unwrap();
    assert_eq!(unavailable, Err(TokenError::Unavailable), "they were never read");
    assert!(tokens.note().unwrap().contains("(GLIMPSE_JWKS_URL): tokens are refused until they can be read"));
    server.publish(Some(set(&[&key])));
    assert_eq!(
        tokens.verify(&key.sign(&claims())).await.unwrap(),
        Err(TokenError::Unavailable),
        "a minute has not passed"
    );
    advance(MIN_INTERVAL).await;
    assert!(tokens.verify(&key.sign(&claims())).await.unwrap().is_ok());

    for broken in [None, Some("{}".to_owned()), Some(format!("{{\"keys\":[\"{}\"]}}", "x".repeat(300 * 1024)))] {
        server.publish(broken);
        tokens.0.as_ref().unwrap().keys.refresh().await.unwrap_err();
        assert!(tokens.verify(&key.sign(&claims())).await.unwrap().is_ok());
        let note = tokens.note().unwrap();
        assert!(
            note.contains("those that were read before stay in use for 12 hours") && !note.contains("http"),
            "{note}"
        );
    }
    advance(MAX_AGE).await;
    assert_eq!(tokens.verify(&key.sign(&claims())).await.unwrap(), Err(TokenError::Unavailable), "they are too old");
    assert!(tokens.note().unwrap().contains("tokens are refused"));
    server.publish(Some(set(&[&key])));
    advance(MIN_INTERVAL).await;
    assert!(tokens.verify(&key.sign(&claims())).await.unwrap().is_ok());
    assert_eq!(tokens.note(), None);
}
