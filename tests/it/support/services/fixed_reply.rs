//! A service that gives every request the same answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use bytes::Bytes;
use glimpse::domain::FailureKind;
use glimpse::embed::{EmbedError, ImageEmbeddingProvider, ProviderKind};
use glimpse::imaging::PreparedImage;
use tokio_util::task::AbortOnDropHandle;

use super::embed_services::provider;
use crate::support::serve;

/// Every adapter of an external service.
pub(crate) const ALL: [ProviderKind; 4] =
    [ProviderKind::Clip, ProviderKind::OpenAi, ProviderKind::Multi2Vec, ProviderKind::Ollama];
/// Longer than any answer takes.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
/// The side of [`image`].
pub(crate) const SIDE: u32 = 16;

/// A server that gives every request the same answer, and counts the requests.
pub(crate) struct FixedReply {
    pub(crate) url: String,
    pub(crate) requests: Arc<AtomicUsize>,
    pub(crate) _task: AbortOnDropHandle<()>,
}

impl FixedReply {
    pub(crate) async fn start<R: IntoResponse>(reply: impl Fn() -> R + Clone + Send + Sync + 'static) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let count = requests.clone();
        // The whole body is read: closing the connection in the middle of it would be another error.
        let router = Router::new().fallback(move |_: Bytes| {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::ready(reply().into_response())
        });
        let (url, task) = serve(router.layer(DefaultBodyLimit::max(1 << 26))).await;
        Self { url, requests, _task: task }
    }

    pub(crate) async fn start_with(status: u16, body: &'static str) -> Self {
        Self::start(move || (StatusCode::from_u16(status).unwrap(), body)).await
    }

    pub(crate) fn provider(&self, kind: ProviderKind, timeout: Duration) -> Box<dyn ImageEmbeddingProvider> {
        provider(kind, &self.url, Some(SIDE), timeout)
    }

    /// The error of every adapter, for an image and for a text.
    pub(crate) async fn errors(&self, timeout: Duration) -> Vec<(String, EmbedError)> {
        let mut errors = Vec::new();
        for kind in ALL {
            let provider = self.provider(kind, timeout);
            let image = provider.embed_image(&image(9)).await;
            let text = provider.embed_text("a cat").await;
            for (what, outcome) in [("image", image), ("text", text)] {
                errors.push((format!("{what} to {}", kind.name()), outcome.unwrap_err()));
            }
        }
        errors
    }

    /// Asserts that every adapter reports this failure.
    pub(crate) async fn assert_failure(&self, failure: FailureKind, timeout: Duration) {
        for (what, error) in self.errors(timeout).await {
            let EmbedError::Dependency(down) = error else { panic!("{what}: {error}") };
            assert_eq!(down.failure, failure, "{what}: {}", down.detail);
        }
    }
}

pub(crate) fn image(level: u8) -> PreparedImage {
    PreparedImage { size: SIDE, rgb: vec![level; (SIDE * SIDE * 3) as usize].into() }
}

/// A reply with these vectors in the JSON of the service.
pub(crate) fn vectors(kind: ProviderKind, vectors: &[&str]) -> String {
    let list = |item: &dyn Fn(usize, &str) -> String| {
        vectors.iter().enumerate().map(|(place, vector)| item(place, vector)).collect::<Vec<_>>().join(",")
    };
    match kind {
        ProviderKind::Clip => format!("[{}]", list(&|_, vector| format!(r#"{{"image":"…","vector":{vector}}}"#))),
        ProviderKind::OpenAi => {
            format!(r#"{{"data":[{}]}}"#, list(&|place, vector| format!(r#"{{"embedding":{vector},"index":{place}}}"#)))
        }
        ProviderKind::Multi2Vec => {
            let list = list(&|_, vector| vector.to_owned());
            format!(r#"{{"textVectors":[{list}],"imageVectors":[{list}]}}"#)
        }
        ProviderKind::Ollama => format!(
            r#"{{"message":{{"content":"a cat"}},"done":true,"embeddings":[{}]}}"#,
            list(&|_, vector| vector.to_owned())
        ),
        ProviderKind::Local => panic!("it has no replies"),
    }
}
