//! Ollama on a CPU, which takes half a minute for a caption.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::routing::post;
use axum::{Json, Router};
use glimpse::domain::{Embedding, Space};
use glimpse::embed::{EmbedError, ImageEmbeddingProvider, ProviderKind, Verification};
use glimpse::imaging::{PreparedImage, Preprocessing};
use glimpse::resilience::{Breaker, BreakerSettings};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::support::serve;
use crate::support::services::embed_services::{Service, provider};
use crate::support::{TestApp, demo_images};

/// A quarter of `CLIP_TIMEOUT`, as 30 s are of 120.
const CAPTION: Duration = Duration::from_millis(1_500);
const TIMEOUT: &str = "6";

/// An Ollama that makes one caption at a time, as it does by default.
async fn slow() -> (String, AbortOnDropHandle<()>, Arc<AtomicU32>) {
    let (one_at_a_time, made) = (Arc::new(Mutex::new(())), Arc::new(AtomicU32::new(0)));
    let count = made.clone();
    let chat = move |Json(_): Json<Value>| {
        let (one_at_a_time, count) = (one_at_a_time.clone(), count.clone());
        async move {
            let _turn = one_at_a_time.lock().await;
            tokio::time::sleep(CAPTION).await;
            let number = count.fetch_add(1, Ordering::Relaxed);
            Json(json!({"message": {"role": "assistant", "content": format!("caption {number}")}, "done": true}))
        }
    };
    // A vector that differs between texts.
    let vector = |text: &Value| {
        let mut vector = vec![0.1_f32; 64];
        text.as_str().unwrap().bytes().for_each(|byte| vector[usize::from(byte) % 64] += 1.0);
        vector
    };
    let embed = move |Json(body): Json<Value>| {
        let vectors: Vec<_> = body["input"].as_array().unwrap().iter().map(vector).collect();
        std::future::ready(Json(json!({ "embeddings": vectors })))
    };
    let show = |Json(body): Json<Value>| {
        let is_vision = body["model"] == "llava";
        std::future::ready(Json(json!({"capabilities": [if is_vision { "vision" } else { "embedding" }]})))
    };
    let router = Router::new()
        .route("/api/chat", post(chat))
        .route("/api/embed", post(embed))
        .route("/api/show", post(show))
        .layer(axum::extract::DefaultBodyLimit::max(1 << 26));
    let (url, task) = serve(router).await;
    (url, task, made)
}

/// A7: ten images take 15 s together and each call has 6 s: no call times out, and no caption is made twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_captioner_finishes_with_the_defaults() {
    let (url, _task, made) = slow().await;
    let app = TestApp::start_with(&[
        ("IMAGE_EMBEDDING_PROVIDER", "ollama"),
        ("OLLAMA_BASE_URL", &url),
        ("CLIP_TIMEOUT", TIMEOUT),
        ("GLIMPSE_EMBED_LANES", "4"),
    ])
    .await;
    let deadline = Instant::now() + Duration::from_mins(2);
    while app.get("/readyz").await.0 != StatusCode::OK {
        assert!(Instant::now() < deadline, "its probe does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let probed = made.load(Ordering::Relaxed);
    for path in demo_images().iter().take(10) {
        let key = format!("images/{}", path.file_name().unwrap().to_str().unwrap());
        app.put(&key, std::fs::read(path).unwrap()).await;
    }
    let job = app.ingest().await;
    assert_eq!((job.status.as_str(), job.counts.done, job.counts.failed), ("SUCCEEDED", 10, 0));
    assert_eq!(made.load(Ordering::Relaxed) - probed, 10, "each image gets one caption");
    app.stop().await;
}

/// A7: a captioner gets images in its first probe, but not every ten minutes again.
#[tokio::test]
async fn the_renewal_of_a_captioners_probe_makes_no_captions() {
    let service = Service::start(ProviderKind::Ollama).await;
    let ollama = provider(ProviderKind::Ollama, &service.url, Some(64), Duration::from_mins(1));
    let captions = || service.received.lock().unwrap().bodies.iter().filter(|(path, _)| path == "/api/chat").count();
    let first = ollama.space().await.unwrap();
    assert_eq!(captions(), 2);
    let again = ollama.recheck_space().await.unwrap();
    assert_eq!((captions(), again), (2, first.clone()));
    let other = provider(ProviderKind::Ollama, &service.url, Some(64), Duration::from_mins(1));
    assert_eq!(other.recheck_space().await.unwrap(), first);
    assert_eq!(captions(), 4, "a provider that has not passed gets the whole probe");
}

/// Counts its probes.
#[derive(Default)]
struct Counting {
    whole: AtomicU32,
    again: AtomicU32,
}

fn space() -> Arc<Space> {
    Arc::new(Space { model: "m".into(), dimension: 2, preprocessing: "crop-8".into(), probes: Vec::new() })
}

#[async_trait]
impl ImageEmbeddingProvider for Counting {
    fn preprocessing(&self) -> Preprocessing {
        unreachable!("it is only probed")
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        self.whole.fetch_add(1, Ordering::Relaxed);
        Ok(space())
    }

    async fn recheck_space(&self) -> Result<Arc<Space>, EmbedError> {
        self.again.fetch_add(1, Ordering::Relaxed);
        Ok(space())
    }

    async fn embed_image_batch(&self, _: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        Err(EmbedError::Unsupported)
    }

    async fn embed_text(&self, _: &str) -> Result<Embedding, EmbedError> {
        Err(EmbedError::Unsupported)
    }

    fn max_per_call(&self) -> Option<NonZeroUsize> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn a_verified_provider_is_fully_probed_once_and_then_renewed() {
    let counting = Arc::new(Counting::default());
    let breaker = Arc::new(Breaker::new(BreakerSettings { threshold: 5, cool_down: Duration::from_secs(30) }));
    let (verification, end) = (Arc::new(Verification::new(counting.clone(), Some(breaker))), CancellationToken::new());
    let (kept, until) = (verification.clone(), end.clone());
    let keeper = tokio::spawn(async move { kept.keep(until).await });
    tokio::time::sleep(Duration::from_mins(35)).await;
    end.cancel();
    keeper.await.unwrap();
    assert_eq!((counting.whole.load(Ordering::Relaxed), counting.again.load(Ordering::Relaxed)), (1, 3));
}
