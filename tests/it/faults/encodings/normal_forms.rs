//! Keys that were typed in another Unicode normal form than they are stored in.

use glimpse::domain::ImageUri;
use serde_json::json;

use super::{keys, succeeded};
use crate::support::{TestApp, demo_image};

/// `ü` and `é`, decomposed, as macOS writes names.
const FOLDER_NFD: &str = "Zu\u{308}rich/";
const FOLDER_NFC: &str = "Z\u{fc}rich/";

#[tokio::test(flavor = "multi_thread")]
async fn a_table_typed_in_another_normal_form_finds_its_images_and_the_log_counts_images() {
    let app = TestApp::start().await;
    app.put(&format!("{FOLDER_NFD}cafe\u{301}.jpg"), demo_image("cat.jpg")).await;
    app.put(&format!("{FOLDER_NFC}moose.jpg"), demo_image("moose.jpg")).await;
    app.put(&format!("{FOLDER_NFC}panda.jpg"), demo_image("panda.jpg")).await;
    let table =
        format!("s3_key,taxon\n{FOLDER_NFC}caf\u{e9}.jpg,Felis\n{FOLDER_NFD}moose.jpg,Alces\n{FOLDER_NFC}gone.jpg,x\n");
    // The key of the metadata file is typed in the other form, too.
    app.put("tableau-e\u{301}.csv", table).await;
    let job = app.ingest_with(json!({"metadata_key": "tableau-\u{e9}.csv"})).await;
    succeeded(&job);
    for (taxon, key) in [("Felis", format!("{FOLDER_NFD}cafe\u{301}.jpg")), ("Alces", format!("{FOLDER_NFC}moose.jpg"))]
    {
        let (_, reply) = app.get(&format!("/search/images?q=anything&meta.taxon={taxon}")).await;
        assert_eq!((&reply["results"][0]["s3_key"], &reply["results"][1]), (&json!(key), &json!(null)), "{reply}");
    }
    let message = app.log(&job.job_id).await;
    let line = format!("images with a row: 2 of 3; rows without an image: 1 (`{FOLDER_NFC}gone.jpg`)");
    assert!(message.contains(&line), "{message}");
    // The rows are known: nothing is done again.
    let again = app.ingest_with(json!({"metadata_key": "tableau-\u{e9}.csv"})).await;
    assert_eq!((again.counts.unchanged, again.counts.done), (3, 0), "{again:?}");
    assert!(app.log(&again.job_id).await.contains("images with a row: 2 of 3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_typed_in_another_normal_form_is_found() {
    let app = TestApp::start().await;
    let key = |name: &str| format!("{FOLDER_NFD}{name}.jpg");
    app.put(&key("a"), demo_image("cat.jpg")).await;
    app.put(&key("b"), demo_image("moose.jpg")).await;
    app.put("s3-table.csv", format!("s3_key,taxon\n{FOLDER_NFC}a.jpg,Felis\n")).await;
    let body = json!({"s3_prefix": FOLDER_NFC, "metadata_key": "s3-table.csv", "sync": true});
    let job = app.ingest_with(body.clone()).await;
    succeeded(&job);
    assert_eq!((job.counts.done, job.s3_prefix.as_str()), (2, FOLDER_NFC));
    let message = app.log(&job.job_id).await;
    assert!(
        message.contains("its NFD form, which is used") && message.contains("images with a row: 1 of 2"),
        "{message}"
    );
    // With `sync`, the prefix covers the keys in the stored form.
    app.bucket.remove(&ImageUri::new("pipeline", &key("b"))).await.unwrap();
    let mut body = body;
    body["max_delete_percent"] = json!(50);
    let job = app.ingest_with(body).await;
    succeeded(&job);
    assert_eq!((job.counts.deleted, job.counts.unchanged), (1, 1), "{job:?}");
    assert_eq!(keys(&app).await, [key("a")]);
}
