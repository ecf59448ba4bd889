//! A collection that mirrors its bucket: dry runs, removal, renames, and what must never be removed.

use std::sync::atomic::Ordering;

use futures::stream::{self, StreamExt};
use glimpse::api::replies::JobReply;
use glimpse::domain::ImageUri;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::cli::commands::{glimpse, stdout};
use crate::support::proxies::bucket::ProxiedBucketApp;
use crate::support::qdrant::{QdrantServer, ServerFault};
use crate::support::{TestApp, demo_image, demo_images};

pub(crate) async fn remove(app: &TestApp, key: &str) {
    app.bucket.remove(&ImageUri::new("pipeline", key)).await.unwrap();
}

async fn rename(app: &TestApp, from: &str, to: &str) {
    app.put(to, demo_image(from.rsplit('/').next().unwrap())).await;
    remove(app, from).await;
}

async fn count(app: &TestApp) -> u64 {
    let (_, reply) = app.get("/collections").await;
    reply["collections"].as_array().unwrap().iter().map(|one| one["count"].as_u64().unwrap()).sum()
}

/// The keys in the index.
async fn keys(app: &TestApp) -> Vec<String> {
    let (_, reply) = app.get("/search/images?q=anything&limit=100").await;
    let mut keys: Vec<String> =
        reply["results"].as_array().unwrap().iter().map(|hit| hit["s3_key"].as_str().unwrap().to_owned()).collect();
    keys.sort();
    keys
}

