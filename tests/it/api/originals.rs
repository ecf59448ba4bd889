//! Originals over HTTP, and searches for images that are similar to an indexed one.

use glimpse::api::replies::SearchReply;
use reqwest::StatusCode;
use serde_json::Value;

use crate::support::{TestApp, demo_image, image_id};

async fn search(app: &TestApp, query: &[(&str, &str)]) -> SearchReply {
    let reply = app.client.get(format!("{}/search/images", app.url)).query(query).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    reply.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_is_sent_only_as_an_image() {
    let app = TestApp::start().await;
    let cat = demo_image("cat.jpg");
    app.put("images/cat.jpg", cat.clone()).await;
    app.ingest().await;
    let url = format!("{}/images/{}/original", app.url, image_id("images/cat.jpg"));
    let whole = app.client.get(&url).send().await.unwrap();
    assert_eq!(whole.status(), StatusCode::OK);
    let headers = whole.headers().clone();
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!((header("content-type"), header("x-content-type-options")), ("image/jpeg", "nosniff"));
    assert!(header("content-security-policy").contains("default-src 'none'; sandbox"));
    assert_eq!((header("accept-ranges"), header("cross-origin-resource-policy")), ("bytes", "same-origin"));
    assert_eq!(whole.bytes().await.unwrap(), cat);

    let get_with = |name: &'static str, value: String| app.client.get(&url).header(name, value).send();
    let part = get_with("range", "bytes=10-19".into()).await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"].to_str().unwrap(), format!("bytes 10-19/{}", cat.len()));
    assert_eq!(part.bytes().await.unwrap(), cat[10..20]);
    let beyond = get_with("range", format!("bytes={}-", cat.len())).await.unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let same = get_with("if-none-match", header("etag").to_owned()).await.unwrap();
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);

    // The object may have any content now: an HTML page is not sent as one.
    app.put("images/cat.jpg", b"<html><script>alert(1)</script></html>".to_vec()).await;
    let page = app.client.get(&url).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(page.json::<Value>().await.unwrap()["code"], "unsupported_format");
    app.put("secrets/none.jpg", cat).await;
    let (status, none) = app.get(&format!("/images/{}/original", image_id("secrets/none.jpg"))).await;
    assert_eq!((status, none["code"].as_str()), (StatusCode::NOT_FOUND, Some("unknown_image")), "not indexed");
}

#[tokio::test(flavor = "multi_thread")]
async fn similar_images_start_with_copies_and_leave_out_the_image_itself() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    app.put("images/copy of cat.jpg", demo_image("cat.jpg")).await;
    app.ingest_with(serde_json::json!({})).await;
    let cat = image_id("images/cat.jpg");
    let all = search(&app, &[("like", &cat), ("limit", "100")]).await;
    assert_eq!((all.total, all.like.as_deref()), (26, Some(cat.as_str())));
    assert!(all.results.iter().all(|hit| hit.image.id != cat));
    let first = &all.results[0];
    assert_eq!((first.image.s3_key.as_str(), first.identical), ("images/copy of cat.jpg", Some(true)));
    assert!(first.score > 0.999 && all.results[1].identical == Some(false));

    // Pages have no gap and no repetition at the place of the image itself.
    let mut paged = Vec::new();
    for offset in (0..26).step_by(4) {
        let page = search(&app, &[("like", &cat), ("limit", "4"), ("offset", &offset.to_string())]).await;
        paged.extend(page.results.into_iter().map(|hit| hit.image.id));
    }
    assert_eq!(paged, all.results.iter().map(|hit| hit.image.id.clone()).collect::<Vec<_>>());

    let same = search(&app, &[("like", &cat), ("min_score", "0.99")]).await;
    assert_eq!((same.total, same.results[0].identical), (1, Some(true)));
    // With a text: the result is between the two.
    let both = search(&app, &[("like", &cat), ("q", "a rocket")]).await;
    assert!(both.results.iter().any(|hit| hit.image.s3_key.contains("rocket")), "{both:?}");
    let unknown = app.get("/search/images?like=00000000-0000-5000-8000-000000000000").await;
    assert_eq!((unknown.0, unknown.1["code"].as_str()), (StatusCode::NOT_FOUND, Some("unknown_image")));
}
