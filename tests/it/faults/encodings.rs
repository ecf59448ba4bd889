//! Objects with unusual encodings, names, metadata or owners.

use glimpse::api::replies::JobReply;
use glimpse::domain::ImageUri;
use reqwest::StatusCode;
use serde_json::json;

use crate::commands::glimpse;
use crate::support::{TestApp, demo_picture};

async fn keys(app: &TestApp) -> Vec<String> {
    let (_, reply) = app.get("/search/images?q=anything&limit=100").await;
    let mut keys: Vec<String> =
        reply["results"].as_array().unwrap().iter().map(|hit| hit["s3_key"].as_str().unwrap().to_owned()).collect();
    keys.sort();
    keys
}

async fn logs(app: &TestApp, job: &JobReply) -> String {
    app.get(&format!("/jobs/{}/logs", job.job_id)).await.1["logs"].as_str().unwrap().to_owned()
}

fn succeeded(job: &JobReply) {
    assert_eq!((job.status.as_str(), job.counts.failed), ("SUCCEEDED", 0), "{job:?}");
}

/// Leftovers beside two images; one of them is no image at all.
async fn seed_leftovers(app: &TestApp) {
    for key in
        ["images/a.jpg", "images/deep/b.jpg", "images/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "images/#recycle/c.jpg"]
    {
        app.put(key, demo_picture("cat.jpg")).await;
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
    let said = logs(&app, &job).await;
    assert_eq!(said.matches("excluded 4 keys (exclude, S3_EXCLUDE): `images/#recycle/c.jpg`").count(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_a_job_and_the_setting_replace_the_default_and_a_retry_keeps_it() {
    let app = TestApp::with(&[("S3_EXCLUDE", "deep/")]).await;
    seed_leftovers(&app).await;
    let job = app.ingest().await;
    assert_eq!((job.counts.skipped, job.counts.done, job.counts.failed), (1, 3, 2), "{job:?}");

    let job = app.ingest_with(json!({"s3_prefix": "images/", "exclude": ["._*", "images/@eaDir"]})).await;
    assert_eq!((job.counts.skipped, job.counts.unchanged, job.counts.done, job.counts.failed), (2, 2, 1, 1), "{job:?}");

    let (status, reply) = app.post(&format!("/jobs/{}/retry", job.job_id), json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
    let retried = app.job_until(reply["job_id"].as_str().unwrap(), JobReply::is_final).await;
    assert_eq!((retried.counts.done, retried.counts.failed), (0, 1), "{retried:?}");

    let job = app.ingest_with(json!({"s3_prefix": "images/", "exclude": []})).await;
    assert_eq!((job.counts.skipped, job.counts.failed), (0, 2), "an empty list excludes nothing: {job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn excludes_that_cannot_be_used_are_refused_by_name() {
    let app = TestApp::start().await;
    let long = "x".repeat(257);
    for (list, words) in [
        (json!(["[a"]), "`[a` is not a glob"),
        (json!([""]), "names no file"),
        (json!([long]), "257 bytes; 256 are allowed"),
        (json!(vec!["a"; 101]), "101 patterns; 100 are allowed"),
    ] {
        let (status, reply) = app.post("/jobs/images", json!({"exclude": list})).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{reply}");
        let said = reply.to_string();
        assert!(said.contains("exclude") && said.contains(words), "{said}");
    }
    let refused = glimpse(&[("S3_EXCLUDE", "{a")], &["serve"]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("S3_EXCLUDE") && said.contains("`{a`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_removes_records_of_excluded_keys_and_does_not_count_them_as_losses() {
    let app = TestApp::start().await;
    seed_leftovers(&app).await;
    let with = |exclude: serde_json::Value, dry_run: bool| json!({"s3_prefix": "images/", "sync": true, "max_delete_percent": 0, "exclude": exclude, "dry_run": dry_run});
    // Two leftovers can be decoded.
    assert_eq!(app.ingest_with(with(json!(["._*", ".@__thumb/"]), false)).await.counts.done, 4);
    let dry = app.ingest_with(with(json!(["@eaDir/", "#recycle/", ".*"]), true)).await;
    assert_eq!((dry.plan.unwrap().deleted, dry.message), (2, None));
    let job = app.ingest_with(with(json!(["@eaDir/", "#recycle/", ".*"]), false)).await;
    succeeded(&job);
    assert_eq!((job.counts.deleted, job.counts.unchanged), (2, 2), "{job:?}");
    assert_eq!(keys(&app).await, ["images/a.jpg", "images/deep/b.jpg"]);
    assert!(
        logs(&app, &job).await.contains("0 of 2 objects have vanished; 2 records of excluded keys are removed, too")
    );
    // What has vanished and is not excluded still counts.
    app.bucket.remove(&ImageUri::new("pipeline", "images/a.jpg")).await.unwrap();
    let job = app.ingest_with(with(json!(["@eaDir/", "#recycle/", ".*"]), false)).await;
    assert_eq!((job.status.as_str(), job.counts.deleted), ("FAILED", 0), "{job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_excludes_what_it_is_told() {
    let app = TestApp::start().await;
    seed_leftovers(&app).await;
    let args = ["ingest", "--prefix", "images/", "--json", "--exclude", "._*,.@__thumb/", "--exclude", "*.{tmp,bak}"];
    let said = glimpse(&[("GLIMPSE_URL", app.url.as_str())], &args).await;
    let reply: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&reply["counts"]["skipped"], &reply["counts"]["done"]), (&json!(2), &json!(4)), "{reply}");
}

/// `ü` and `é`, decomposed, as macOS writes names.
const FOLDER_NFD: &str = "Zu\u{308}rich/";
const FOLDER_NFC: &str = "Z\u{fc}rich/";

#[tokio::test(flavor = "multi_thread")]
async fn a_table_typed_in_another_normal_form_finds_its_images_and_the_log_counts_images() {
    let app = TestApp::start().await;
    app.put(&format!("{FOLDER_NFD}cafe\u{301}.jpg"), demo_picture("cat.jpg")).await;
    app.put(&format!("{FOLDER_NFC}moose.jpg"), demo_picture("moose.jpg")).await;
    app.put(&format!("{FOLDER_NFC}panda.jpg"), demo_picture("panda.jpg")).await;
    let table =
        format!("s3_key,taxon\n{FOLDER_NFC}caf\u{e9}.jpg,Felis\n{FOLDER_NFD}moose.jpg,Alces\n{FOLDER_NFC}gone.jpg,x\n");
    // The table's own key is typed in the other form, too.
    app.put("tableau-e\u{301}.csv", table).await;
    let job = app.ingest_with(json!({"metadata_key": "tableau-\u{e9}.csv"})).await;
    succeeded(&job);
    for (taxon, key) in [("Felis", format!("{FOLDER_NFD}cafe\u{301}.jpg")), ("Alces", format!("{FOLDER_NFC}moose.jpg"))]
    {
        let (_, reply) = app.get(&format!("/search/images?q=anything&meta.taxon={taxon}")).await;
        assert_eq!((&reply["results"][0]["s3_key"], &reply["count"]), (&json!(key), &json!(1)), "{reply}");
    }
    let said = logs(&app, &job).await;
    let line = format!("2 of 3 images found a row; 1 rows found no image: `{FOLDER_NFC}gone.jpg`");
    assert!(said.contains(&line), "{said}");
    // What was joined is known: nothing is done again.
    let again = app.ingest_with(json!({"metadata_key": "tableau-\u{e9}.csv"})).await;
    assert_eq!((again.counts.unchanged, again.counts.done), (3, 0), "{again:?}");
    assert!(logs(&app, &again).await.contains("2 of 3 images found a row"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_typed_in_another_normal_form_is_found() {
    let app = TestApp::start().await;
    let key = |name: &str| format!("{FOLDER_NFD}{name}.jpg");
    app.put(&key("a"), demo_picture("cat.jpg")).await;
    app.put(&key("b"), demo_picture("moose.jpg")).await;
    app.put("s3-table.csv", format!("s3_key,taxon\n{FOLDER_NFC}a.jpg,Felis\n")).await;
    let body = json!({"s3_prefix": FOLDER_NFC, "metadata_key": "s3-table.csv", "sync": true});
    let job = app.ingest_with(body.clone()).await;
    succeeded(&job);
    assert_eq!((job.counts.done, job.s3_prefix.as_str()), (2, FOLDER_NFC));
    let said = logs(&app, &job).await;
    assert!(said.contains("its NFD form, which is used") && said.contains("1 of 2 images found a row"), "{said}");
    // Under `sync` it owns what is under the form that is used.
    app.bucket.remove(&ImageUri::new("pipeline", &key("b"))).await.unwrap();
    let mut body = body;
    body["max_delete_percent"] = json!(50);
    let job = app.ingest_with(body).await;
    succeeded(&job);
    assert_eq!((job.counts.deleted, job.counts.unchanged), (1, 1), "{job:?}");
    assert_eq!(keys(&app).await, [key("a")]);
}
