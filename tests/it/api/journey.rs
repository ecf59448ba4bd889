//! From a bucket to a search result, through the whole service.

use std::collections::BTreeMap;

use glimpse::api::replies::ThroughputReply;
use glimpse::domain::{CollectionName, ImageUri};
use glimpse::index::ImageIndex;
use glimpse::index::embedded::EmbeddedIndex;
use serde::Deserialize;
use serde_json::json;

use crate::support::{TestApp, demo_image, names, root};

#[derive(Deserialize)]
struct Queries {
    queries: BTreeMap<String, Vec<String>>,
    hard: BTreeMap<String, Vec<String>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_demo_query_finds_its_image() {
    let app = TestApp::start().await;
    let images = app.seed_demo().await;
    let job = app.ingest().await;
    assert_eq!((job.status.as_str(), job.counts.done, job.counts.failed), ("SUCCEEDED", 26, 0), "{job:?}");
    assert!(job.bottleneck.is_some() && job.images_per_second.is_some_and(|rate| rate > 0.0), "{job:?}");

    let file = std::fs::read(root().join("demo/queries.json")).unwrap();
    let Queries { queries, hard } = serde_json::from_slice(&file).unwrap();
    assert_eq!((queries.len(), hard.len()), (32, 17));
    for (text, right) in &queries {
        let found = app.find(text, 1).await;
        assert!(right.contains(&found[0]), "{text}: {found:?}");
    }
    for (text, right) in &hard {
        let found = app.find(text, 5).await;
        assert!(found.iter().any(|name| right.contains(name)), "{text}: {found:?}");
    }
    for image in images {
        let reply = app.find_like(demo_image(&image)).await;
        assert_eq!(names(&reply)[0], image);
        assert!(reply.results[0].score >= 0.999, "{image}: {}", reply.results[0].score);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn indexed_images_survive_a_restart_and_are_not_read_again() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    let job = app.ingest().await;
    let app = app.restart().await;
    assert_eq!(app.find("a cat", 1).await, ["cat.jpg"]);
    let (_, throughput) = app.get(&format!("/jobs/{}/throughput", job.job_id)).await;
    let throughput: ThroughputReply = serde_json::from_value(throughput).unwrap();
    assert_eq!(throughput.images.iter().sum::<u64>(), 26, "{throughput:?}");
    assert!(throughput.duration_seconds > 0.0 && throughput.interval_seconds >= 1, "{throughput:?}");
    app.put("images/new.jpg", demo_image("panda.jpg")).await;
    app.put("images/cat.jpg", demo_image("moose.jpg")).await;
    let again = app.ingest().await;
    assert_eq!((again.counts.unchanged, again.counts.done), (25, 2), "{again:?}");
    let (_, collections) = app.get("/collections").await;
    assert_eq!(collections["collections"][0]["count"], 27);
    assert!(app.find_like(demo_image("cat.jpg")).await.results[0].score < 0.99, "the old cat is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_a_store_has_lost_are_indexed_again() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    app.ingest().await;
    let folder = app.stop().await;
    // As after a power loss: the store has lost its last commits, the ledger has not.
    let index = EmbeddedIndex::open(&folder.path().join("index")).unwrap();
    let lost = ["cat.jpg", "moose.jpg"].map(|name| ImageUri::new("pipeline", &format!("images/{name}")).id());
    index.delete(&CollectionName::parse("documents").unwrap(), &lost).await.unwrap();
    drop(index);
    let app = TestApp::start_in(folder, &[]).await;
    let again = app.ingest().await;
    assert_eq!((again.counts.unchanged, again.counts.done), (24, 2), "{again:?}");
    assert_eq!(app.find("a cat", 1).await, ["cat.jpg"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_and_a_text_together_give_a_query_between_both() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    app.ingest().await;
    let part = reqwest::multipart::Part::bytes(demo_image("coffee.jpg")).file_name("coffee.jpg");
    let form = reqwest::multipart::Form::new().part("file", part).text("q", "a cup of coffee");
    let reply = app.client.post(format!("{}/search/images", app.url)).multipart(form).send().await.unwrap();
    let reply: glimpse::api::replies::SearchReply = reply.json().await.unwrap();
    assert_eq!(reply.query.as_deref(), Some("a cup of coffee"));
    assert_eq!(names(&reply)[0], "coffee.jpg");
    assert!(reply.results[0].score < 0.999, "the words moved the query");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_image_fails_alone_with_its_class() {
    let app = TestApp::start_with(&[("IMAGE_MAX_SIZE_MB", "1"), ("IMAGE_MAX_PIXELS", "1000000")]).await;
    let good = demo_image("cat.jpg");
    app.put("images/good.jpg", good.clone()).await;
    app.put("images/ünï cödé +%25.JPG", good.clone()).await;
    app.put("images//lead.jpg", good.clone()).await;
    app.put("images/notes.txt", "not an image by its name").await;
    app.put("images/text.jpg", "an image by its name only").await;
    app.put("images/page.jpg", "<!doctype html><title>no</title>").await;
    app.put("images/empty.png", "").await;
    app.put("images/cut.jpg", good[..good.len() / 2].to_vec()).await;
    app.put("images/large.jpg", [good.clone(), vec![0; 1 << 20]].concat()).await;
    app.put("images/bomb.png", png_header(60_000, 60_000)).await;

    let job = app.ingest().await;
    assert_eq!(job.status, "SUCCEEDED");
    let counts = job.counts;
    assert_eq!((counts.listed, counts.skipped, counts.done, counts.failed, counts.left), (10, 1, 3, 6, 0), "{job:?}");
    let mut classes: Vec<(String, String)> =
        app.failures(&job.job_id).await.failures.into_iter().map(|f| (f.s3_key, f.class)).collect();
    classes.sort();
    let expected = [
        ("images/bomb.png", "too_many_pixels"),
        ("images/cut.jpg", "truncated"),
        ("images/empty.png", "unsupported_format"),
        ("images/large.jpg", "too_large"),
        ("images/page.jpg", "unsupported_format"),
        ("images/text.jpg", "unsupported_format"),
    ];
    assert_eq!(classes, expected.map(|(key, class)| (key.to_owned(), class.to_owned())));
    let keys: Vec<String> = app.find_like(good).await.results.into_iter().map(|hit| hit.image.s3_key).collect();
    for key in ["images/good.jpg", "images/ünï cödé +%25.JPG", "images//lead.jpg"] {
        assert!(keys.iter().any(|found| found == key), "{key} in {keys:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_failures_fail_the_job_and_any_extension_reads_every_file() {
    let app = TestApp::start().await;
    app.put("images/a.bin", demo_image("cat.jpg")).await;
    app.put("images/b.bin", "no image").await;
    app.put("images/c.bin", "no image").await;
    let lenient = app.ingest_with(json!({"any_extension": true, "max_failures": 2})).await;
    assert_eq!((lenient.status.as_str(), lenient.counts.done, lenient.counts.failed), ("SUCCEEDED", 1, 2));
    let strict = app.ingest_with(json!({"any_extension": true, "max_failures": 1})).await;
    assert_eq!(strict.status, "FAILED");
    assert!(strict.message.unwrap().contains("max_failures = 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_keys_succeeds_with_a_warning_and_max_items_limits_a_job() {
    let app = TestApp::start().await;
    let nothing = app.ingest_with(json!({"s3_prefix": "nowhere/"})).await;
    assert_eq!(nothing.status, "SUCCEEDED");
    assert!(nothing.message.unwrap().contains("nowhere/"));
    let (status, empty) = app.get("/search/images?q=a+cat").await;
    assert_eq!((status.as_u16(), empty["total"].as_u64()), (200, Some(0)), "an empty collection is an empty list");
    app.seed_demo().await;
    let some = app.ingest_with(json!({"image_max_items": 5})).await;
    assert_eq!((some.counts.done, some.counts.left), (5, 0), "{:?}", some.counts);
    let rest = app.ingest_with(json!({})).await;
    assert_eq!((rest.counts.unchanged, rest.counts.done), (5, 21));
}

/// The signature and header of a PNG that claims this many pixels.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let crc = crc32(&chunk);
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    png.extend(chunk);
    png.extend(crc.to_be_bytes());
    png.extend(b"\0\0\0\0IDAT");
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}
