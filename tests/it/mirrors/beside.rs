//! Events beside other work on the collection: jobs, verifications and its removal.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::events::CREATED;
use super::{deliver, finished_run, keys, minio, mirror_until, notify, settled, start_mirror};
use crate::support::services::cheap_clip::CheapClip;
use crate::support::{TestApp, quarters_png};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_does_not_wait_for_a_long_job_on_the_same_collection() {
    let clip = CheapClip::start(Duration::from_millis(60)).await;
    let app = TestApp::start_with(&[("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", &clip.url)]).await;
    let token = start_mirror(&app, json!({})).await;
    for number in 0..300 {
        app.put(&format!("images/{number:03}.png"), quarters_png(number)).await;
    }
    assert_eq!(app.post("/mirrors/m/run", json!(null)).await.0, StatusCode::ACCEPTED);
    let running =
        mirror_until(&app, |mirror| mirror.last_run.as_ref().is_some_and(|run| run.status == "RUNNING")).await;
    let job = running.last_run.unwrap().job_id;
    app.job_until(&job, |job| job.counts.done > 0).await;
    app.put("images/new/z.png", quarters_png(1_000)).await;
    notify(&app, &token, CREATED, "images/new/z.png").await;
    let mut found = false;
    while !found && !app.job(&job).await.is_final() {
        found = has_images(&app, "images/new/").await;
    }
    assert!(found && !app.job(&job).await.is_final(), "the image is found while the job runs");
    // Neither does the end of the job, which has not listed it, remove it.
    assert_eq!(finished_run(&app).await.status, "SUCCEEDED");
    assert!(has_images(&app, "images/new/").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_removal_of_a_collection_stops_the_work_on_its_keys() {
    let clip = CheapClip::start(Duration::from_millis(400)).await;
    let app = TestApp::start_with(&[("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", &clip.url)]).await;
    let token = start_mirror(&app, json!({})).await;
    let mut records = Vec::new();
    for number in 0..60 {
        let key = format!("images/{number}.png");
        app.put(&key, quarters_png(number)).await;
        records.push(minio("pipeline", CREATED, &key)["Records"][0].clone());
    }
    assert_eq!(deliver(&app, &token, &json!({"Records": records})).await, [60, 0, 0]);
    app.post("/mirrors/m/pause", json!(null)).await;
    let (status, reply) = app.delete("/collections/documents").await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    assert_eq!(keys(&app).await, Vec::<String>::new());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(keys(&app).await, Vec::<String>::new(), "nothing is written to it any more");
    // The keys still wait, also those of the work that was stopped.
    app.post("/mirrors/m/resume", json!(null)).await;
    mirror_until(&app, |mirror| mirror.waiting_keys == 0).await;
    app.post("/mirrors/m/run", json!(null)).await;
    let run = finished_run(&app).await;
    assert_eq!((keys(&app).await.len(), run.counts.failed), (60, 0), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_finds_no_difference_while_events_arrive() {
    let app = TestApp::start().await;
    let token = start_mirror(&app, json!({})).await;
    for number in 0..40 {
        let key = format!("images/{number}.png");
        app.put(&key, quarters_png(number)).await;
        notify(&app, &token, CREATED, &key).await;
        if number % 10 == 9 {
            let (status, report) = app.post("/collections/documents/verify", json!({})).await;
            let is_new = status == StatusCode::NOT_FOUND;
            assert!(is_new || report["differences"] == json!([]), "{status} {report}");
        }
    }
    settled(&app).await;
    assert_eq!(keys(&app).await.len(), 40);
}

async fn has_images(app: &TestApp, folder: &str) -> bool {
    let list =
        app.client.get(format!("{}/images", app.url)).query(&[("collection", "documents"), ("s3_prefix", folder)]);
    let reply: Value = list.send().await.unwrap().json().await.unwrap();
    reply["images"].as_array().is_some_and(|images| !images.is_empty())
}
