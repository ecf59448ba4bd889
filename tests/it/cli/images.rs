//! `glimpse images`, `glimpse collections` and `glimpse search --like` against a running service.

use glimpse::domain::ImageUri;
use serde_json::json;

use super::Cli;
use super::commands::glimpse;
use crate::support::{TestApp, demo_image};

#[tokio::test(flavor = "multi_thread")]
async fn images_and_collections_are_found_saved_and_removed() {
    let app = TestApp::start().await;
    let cli = Cli::new(&app);
    assert!(cli.run(0, &["collections", "list"]).await.contains("no collections"));
    let cat = demo_image("cat.jpg");
    for (key, image) in [("cat.jpg", "cat.jpg"), ("a copy+1.jpg", "cat.jpg"), ("panda.jpg", "panda.jpg")] {
        app.put(&format!("images/{key}"), demo_image(image)).await;
    }
    app.ingest().await;
    let uri = "s3://pipeline/images/cat.jpg";
    let id = ImageUri::new("pipeline", "images/cat.jpg").id().to_string();

    for like in [uri, &id] {
        let found = cli.json(&["search", "--like", like]).await;
        let results = found["results"].as_array().unwrap();
        assert_eq!((results.len(), results[0]["s3_key"].as_str()), (2, Some("images/a copy+1.jpg")));
        assert_eq!((&results[0]["identical"], &results[1]["identical"]), (&json!(true), &json!(false)));
    }
    let copies = cli.run(0, &["search", "--like", uri, "--min-score", "0.99"]).await;
    assert!(copies.contains("s3://pipeline/images/a copy+1.jpg") && !copies.contains("panda"), "{copies}");
    let rest = cli.run(0, &["search", "a panda", "--offset", "2", "--min-score", "-1"]).await;
    assert!(!rest.contains("panda") && rest.lines().any(|line| line.trim().starts_with("3 ")), "{rest}");

    let shown = cli.run(0, &["images", "show", uri]).await;
    assert!(
        shown.contains(&id) && shown.contains("jpeg") && shown.contains(&format!("{} bytes", cat.len())),
        "{shown}"
    );
    assert_eq!(cli.json(&["images", "show", &id]).await["s3_uri"], uri);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let saved = cli.run(0, &["images", "original", uri, "--output", &file("o.jpg")]).await;
    assert!(saved.starts_with(&format!("wrote {} bytes", cat.len())), "{saved}");
    assert_eq!(std::fs::read(file("o.jpg")).unwrap(), cat);
    cli.run(0, &["images", "thumbnail", &id, "--output", &file("t.jpg")]).await;
    assert!(std::fs::read(file("t.jpg")).unwrap().starts_with(&[0xFF, 0xD8]));
    let piped = glimpse(&[("GLIMPSE_URL", &app.url)], &["images", "original", &id, "-o", "-"]).await;
    assert_eq!(piped.stdout, cat);
    let refused = cli.run(1, &["images", "thumbnail", &id, "--output", &file("none/t.jpg")]).await;
    assert!(refused.contains("cannot be written"), "{refused}");
    assert!(cli.run(0, &["images", "delete", uri]).await.contains(uri));
    let missing = format!("there is no image `{uri}`");
    for arguments in [&["images", "show", uri][..], &["images", "delete", uri], &["search", "--like", uri]] {
        let refused = cli.run(1, arguments).await;
        assert!(refused.contains(&missing) && !refused.contains(&id), "{refused}");
    }

    let page = cli.json(&["images", "list", "--order", "key", "--limit", "1"]).await;
    assert_eq!((&page["count"], &page["images"][0]["s3_key"]), (&json!(1), &json!("images/a copy+1.jpg")));
    let rest = cli.run(0, &["images", "list", "--cursor", page["next_cursor"].as_str().unwrap()]).await;
    assert!(rest.contains("panda.jpg") && !rest.contains("copy") && !rest.contains("more:"), "{rest}");
    let folders = cli.json(&["collections", "facets", "folder", "--format", "jpeg"]).await;
    assert_eq!(folders["values"], json!([{"value": "images/", "count": 2}]));
    assert!(
        cli.run(1, &["collections", "facets", "width"])
            .await
            .contains("format, folder, camera, taken_month or meta.KEY")
    );

    let copy = "s3://pipeline/images/a copy+1.jpg";
    assert!(cli.run(0, &["images", "removed"]).await.contains("no image was removed permanently"));
    assert!(cli.run(0, &["images", "delete", copy, "--permanently"]).await.contains("not indexed again"));
    assert!(cli.run(0, &["images", "removed", "--limit", "1"]).await.contains(copy));
    assert_eq!(cli.json(&["images", "removed"]).await["total"], 1);
    assert_eq!(app.ingest().await.counts.skipped, 1);
    assert!(cli.run(0, &["images", "restore", copy]).await.contains(copy));
    let refused = cli.run(1, &["images", "restore", copy]).await;
    assert!(refused.contains(&format!("no image `{copy}` was removed permanently")), "{refused}");
    app.ingest().await;
    cli.run(0, &["images", "delete", uri]).await;

    let listed = cli.run(0, &["collections", "list"]).await;
    assert!(listed.contains("documents") && listed.contains("glimpse-mini-1"), "{listed}");
    let shown = cli.json(&["collections", "show"]).await;
    assert_eq!((&shown["count"], &shown["stores"]), (&json!(2), &json!({"embedded": 2})));
    assert_eq!(shown["formats"], json!({"jpeg": 2}));
    assert!(shown["total_bytes"].as_u64().unwrap() > cat.len() as u64 && shown["oldest_indexed_at"].is_string());
    assert!(cli.run(0, &["collections", "show", "documents"]).await.contains("glimpse-mini-1/512"));
    assert!(cli.run(1, &["collections", "show", "birds"]).await.contains("there is no collection `birds`"));
    let unconfirmed = cli.run(1, &["collections", "drop", "documents"]).await;
    assert!(unconfirmed.contains("add --yes"), "{unconfirmed}");
    assert_eq!(cli.json(&["collections", "show"]).await["count"], 2);
    cli.run(0, &["collections", "drop", "documents", "--yes"]).await;
    assert!(cli.run(0, &["collections", "list"]).await.contains("no collections"));
}
