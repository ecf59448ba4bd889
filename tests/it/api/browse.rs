//! Lists of images, facets and what a collection has, over HTTP.

use serde_json::{Value, json};

use crate::support::{TestApp, demo_image};

async fn get(app: &TestApp, path: &str) -> (u16, Value) {
    let reply = app.client.get(format!("{}{path}", app.url)).send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

async fn keys(app: &TestApp, path: &str) -> Vec<String> {
    let (mut keys, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, page) = get(app, &format!("{path}{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        let images = page["images"].as_array().unwrap();
        assert_eq!(page["count"], images.len());
        keys.extend(images.iter().map(|image| image["s3_key"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return keys,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_listed_counted_and_summed_up() {
    let app = TestApp::start().await;
    assert_eq!(get(&app, "/images").await.1["code"], "unknown_collection");
    for (number, key) in ["images/a/1.jpg", "images/a/2.jpg", "images/b/3.jpg"].into_iter().enumerate() {
        let object = glimpse::source::NewObject {
            bytes: demo_image("cat.jpg").into(),
            content_type: "image/jpeg".into(),
            metadata: [("taxon".to_owned(), format!("t{}", number / 2))].into(),
            ..Default::default()
        };
        app.put_object(key, object).await;
    }
    app.ingest().await;

    let sorted = ["images/a/1.jpg", "images/a/2.jpg", "images/b/3.jpg"];
    assert_eq!(keys(&app, "/images?order=key&limit=2").await, sorted);
    for path in ["/images?limit=1", "/images?order=random&limit=2"] {
        let mut all = keys(&app, path).await;
        all.sort();
        assert_eq!(all, sorted, "{path}");
    }
    assert_eq!(keys(&app, "/images?order=key&s3_prefix=images/a/&meta.taxon=t0").await, sorted[..2]);
    let (_, page) = get(&app, "/images?order=key&limit=1&s3_prefix=images/a/").await;
    let other = format!("/images?cursor={}&s3_prefix=images/", page["next_cursor"].as_str().unwrap());
    let (status, error) = get(&app, &other).await;
    assert_eq!((status, error["code"].as_str()), (422, Some("invalid_cursor")), "{error}");
    let (_, page) = get(&app, "/images?limit=1").await;
    let (_, image) = get(&app, &format!("/images/{}", page["images"][0]["id"].as_str().unwrap())).await;
    assert_eq!(page["images"][0], image);

    let (_, facets) = get(&app, "/collections/documents/facets?field=meta.taxon&limit=1").await;
    let expected = json!({"field": "meta.taxon", "provider": "embedded", "values": [{"value": "t0", "count": 2}],
        "count": 1, "has_more": true});
    assert_eq!(facets, expected);
    let (_, folders) = get(&app, "/collections/documents/facets?field=folder&meta.taxon=t1").await;
    assert_eq!(folders["values"], json!([{"value": "images/", "count": 1}, {"value": "images/b/", "count": 1}]));

    let (_, collection) = get(&app, "/collections/documents").await;
    assert_eq!((&collection["count"], &collection["stores"]), (&json!(3), &json!({"embedded": 3})));
    assert_eq!(collection["total_bytes"], demo_image("cat.jpg").len() * 3);
    assert_eq!((&collection["formats"], &collection["meta_keys"]), (&json!({"jpeg": 3}), &json!(["taxon"])));
    assert!(collection["oldest_indexed_at"].as_str() <= collection["newest_indexed_at"].as_str(), "{collection}");
    assert!(collection["space"].is_string() && collection["oldest_indexed_at"].is_string(), "{collection}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_parameters_of_lists_and_facets_are_refused_and_named() {
    let app = TestApp::start().await;
    for (path, code, text) in [
        ("/images?order=newes", "invalid_order", "did you mean `newest`?"),
        ("/images?limit=0", "invalid_limit", "from 1 to 100"),
        ("/images?cursor=x", "invalid_cursor", "`next_cursor`"),
        ("/images?provider=q", "invalid_provider", "`q` is not a store"),
        ("/images?collection=1", "invalid_collection", "`1` is not a collection name"),
        ("/images?s3_prefix=a", "invalid_s3_prefix", "must end in `/`"),
        ("/images?curser=x", "unknown_parameter", "did you mean `cursor`?"),
        (
            "/collections/documents/facets?field=width",
            "invalid_field",
            "format, folder, camera, taken_month or meta.KEY",
        ),
        ("/collections/documents/facets?field=format&limit=1001", "invalid_limit", "from 1 to 1000"),
        ("/collections/documents/facets", "invalid_field", "format, folder, camera, taken_month or meta.KEY"),
        ("/collections/1", "invalid_collection", "`1` is not a collection name"),
    ] {
        let (status, error) = get(&app, path).await;
        assert_eq!((status, error["code"].as_str()), (422, Some(code)), "{path}: {error}");
        assert!(error["message"].as_str().unwrap().contains(text), "{path}: {error}");
    }
    for path in ["/collections/none", "/collections/none/facets?field=format", "/images?collection=none"] {
        let (status, error) = get(&app, path).await;
        assert_eq!((status, error["code"].as_str()), (404, Some("unknown_collection")), "{path}: {error}");
    }
}
