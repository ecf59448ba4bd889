//! Thumbnails over HTTP: made on request and stored, or written by the pipeline.

use glimpse::api::replies::SearchReply;
use reqwest::StatusCode;

use crate::support::{TestApp, demo_image};

/// Path of the thumbnail of the first hit for this text.
async fn first(app: &TestApp, text: &str) -> String {
    let request = app.client.get(format!("{}/search/images", app.url)).query(&[("q", text), ("limit", "1")]);
    let reply: SearchReply = request.send().await.unwrap().json().await.unwrap();
    reply.results[0].thumbnail.clone().unwrap()
}

async fn get(app: &TestApp, path: &str) -> reqwest::Response {
    app.client.get(format!("{}{path}", app.url)).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_thumbnail_of_a_hit_is_small_stored_and_has_an_etag() {
    let app = TestApp::start_with(&[("GLIMPSE_INDEX_THUMBNAILS", "false")]).await;
    app.seed_demo().await;
    app.ingest().await;
    let path = first(&app, "a cup of coffee").await;
    let thumbnail = get(&app, &path).await;
    assert_eq!(thumbnail.status(), StatusCode::OK);
    assert_eq!(thumbnail.headers()["content-type"], "image/jpeg");
    assert!(thumbnail.headers()["cache-control"].to_str().unwrap().starts_with("private"));
    let etag = thumbnail.headers()["etag"].to_str().unwrap().to_owned();
    let bytes = thumbnail.bytes().await.unwrap();
    let small = image::load_from_memory(&bytes).unwrap();
    assert_eq!((small.width(), small.height()), (256, 170), "512 x 341, fitted, half to even");
    let again = app.client.get(format!("{}{path}", app.url)).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);

    // A stored thumbnail outlives its object; one that was never made does not.
    let other = first(&app, "a panda").await;
    let uri = |name: &str| glimpse::domain::ImageUri::new("pipeline", &format!("images/{name}"));
    app.bucket.remove(&uri("coffee.jpg")).await.unwrap();
    app.bucket.remove(&uri("panda.jpg")).await.unwrap();
    assert_eq!(get(&app, &path).await.bytes().await.unwrap(), bytes);
    let missing = get(&app, &other).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    let missing: serde_json::Value = missing.json().await.unwrap();
    assert_eq!(missing["code"], "object_vanished", "{missing}");
    assert_eq!(get(&app, "/images/nonsense/thumbnail").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_prefix_thumbnails_are_written_to_the_bucket_without_metadata_and_never_indexed() {
    let app = TestApp::start_with(&[("THUMBNAIL_PREFIX", "thumbnails/")]).await;
    // An image with a location: an EXIF block behind the first two bytes of the file.
    let mut bytes = demo_image("cat.jpg");
    let exif = b"\xff\xe1\x00\x1cExif\0\0MM\0*\0\0\0\x08\0\0GPS-SECRET";
    bytes.splice(2..2, exif.iter().copied());
    app.put("images/cat.jpg", bytes).await;
    app.ingest_with(serde_json::json!({})).await;
    let (_, reply) = app.get("/search/images?q=a+cat&limit=1").await;
    let (id, key) = (&reply["results"][0]["id"], &reply["results"][0]["thumbnail_key"]);
    assert_eq!(key.as_str().unwrap(), format!("thumbnails/{}.jpg", id.as_str().unwrap()));
    let path = first(&app, "a cat").await;
    let bytes = get(&app, &path).await.bytes().await.unwrap();
    assert_eq!(image::load_from_memory(&bytes).unwrap().width(), 256);
    assert!(!bytes.windows(10).any(|part| part == b"GPS-SECRET" || part.starts_with(b"Exif")));

    let again = app.ingest_with(serde_json::json!({})).await;
    assert_eq!((again.counts.listed, again.counts.skipped, again.counts.unchanged), (2, 1, 1), "{again:?}");
    // The written one is served even if the original is gone.
    app.bucket.remove(&glimpse::domain::ImageUri::new("pipeline", "images/cat.jpg")).await.unwrap();
    assert_eq!(get(&app, &path).await.bytes().await.unwrap(), bytes);
}
