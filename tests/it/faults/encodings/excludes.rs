//! Keys that are excluded: leftovers of file servers and desktops.

use glimpse::api::replies::JobReply;
use glimpse::domain::ImageUri;
use reqwest::StatusCode;
use serde_json::json;

use super::{keys, succeeded};
use crate::cli::commands::glimpse;
use crate::support::{TestApp, demo_image};

/// Leftovers beside two images; one of them is not an image.
async fn seed_leftovers(app: &TestApp) {
    for key in
        ["images/a.jpg", "images/deep/b.jpg", "images/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "images/#recycle/c.jpg"]
    {
        app.put(key, demo_image("cat.jpg")).await;
    }
    app.put("images/._a.jpg", "Mac OS X").await;
    app.put("images/.@__thumb/default1.jpg", "").await;
}

const LEFTOVERS: u64 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_file_servers_are_skipped_and_named() {
    let app = TestApp::start().await;
    seed_leftovers(&app).await;
    let job = app.ingest().await;
    succeeded(&job);
    assert_eq!((job.counts.done, job.counts.skipped, job.counts.listed), (2, LEFTOVERS, 2 + LEFTOVERS));
    assert_eq!(keys(&app).await, ["images/a.jpg", "images/deep/b.jpg"]);
    let text = app.log(&job.job_id).await;
    assert_eq!(text.matches("excluded 4 keys (exclude, S3_EXCLUDE): `images/#recycle/c.jpg`").count(), 1, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_a_job_and_the_setting_replace_the_default_and_a_retry_keeps_it() {
    let app = TestApp::start_with(&[("S3_EXCLUDE", "deep/")]).await;
    seed_leftovers(&app).await;
    let job = app.ingest().await;
    assert_eq!((job.counts.skipped, job.counts.done, job.counts.failed), (1, 3, 2), "{job:?}");

    let job = app.ingest_with(json!({"s3_prefix": "images/", "exclude": ["._*", "images/@eaDir"]})).await;
    assert_eq!((job.counts.skipped, job.counts.unchanged, job.counts.done, job.counts.failed), (2, 2, 1, 1), "{job:?}");

    let (status, reply) = app.post(&format!("/jobs/{}/retry", job.job_id), json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
    let retried = app.job_until(reply["job_id"].as_str().unwrap(), JobReply::is_final).await;
    assert_eq!((retried.counts.done, retried.counts.failed), (0, 1), "{retried:?}");

    for nothing in [json!([]), json!(["none"])] {
        let job = app.ingest_with(json!({"s3_prefix": "images/", "exclude": nothing})).await;
        assert_eq!((job.counts.skipped, job.counts.failed), (0, 2), "{nothing} excludes nothing: {job:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_excludes_are_refused_by_name() {
    let app = TestApp::start().await;
    let long = "x".repeat(257);
    for (list, reason) in [
        (json!(["[a"]), "`[a` is not a glob"),
        (json!([""]), "does not name a file"),
        (json!([long]), "257 bytes; at most 256 are allowed"),
        (json!(vec!["a"; 101]), "101 patterns; at most 100 are allowed"),
    ] {
        let (status, reply) = app.post("/jobs/images", json!({"exclude": list})).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{reply}");
        let text = reply.to_string();
        assert!(text.contains("exclude") && text.contains(reason), "{text}");
    }
    let refused = glimpse(&[("S3_EXCLUDE", "{a")], &["serve"]).await;
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("S3_EXCLUDE") && text.contains("`{a`"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_removes_records_of_excluded_keys_and_does_not_count_them_as_losses() {
    let app = TestApp::start().await;
    seed_leftovers(&app).await;
    let body_with = |exclude: serde_json::Value, dry_run: bool| json!({"s3_prefix": "images/", "sync": true, "max_delete_percent": 0, "exclude": exclude, "dry_run": dry_run});
    // Two leftovers can be decoded.
    assert_eq!(app.ingest_with(body_with(json!(["._*", ".@__thumb/"]), false)).await.counts.done, 4);
    let dry = app.ingest_with(body_with(json!(["@eaDir/", "#recycle/", ".*"]), true)).await;
    assert_eq!((dry.plan.unwrap().deleted, dry.message), (2, None));
    let job = app.ingest_with(body_with(json!(["@eaDir/", "#recycle/", ".*"]), false)).await;
    succeeded(&job);
    assert_eq!((job.counts.deleted, job.counts.unchanged), (2, 2), "{job:?}");
    assert_eq!(keys(&app).await, ["images/a.jpg", "images/deep/b.jpg"]);
    assert!(
        app.log(&job.job_id)
            .await
            .contains("0 of 2 objects have vanished; 2 records of excluded keys are removed, too")
    );
    // A vanished object that is not excluded still counts.
    app.bucket.remove(&ImageUri::new("pipeline", "images/a.jpg")).await.unwrap();
    let job = app.ingest_with(body_with(json!(["@eaDir/", "#recycle/", ".*"]), false)).await;
    assert_eq!((job.status.as_str(), job.counts.deleted), ("FAILED", 0), "{job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_has_an_option_for_excludes() {
    let app = TestApp::start().await;
    seed_leftovers(&app).await;
    let args = ["ingest", "--prefix", "images/", "--json", "--exclude", "._*,.@__thumb/", "--exclude", "*.{tmp,bak}"];
    let text = glimpse(&[("GLIMPSE_URL", app.url.as_str())], &args).await;
    let reply: serde_json::Value = serde_json::from_slice(&text.stdout).unwrap();
    assert_eq!((&reply["counts"]["skipped"], &reply["counts"]["done"]), (&json!(2), &json!(4)), "{reply}");
}
