//! D8: waiting costs little: requests for work are held, and streams send nothing while nothing changes.

use std::time::Duration;

use futures::StreamExt;
use glimpse::api::replies::JobReply;
use serde_json::json;
use tokio::time::Instant;

use super::{JobApi, start_with_images};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_work_waits_until_there_is_some() {
    let (app, job) = start_with_images(4, &[("IMAGE_BATCH_SIZE", "4")]).await;
    let api = JobApi::new(&app, &job).await;
    api.join("one").await;
    api.join("two").await;
    let batch = api.lease("one").await;
    let waiting = async { api.post("leases", &json!({"worker": "two", "held": []})).await };
    let gives_back = async {
        // Long enough for a polling worker to send several requests.
        tokio::time::sleep(Duration::from_secs(2)).await;
        api.post("workers/one/exit", &json!({"rc": 0})).await
    };
    let started = Instant::now();
    let ((status, got), _) = tokio::join!(waiting, gives_back);
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(status == 200 && got["batch"] == batch["batch"], "the waiting request returns the work: {got}");
    // A stop also ends such a request at once.
    let waiting = async { api.post("leases", &json!({"worker": "two"})).await };
    let stops = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        app.delete(&format!("/jobs/{}", job.job_id)).await
    };
    let ((_, update), _) = tokio::join!(waiting, stops);
    assert_eq!(update, json!({"stop": true}));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_stops_at_once_while_workers_wait_for_work() {
    let (app, job) = start_with_images(4, &[("IMAGE_BATCH_SIZE", "4")]).await;
    let api = JobApi::new(&app, &job).await;
    api.join("one").await;
    api.join("two").await;
    api.lease("one").await;
    let waiting = async { api.post("leases", &json!({"worker": "two"})).await };
    let ends = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        app.request_stop();
    };
    let ((_, update), ()) = tokio::join!(waiting, ends);
    assert!(update["wait_ms"].as_u64().is_some_and(|wait| wait >= 500), "come again when it is back: {update}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_a_waiting_job_sends_nothing_while_nothing_changes() {
    let (app, job) = start_with_images(2, &[]).await;
    JobApi::new(&app, &job).await;
    let request = app.client.get(format!("{}/jobs/{}", app.url, job.job_id)).header("accept", "text/event-stream");
    let mut stream = request.send().await.unwrap().bytes_stream();
    let first = stream.next().await.unwrap().unwrap();
    let data = std::str::from_utf8(&first).unwrap().lines().find_map(|line| line.strip_prefix("data:")).unwrap();
    let update: JobReply = serde_json::from_str(data.trim()).unwrap();
    let waiting = update.waiting_on.unwrap();
    assert_eq!((waiting.dependency.as_str(), waiting.next_try), ("workers", None));
    let quiet = tokio::time::timeout(Duration::from_secs(4), stream.next()).await;
    assert!(quiet.is_err(), "nothing has changed, but the stream sent {quiet:?}");
    app.delete(&format!("/jobs/{}", job.job_id)).await;
    let last = tokio::time::timeout(Duration::from_mins(1), stream.next()).await.unwrap().unwrap().unwrap();
    assert!(std::str::from_utf8(&last).unwrap().contains("STOPPED"));
    app.stop().await;
}