fn succeeded(job: &JobReply) -> (u64, u64, u64) {
    assert_eq!(job.status, "SUCCEEDED", "{job:?}");
    (job.counts.done, job.counts.unchanged, job.counts.deleted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_reports_what_a_sync_then_does() {
    let proxied_bucket = ProxiedBucketApp::start(&[]).await;
    let app = &proxied_bucket.app;
    let dry = json!({"s3_prefix": "images/", "dry_run": true});
    let fresh = app.ingest_with(dry.clone()).await;
    assert_eq!(fresh.plan.as_ref().map(|plan| plan.new), Some(0));
    let names = app.seed_demo().await;
    proxied_bucket.reads();
    let fresh = app.ingest_with(dry.clone()).await.plan.unwrap();
    assert_eq!((fresh.new, fresh.changed, fresh.deleted, fresh.examples.new.len()), (26, 0, 0, 10));
    assert_eq!((proxied_bucket.reads(), count(app).await), (0, 0), "not even the collection is created");
    assert_eq!(succeeded(&app.ingest().await), (26, 0, 0));

    let key = |at: usize| format!("images/{}", names[at]);
    for at in 0..5 {
        app.put(&key(at), demo_image(&names[at + 1])).await;
    }
    for at in 10..13 {
        remove(app, &key(at)).await;
    }
    for at in [20, 21] {
        rename(app, &key(at), &format!("images/moved/{}", names[at])).await;
    }
    let before = keys(app).await;
    proxied_bucket.reads();
    let sync = json!({"s3_prefix": "images/", "sync": true, "dry_run": true});
    let found = app.ingest_with(sync).await;
    assert_eq!(succeeded(&found), (0, 19 - 3, 0));
    let plan = found.plan.unwrap();
    assert_eq!((plan.new, plan.changed, plan.deleted, found.counts.left), (2, 5, 5, 0));
    let mut removed: Vec<String> = [10, 11, 12, 20, 21].map(key).to_vec();
    removed.sort();
    assert_eq!(plan.examples.deleted, removed);
    assert_eq!(plan.examples.new.len() + plan.examples.changed.len(), 7);
    let warned = found.message.unwrap();
    assert!(warned.contains("5 of the 26 objects") && warned.contains("max_delete_percent = 10"), "{warned}");
    assert_eq!((proxied_bucket.reads(), keys(app).await), (0, before.clone()), "nothing is changed");
    let unasked = app.ingest_with(dry).await.plan.unwrap();
    assert_eq!(unasked.deleted, 0, "without sync nothing would be removed");

    let refused = app.ingest_with(json!({"s3_prefix": "images/", "sync": true, "max_delete_percent": 19})).await;
    assert_eq!((refused.status.as_str(), refused.counts.deleted), ("FAILED", 0));
    let text = refused.message.unwrap();
    assert!(text.starts_with("5 of the 26 objects") && text.contains("max_delete_percent = 19"), "{text}");
    let after = keys(app).await;
    assert!(removed.iter().all(|key| after.contains(key)), "nothing was removed: {after:?}");

    let mirror = json!({"s3_prefix": "images/", "sync": true, "max_delete_percent": 20});
    let synced = app.ingest_with(mirror.clone()).await;
    let (_, _, deleted) = succeeded(&synced);
    assert_eq!((deleted, synced.counts.done + refused.counts.done), (5, 7));
    assert_eq!(count(app).await, 23);
    let now = keys(app).await;
    assert!(removed.iter().all(|key| !now.contains(key)), "{now:?}");
    assert!(now.contains(&format!("images/moved/{}", names[20])));
    let hit = app.find_like(demo_image(&names[21])).await.results.remove(0);
    assert_eq!(hit.image.s3_key, format!("images/moved/{}", names[21]));

    proxied_bucket.reads();
    assert_eq!(succeeded(&app.ingest_with(mirror).await), (0, 23, 0));
    assert_eq!(proxied_bucket.reads(), 0, "a second run only lists");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_image_is_read_but_not_embedded() {
    let proxied_bucket = ProxiedBucketApp::start(&[("THUMBNAIL_PREFIX", "thumbs/")]).await;
    let app = &proxied_bucket.app;
    let names = app.seed_demo().await;
    assert_eq!(succeeded(&app.ingest().await), (26, 0, 0));
    let like = app.find_like(demo_image("cat.jpg")).await.results.remove(0);
    for name in &names {
        rename(app, &format!("images/{name}"), &format!("elsewhere/{name}")).await;
    }
    proxied_bucket.reads();
    let moved = app.ingest_with(json!({"sync": true, "max_delete_percent": 100})).await;
    assert_eq!(succeeded(&moved), (26, 0, 26));
    assert_eq!(proxied_bucket.reads(), 26, "one GET each");
    let stages = moved.stages.unwrap();
    assert!(stages.fetch.p95_ms > 0.0 && stages.prepare.p95_ms <= 0.0 && stages.embed.p95_ms <= 0.0, "{stages:?}");
    let hit = app.find_like(demo_image("cat.jpg")).await.results.remove(0);
    assert_eq!(
        (hit.image.s3_key.as_str(), hit.image.width, hit.image.height),
        ("elsewhere/cat.jpg", like.image.width, like.image.height)
    );
    assert!((hit.score - like.score).abs() < 1e-6);
    let (status, record) = app.get(&format!("/images/{}", hit.image.id)).await;
    assert_eq!((status, &record["s3_uri"]), (StatusCode::OK, &json!("s3://pipeline/elsewhere/cat.jpg")));
    assert_eq!(record["thumbnail_key"], json!(like.thumbnail_key), "the image is the same, and so is its thumbnail");
    let thumbnail = app.send(Method::GET, &format!("/images/{}/thumbnail", hit.image.id), None).await;
    assert_eq!(thumbnail.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_removes_only_records_under_its_prefix() {
    let app = TestApp::start().await;
    let images: Vec<_> = demo_images().iter().take(8).map(|path| std::fs::read(path).unwrap()).collect();
    let all = ["a/1.jpg", "a/2.jpg", "a/raw.bin", "b/1.jpg", "b/2.jpg", "im/1.jpg", "im2/1.jpg", "in/1.jpg"];
    for (key, image) in all.iter().zip(images) {
        app.put(key, image).await;
    }
    assert_eq!(succeeded(&app.ingest_with(json!({"any_extension": true})).await).0, 8);
    for key in ["a/1.jpg", "b/1.jpg", "im/1.jpg", "im2/1.jpg", "in/1.jpg"] {
        remove(&app, key).await;
    }
    let mirror = |prefix: &str| json!({"s3_prefix": prefix, "sync": true, "max_delete_percent": 100});
    assert_eq!(succeeded(&app.ingest_with(mirror("a/")).await).2, 1);
    assert_eq!(keys(&app).await, ["a/2.jpg", "a/raw.bin", "b/1.jpg", "b/2.jpg", "im/1.jpg", "im2/1.jpg", "in/1.jpg"]);
    assert_eq!(succeeded(&app.ingest_with(mirror("im")).await).2, 2);
    assert_eq!(keys(&app).await, ["a/2.jpg", "a/raw.bin", "b/1.jpg", "b/2.jpg", "in/1.jpg"]);
    assert_eq!(succeeded(&app.ingest_with(json!({"s3_prefix": "b/"})).await).2, 0, "nothing is removed without sync");
    // A key that is not an image by its name still exists.
    assert_eq!(succeeded(&app.ingest_with(mirror("")).await).2, 2);
    assert_eq!(keys(&app).await, ["a/2.jpg", "a/raw.bin", "b/2.jpg"]);
    // The other collection is unknown, and nothing is removed.
    assert_eq!(
        succeeded(&app.ingest_with(json!({"collection": "other", "s3_prefix": "zz/", "sync": true})).await).2,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn contradictory_options_are_refused_at_submission() {
    let app = TestApp::start().await;
    for (body, code) in [
        (json!({"sync": true, "image_max_items": 5}), "invalid_image_max_items"),
        (json!({"sync": true, "max_delete_percent": 101}), "invalid_max_delete_percent"),
        (json!({"image_max_items": 0}), "invalid_image_max_items"),
        (json!({"s3_prefix": "x".repeat(1_025)}), "invalid_s3_prefix"),
        (json!({"max_delete_percent": 5}), "invalid_max_delete_percent"),
        (json!({"max_failures": "many"}), "invalid_max_failures"),
        (json!({"max_failures": "101%"}), "invalid_max_failures"),
    ] {
        let (status, reply) = app.post("/jobs/images", body.clone()).await;
        assert_eq!((status, reply["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some(code)), "{body}: {reply}");
    }
    let capped = json!({"dry_run": true, "image_max_items": 3});
    app.seed_demo().await;
    let plan = app.ingest_with(capped).await.plan.unwrap();
    assert_eq!(plan.new, 3, "a dry run without sync can have a limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_listing_removes_nothing() {
    let proxied_bucket = ProxiedBucketApp::start(&[]).await;
    let app = &proxied_bucket.app;
    let names = app.seed_demo().await;
    assert_eq!(succeeded(&app.ingest().await), (26, 0, 0));
    for name in &names[..20] {
        remove(app, &format!("images/{name}")).await;
    }
    // More than one page, all before the images that stay.
    stream::iter(0..1_100)
        .for_each_concurrent(16, |at| async move { app.put(&format!("images/0/{at:04}.txt"), "no image").await })
        .await;
    proxied_bucket.refuses.store(true, Ordering::SeqCst);
    let mirror = json!({"s3_prefix": "images/", "sync": true, "max_delete_percent": 100});
    let broken = app.ingest_with(mirror.clone()).await;
    assert_eq!((broken.status.as_str(), broken.counts.listed, broken.counts.deleted), ("FAILED", 1_000, 0));
    assert!(proxied_bucket.pages.load(Ordering::SeqCst) >= 2);
    assert_eq!(count(app).await, 26);
    proxied_bucket.refuses.store(false, Ordering::SeqCst);
    assert_eq!(succeeded(&app.ingest_with(mirror).await), (0, 6, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_waits_for_a_store_that_is_down_also_after_a_restart() {
    let qdrant = QdrantServer::start().await;
    let url = qdrant.url();
    let variables = [
        ("VECTOR_DB_PROVIDER", "embedded,qdrant"),
        ("QDRANT_URL", url.as_str()),
        ("VECTOR_DB_CIRCUIT_BREAKER_TIMEOUT", "1"),
    ];
    let app = TestApp::start_with(&variables).await;
    let names = app.seed_demo().await;
    assert_eq!(succeeded(&app.ingest().await), (26, 0, 0));
    for name in &names[..13] {
        remove(&app, &format!("images/{name}")).await;
    }
    // It reads and does not write.
    qdrant.fail(ServerFault::WaitTimeout);
    let id = app.submit(json!({"s3_prefix": "images/", "sync": true, "max_delete_percent": 50})).await;
    let job = app.job_until(&id, |job| job.waiting_on.is_some() || job.is_final()).await;
    assert_eq!(job.waiting_on.map(|waiting| waiting.dependency), Some("qdrant".to_owned()));
    assert_eq!(
        (job.counts.deleted, qdrant.points("documents_images").len()),
        (0, 26),
        "removed only when it is removed from every store"
    );

    let app = app.restart().await;
    app.job_until(&id, |job| job.waiting_on.is_some()).await;
    assert_eq!(app.job(&id).await.counts.deleted, 0);
    qdrant.fail(ServerFault::None);
    let job = app.job_until(&id, JobReply::is_final).await;
    assert_eq!(succeeded(&job), (0, 13, 13));
    assert_eq!(qdrant.points("documents_images").len(), 13);
    let (status, verified) = app.post("/collections/documents/verify", json!({})).await;
    assert_eq!((status, &verified["agrees"]), (StatusCode::OK, &json!(true)), "{verified}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_mirrors_too() {
    let app = TestApp::start().await;
    let names = app.seed_demo().await;
    let at = [("GLIMPSE_URL", app.url.as_str())];
    let sync = ["ingest", "--prefix", "images/", "--sync"];
    assert_eq!(glimpse(&at, &sync).await.status.code(), Some(0));
    remove(&app, &format!("images/{}", names[0])).await;
    let dry = glimpse(&at, &[&sync[..], &["--dry-run"]].concat()).await;
    let text = stdout(&dry);
    assert!(text.contains("0 new, 0 changed, 1 to remove"), "{text}");
    assert!(text.contains(&format!("removed  images/{}", names[0])), "{text}");
    let refused = glimpse(&at, &[&sync[..], &["--max-delete-percent", "3"]].concat()).await;
    assert!(refused.status.code() == Some(1) && stdout(&refused).contains("1 of the 26"), "{}", stdout(&refused));
    let done = glimpse(&at, &[&sync[..], &["--max-failures", "5%"]].concat()).await;
    assert!(done.status.success() && stdout(&done).contains("1 removed"), "{}", stdout(&done));
    let usage = glimpse(&at, &[&sync[..], &["--max-items", "1"]].concat()).await;
    assert_eq!(usage.status.code(), Some(2));
}
