//! A rebuild that is stopped or interrupted, and the removal of a collection with two generations.

use glimpse::api::replies::JobReply;
use reqwest::StatusCode;
use serde_json::json;

use super::{found, generations, rebuild, search, up_to_date};
use crate::support::{TestApp, demo_image};

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_continues_after_a_stop_and_after_a_restart() {
    let variables = [("IMAGE_BATCH_SIZE", "4"), ("IMAGE_EMBED_BATCH_SIZE", "2"), ("GLIMPSE_GENERATION_TTL", "0")];
    let app = TestApp::start_with(&variables).await;
    let images: Vec<_> = glimpse::demo::images().collect();
    for copy in 0..104 {
        // Other bytes after the end of the image: nothing is recognised as a copy.
        let bytes = [images[copy % images.len()].1, copy.to_string().as_bytes()].concat();
        app.put(&format!("images/{copy:03}.jpg"), bytes).await;
    }
    assert_eq!(app.ingest().await.counts.done, 104);
    let job = rebuild(&app, json!({"resize": "pad"})).await;
    let (status, reply) = app.post("/collections/documents/rebuild", json!({"resize": "pad"})).await;
    assert_eq!((status, reply["code"].as_str().unwrap()), (StatusCode::CONFLICT, "generation_state"));
    app.job_until(&job, |job| job.counts.done > 0).await;
    assert_eq!(app.delete(&format!("/jobs/{job}")).await.0, StatusCode::OK);
    let stopped = app.job_until(&job, JobReply::is_final).await;
    assert!(stopped.counts.done < 104, "{stopped:?}");
    let (status, reply) = app.post("/collections/documents/switch", json!({})).await;
    assert_eq!((status, reply["code"].as_str().unwrap()), (StatusCode::CONFLICT, "generation_state"));

    // The same request continues it.
    let job = rebuild(&app, json!({"resize": "pad"})).await;
    app.job_until(&job, |job| job.counts.done > 0).await;
    let app = app.restart().await;
    let job = app.job_until(&job, JobReply::is_final).await;
    assert_eq!((job.status.as_str(), job.counts.listed), ("SUCCEEDED", 104), "{job:?}");
    assert!(job.counts.unchanged > 0 && job.counts.unchanged + job.counts.done == 104, "{job:?}");
    let reply = up_to_date(&app).await;
    assert_eq!((reply.generations.len(), reply.generations[1].coverage_percent), (2, 100.0));
    let (status, reply) = app.post("/collections/documents/switch", json!({})).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    assert_eq!(search(&app, "").await.generation, 2);
    let states: Vec<_> = generations(&app).await.generations.into_iter().map(|one| one.state).collect();
    assert_eq!(states, ["dropping", "current"], "GLIMPSE_GENERATION_TTL=0 keeps none");
    // The pointer is in the ledger.
    let app = app.restart().await;
    assert_eq!(search(&app, "").await.generation, 2);

    assert_eq!(app.delete("/collections/documents").await.0, StatusCode::OK);
    let (_, reply) = app.get("/collections").await;
    assert_eq!(reply["collections"], json!([]));
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    assert_eq!(app.ingest_with(json!({"s3_prefix": "images/cat"})).await.counts.done, 1);
    assert_eq!((search(&app, "").await.generation, found(&app, "").await.len()), (1, 1));
}
