//! Thumbnails of large files, many at the same time.

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::image_id;
use crate::support::{TestApp, demo_image};

const MB: f64 = 1024.0 * 1024.0;

async fn metric(app: &TestApp, name: &str) -> f64 {
    let text = app.client.get(format!("{}/metrics", app.url)).send().await.unwrap().text().await.unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_one_thumbnail_fetch_and_decode_once() {
    let app = TestApp::start_with(&[("GLIMPSE_INDEX_THUMBNAILS", "false")]).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    app.ingest().await;
    let large = [demo_image("cat.jpg"), vec![0; 20 << 20]].concat();
    app.put("images/cat.jpg", large.clone()).await;
    let before = metric(&app, "glimpse_fetched_bytes_total").await;
    let url = format!("{}/images/{}/thumbnail", app.url, image_id("images/cat.jpg"));
    let all = join_all((0..8).map(|_| app.client.get(&url).send())).await;
    assert!(all.into_iter().all(|reply| reply.unwrap().status() == StatusCode::OK));
    let fetched = metric(&app, "glimpse_fetched_bytes_total").await - before;
    // One request may come after the first fetch was complete; eight may not.
    assert!(fetched < 3.0 * 20.0 * MB, "{fetched}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thumbnail_of_an_object_that_became_too_large_is_422_with_the_setting() {
    let app = TestApp::start_with(&[("IMAGE_MAX_SIZE_MB", "1"), ("GLIMPSE_INDEX_THUMBNAILS", "false")]).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    app.ingest().await;
    app.put("images/cat.jpg", [demo_image("cat.jpg"), vec![0; 2 << 20]].concat()).await;
    let (status, reply) = app.get(&format!("/images/{}/thumbnail", image_id("images/cat.jpg"))).await;
    assert_eq!((status.as_u16(), reply["code"].as_str()), (422, Some("too_large")), "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("IMAGE_MAX_SIZE_MB"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_thumbnail_that_is_not_one_is_made_again() {
    let app = TestApp::start_with(&[("THUMBNAIL_PREFIX", "thumbnails/")]).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    app.ingest_with(json!({"s3_prefix": "images/"})).await;
    let path = format!("/images/{}/thumbnail", image_id("images/cat.jpg"));
    for other in [b"<html>".to_vec(), vec![0; 5 << 20]] {
        app.put(&format!("thumbnails/{}.jpg", image_id("images/cat.jpg")), other).await;
        let reply = app.client.get(format!("{}{path}", app.url)).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        assert_eq!(image::load_from_memory(&reply.bytes().await.unwrap()).unwrap().width(), 256);
    }
}
