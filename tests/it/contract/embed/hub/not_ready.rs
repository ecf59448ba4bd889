//! A service whose model is not loaded yet, or cannot be.

use std::num::NonZeroUsize;
use std::sync::Arc;

use glimpse::domain::FailureKind;
use glimpse::embed::local::{LocalProvider, Source};
use glimpse::embed::{EmbedError, EmbedSettings, ImageEmbeddingProvider};
use reqwest::StatusCode;
use serde_json::json;
use tokio::sync::Notify;

use super::{Home, IMAGE};
use crate::contract::embed::clip_tiny::folder;
use crate::support::services::hub::{FakeHub, Script};
use crate::support::{TestApp, demo_image};

/// The service must be able to report that it is not ready yet.
#[tokio::test]
async fn calls_during_a_download_are_told_to_retry() {
    let gate = Arc::new(Notify::new());
    let script = Script { hold: Some((IMAGE.to_owned(), gate.clone())), ..Script::default() };
    let hub = FakeHub::start(&folder(), script).await;
    let home = Home::new(&hub);
    let settings = EmbedSettings { clip_model: "org/clip".to_owned(), ..EmbedSettings::default() };
    let source = Source::from_settings(&settings, &home.settings).unwrap();
    let model = LocalProvider::new(source, None, NonZeroUsize::MIN).unwrap();
    tokio::time::pause();
    match model.embed_text("a cat").await {
        Err(EmbedError::Dependency(down)) => {
            assert!(matches!(down.failure, FailureKind::Unavailable { .. }), "{down}");
            assert!(down.detail.contains("org/clip"), "{down}");
        }
        second => panic!("{second:?}"),
    }
    tokio::time::resume();
    gate.notify_one();
    model.ready().await.unwrap();
    model.embed_text("a cat").await.unwrap();
}

/// If a model cannot be loaded, the service keeps running and reports that it is not ready.
#[tokio::test]
async fn a_service_without_its_model_runs_and_is_not_ready() {
    let hub = FakeHub::start(&folder(), Script { private: true, ..Script::default() }).await;
    let home = tempfile::tempdir().unwrap();
    let home = home.path().display().to_string();
    let app = TestApp::start_with(&[("CLIP_MODEL", "org/clip"), ("HF_ENDPOINT", &hub.url), ("HF_HOME", &home)]).await;
    assert_eq!(app.get("/healthz").await.0, StatusCode::OK);
    assert_eq!(app.get("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(hub.requests(), ["GET org/clip main"], "a refusal is not retried at once");
    app.stop().await;
}

/// A model that is not loaded yet is not a failure of an image.
#[tokio::test]
async fn a_job_waits_for_a_missing_model_and_reports_it() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().display().to_string();
    // Nothing listens at this address.
    let nowhere = "http://127.0.0.1:9";
    let app = TestApp::start_with(&[("CLIP_MODEL", "org/clip"), ("HF_ENDPOINT", nowhere), ("HF_HOME", &home)]).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    let job = app.job_until(&id, |job| job.status == "RUNNING" && job.waiting_on.is_some()).await;
    assert_eq!((job.waiting_on.unwrap().dependency.as_str(), job.counts.failed), ("local", 0));
    app.stop().await;
}
