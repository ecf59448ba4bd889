//! Images that are stored several times: as one result of a search, and as groups.

use std::io::Cursor;

use image::imageops::FilterType;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{TestApp, demo_image, image_id};

/// A service with three images: `cat.jpg` twice, a small mirrored version of it, and another image.
async fn start() -> TestApp {
    let app = TestApp::start().await;
    let cat = demo_image("cat.jpg");
    let mut small = Cursor::new(Vec::new());
    let changed = image::load_from_memory(&cat).unwrap().resize(300, 300, FilterType::Triangle).fliph();
    changed.write_to(&mut small, image::ImageFormat::Jpeg).unwrap();
    app.put("images/cat.jpg", cat.clone()).await;
    app.put("images/copy/cat.jpg", cat).await;
    app.put("images/small.jpg", small.into_inner()).await;
    app.put("images/coffee.jpg", demo_image("coffee.jpg")).await;
    app.ingest().await;
    app
}

fn keys(reply: &Value) -> Vec<String> {
    let mut keys: Vec<_> =
        reply.as_array().unwrap().iter().map(|one| one["s3_key"].as_str().unwrap().to_owned()).collect();
    keys.sort();
    keys
}

async fn groups(app: &TestApp, kind: &str) -> Vec<Value> {
    let response = app.send(Method::GET, &format!("/collections/documents/duplicates?kind={kind}"), None).await;
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &"application/x-ndjson".parse().unwrap())
    );
    response.text().await.unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_one_result_and_one_group() {
    let app = start().await;
    let (_, reply) = app.get("/search/images?q=a+cat").await;
    assert_eq!(reply["total"], 4, "each image is a result by default: {reply}");
    assert!(reply["results"][0].get("duplicates").is_none());

    let (_, reply) = app.get("/search/images?q=a+cat&collapse=identical&limit=2").await;
    let results = reply["results"].as_array().unwrap();
    assert_eq!(results.len(), 2, "{reply}");
    let both = results.iter().find(|one| one["duplicates_total"] == 1).unwrap();
    let other = &both["duplicates"][0];
    assert_eq!(
        (keys(&json!([both, other])), &other["identical"]),
        (vec!["images/cat.jpg".to_owned(), "images/copy/cat.jpg".to_owned()], &json!(true))
    );
    let (_, rest) = app.get("/search/images?q=a+cat&collapse=identical&limit=2&offset=2").await;
    assert_eq!(rest["total"], 1, "there are three different files: {rest}");

    let body = json!({"positive": [{"text": "a cat"}], "collapse": "similar"});
    let (_, reply) = app.post("/search/images", body).await;
    assert_eq!((&reply["total"], &reply["results"][0]["duplicates_total"]), (&json!(2), &json!(2)), "{reply}");

    let identical = groups(&app, "identical").await;
    assert_eq!(identical.len(), 1);
    assert_eq!(keys(&identical[0]["images"]), ["images/cat.jpg", "images/copy/cat.jpg"]);
    let similar = groups(&app, "similar").await;
    assert_eq!((similar.len(), &similar[0]["total"]), (1, &json!(3)));
    assert_eq!(similar[0]["images"][2]["s3_key"], "images/small.jpg", "the largest image is first");

    let with_region = format!("/search/images?like={}&copies_only=true&region=0,0,0.5,1", image_id("images/cat.jpg"));
    for (path, code) in [
        ("/collections/documents/duplicates?kind=same", "invalid_kind"),
        ("/collections/documents/duplicates?provider=qdrant", "invalid_provider"),
        ("/search/images?q=a&collapse=all", "invalid_collapse"),
        ("/search/images?q=a&collapse=similar&offset=191", "invalid_offset"),
        ("/search/images?q=a&copies_only=true", "invalid_copies_only"),
        ("/search/images?q=a&copies_only=yes", "invalid_copies_only"),
        (&with_region, "invalid_copies_only"),
        ("/search/images?q=a&lang=german", "invalid_lang"),
    ] {
        let (status, reply) = app.get(path).await;
        assert_eq!((status, &reply["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(code)), "{path}: {reply}");
    }
    let (status, _) = app.get("/collections/none/duplicates").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_for_copies_shows_no_other_image_that_is_near() {
    let app = start().await;
    let cat = image::load_from_memory(&demo_image("cat.jpg")).unwrap();
    let mut part = Cursor::new(Vec::new());
    let (width, height) = (cat.width() * 2 / 5, cat.height() * 2 / 5);
    cat.crop_imm(width / 2, height / 2, width, height).write_to(&mut part, image::ImageFormat::Png).unwrap();
    app.put("images/part.png", part.into_inner()).await;
    app.ingest().await;
    let id = image_id("images/cat.jpg");
    let like = format!("/search/images?lang=&like={id}");
    let (_, near) = app.get(&format!("{like}&min_score=0.5")).await;
    assert!(keys(&near["results"]).contains(&"images/part.png".to_owned()), "its vector is near: {near}");
    let (_, copies) = app.get(&format!("{like}&copies_only=true")).await;
    assert_eq!(keys(&copies["results"]), ["images/copy/cat.jpg", "images/small.jpg"], "{copies}");
    let body = json!({"positive": [{"id": id}], "copies_only": true, "limit": 1, "offset": 1});
    let (_, second) = app.post("/search/images", body).await;
    assert_eq!(
        (&second["total"], &second["results"][0]["s3_key"]),
        (&json!(1), &json!("images/small.jpg")),
        "{second}"
    );
}
