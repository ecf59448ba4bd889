//! The whole service with an external model.

use axum::http::StatusCode;
use glimpse::app::App;
use glimpse::config::Settings;
use glimpse::embed::ProviderKind;
use glimpse::shutdown::Shutdown;
use serde_json::json;

use crate::support::services::embed_services::Service;
use crate::support::{TestApp, demo_image};

#[tokio::test]
async fn a_collection_of_a_model_service_is_searched_with_the_local_model() {
    let clip = Service::start(ProviderKind::Clip).await;
    let app = TestApp::start_with(&[("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_ENDPOINT", &clip.url)]).await;
    for name in ["cat.jpg", "rocket.jpg", "coffee.jpg"] {
        app.put(&format!("images/{name}"), demo_image(name)).await;
    }
    let job = app.ingest().await;
    assert_eq!((job.status, job.counts.done, job.counts.failed), ("SUCCEEDED".to_owned(), 3, 0), "{:?}", job.message);
    assert_eq!(app.find("a cat", 1).await, ["cat.jpg"]);

    let app = app.restart_with(&[]).await;
    let hits = app.find_like(demo_image("coffee.jpg")).await;
    assert_eq!(hits.results[0].image.s3_key, "images/coffee.jpg");
    assert!(hits.results[0].score > 0.9999, "{}", hits.results[0].score);
}

#[tokio::test]
async fn a_collection_of_images_goes_on_with_its_model_and_not_with_captions() {
    let app = TestApp::start().await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    app.ingest().await;
    let ollama = Service::start(ProviderKind::Ollama).await;
    let app = app.restart_with(&[("IMAGE_EMBEDDING_PROVIDER", "llava"), ("OLLAMA_BASE_URL", &ollama.url)]).await;
    let (status, reply) = app.get("/search/images?q=a%20cat").await;
    assert_eq!((status, &reply["model"]), (StatusCode::OK, &json!("glimpse-mini-1")), "{reply}");
    app.ingest_with(json!({"s3_prefix": "images/", "collection": "captions"})).await;
    let (_, reply) = app.get("/search/images?q=a%20cat&collection=captions").await;
    assert_eq!(reply["model"], "llava+nomic-embed-text");
}

#[tokio::test]
async fn the_start_prints_the_provider_and_no_secret() {
    for (variables, expected) in [
        (
            vec![("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", "http://clip:8000"), ("CLIP_MODEL", "ViT-B/32")],
            "model    ViT-B/32 by clip at http://clip:8000",
        ),
        (
            vec![("IMAGE_EMBEDDING_PROVIDER", "ollama")],
            "model    captions by llava, vectors of the captions by nomic-embed-text, at http://127.0.0.1:11434",
        ),
        (vec![], "model    glimpse-mini-1 in this process"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let place = [("GLIMPSE_DATA_DIR", &*path), ("GLIMPSE_ADDR", "127.0.0.1:0"), ("GLIMPSE_S3_ADDR", "127.0.0.1:0")];
        let all = variables.into_iter().chain(place).chain([("CLIP_API_KEY", "hush")]);
        let app = App::build(Settings::from_variables(all).unwrap(), &Shutdown::new()).await.unwrap();
        let lines = app.lines().join("\n");
        assert!(lines.contains(expected) && !lines.contains("hush"), "{lines}");
    }
}
