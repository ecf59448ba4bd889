//! A collection goes on with the model that it was made with, after the settings have changed.

use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{TestApp, demo_image};

/// The keys and scores of the hits for a text in a collection.
async fn scores(app: &TestApp, collection: &str) -> Vec<(Value, Value)> {
    let (status, reply) = app.get(&format!("/search/images?q=a+cat&collection={collection}")).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    let hits = reply["results"].as_array().unwrap();
    hits.iter().map(|hit| (hit["s3_key"].clone(), hit["score"].clone())).collect()
}

async fn model(app: &TestApp, collection: &str) -> Value {
    let (status, reply) = app.get(&format!("/collections/{collection}")).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    reply["embedding_model"].clone()
}

/// The notes of `/readyz`, which has the status 200.
async fn notes(app: &TestApp) -> Vec<String> {
    let (status, ready) = app.get("/readyz").await;
    assert_eq!(status, StatusCode::OK, "{ready}");
    serde_json::from_value(ready["notes"].clone()).unwrap()
}

fn clip_tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clip-tiny")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_goes_on_with_its_model_beside_new_ones() {
    let app = TestApp::start().await;
    for name in ["cat.jpg", "rocket.jpg", "coffee.jpg"] {
        app.put(&format!("images/{name}"), demo_image(name)).await;
    }
    assert_eq!(app.ingest().await.counts.done, 3);
    let before = scores(&app, "documents").await;
    assert!(before[0].0 == "images/cat.jpg" && notes(&app).await.is_empty());
    assert_eq!(model(&app, "documents").await["is_default"], true);

    let app = app.restart_with(&[("IMAGE_RESIZE", "pad")]).await;
    assert_eq!(scores(&app, "documents").await, before);
    let like = app.find_like(demo_image("coffee.jpg")).await;
    assert!(like.results[0].score > 0.9999, "the query image is cropped too");
    app.put("images/panda.jpg", demo_image("panda.jpg")).await;
    let job = app.ingest().await;
    assert_eq!((job.counts.done, job.counts.unchanged), (1, 3), "{job:?}");
    let job = app.ingest_with(json!({"s3_prefix": "images/", "collection": "padded"})).await;
    assert_eq!(job.counts.done, 4, "{job:?}");
    let (old, new) = (model(&app, "documents").await, model(&app, "padded").await);
    assert_eq!((&old["resize"], &old["is_default"]), (&json!("crop"), &json!(false)));
    assert_eq!((&new["resize"], &new["is_default"]), (&json!("pad"), &json!(true)));
    let padded = scores(&app, "padded").await;
    let found = notes(&app).await;
    assert!(found.len() == 1 && found[0].contains("`glimpse collections rebuild documents`"), "{found:?}");
    assert_eq!(app.get("/status").await.1["notes"], json!(found));
    let before = scores(&app, "documents").await;

    let folder = clip_tiny().display().to_string();
    let app = app.restart_with(&[("CLIP_MODEL", &folder)]).await;
    let job = app.ingest_with(json!({"s3_prefix": "images/", "collection": "tiny"})).await;
    assert_eq!(job.counts.done, 4, "{job:?}");
    for _ in 0..2 {
        assert_eq!((scores(&app, "documents").await, scores(&app, "padded").await), (before.clone(), padded.clone()));
        assert_eq!(scores(&app, "tiny").await.len(), 4);
    }
    assert_eq!(notes(&app).await.len(), 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_gone_gives_an_error_with_the_command_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    copy_folder(&clip_tiny(), &first);
    let app = TestApp::start_with(&[("CLIP_MODEL", first.to_str().unwrap())]).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    assert_eq!(app.ingest().await.counts.done, 1);
    let before = scores(&app, "documents").await;

    std::fs::rename(&first, &second).unwrap();
    let app = app.restart_with(&[]).await;
    assert_eq!(notes(&app).await.len(), 1);
    let (status, reply) = app.get("/search/images?q=a+cat").await;
    assert_eq!((status, &reply["code"]), (StatusCode::BAD_GATEWAY, &json!("dependency_refused")), "{reply}");
    let job = app.ingest().await;
    assert_eq!(job.status, "FAILED");
    for message in [reply["message"].as_str().unwrap(), &job.message.unwrap()] {
        for part in ["`documents`", first.to_str().unwrap(), "`glimpse collections rebuild documents`"] {
            assert!(message.contains(part), "{message}");
        }
    }

    let app = app.restart_with(&[("CLIP_MODEL", second.to_str().unwrap())]).await;
    assert_eq!(scores(&app, "documents").await, before, "the same model in another folder");
    assert!(notes(&app).await.is_empty());
    assert_eq!(app.delete("/collections/documents").await.0, StatusCode::OK);
    let app = app.restart_with(&[]).await;
    assert_eq!(app.ingest().await.counts.done, 1);
    assert_eq!(model(&app, "documents").await["model"], "glimpse-mini-1", "a new collection uses the settings");
    app.stop().await;
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
