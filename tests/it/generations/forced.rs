//! Switches that are made although images are outdated, and what a switch says about other generations.

use glimpse::api::replies::JobReply;
use reqwest::StatusCode;
use serde_json::json;

use super::{FIRST, found, generations, names, rebuild, start_indexed, up_to_date};
use crate::support::{TestApp, image_id};

async fn switch_by_force(app: &TestApp) {
    let (status, reply) = app.post("/collections/documents/switch", json!({"force": true})).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
}

/// An image that a client has removed stays removed, although its object exists, until a job indexes it again.
#[tokio::test(flavor = "multi_thread")]
async fn removed_images_do_not_come_back_with_a_forced_switch_or_a_rollback() {
    let app = start_indexed(&[]).await;
    let job = rebuild(&app, json!({"resize": "pad"})).await;
    assert_eq!(app.job_until(&job, JobReply::is_final).await.status, "SUCCEEDED");
    let remove = async |name: &str| {
        let id = image_id(&format!("images/{name}"));
        assert_eq!(app.delete(&format!("/images/{id}?collection=documents")).await.0, StatusCode::OK);
    };
    for name in &FIRST[..3] {
        remove(name).await;
    }
    switch_by_force(&app).await;
    up_to_date(&app).await;
    assert_eq!(found(&app, "").await, names(&FIRST[3..]));
    assert_eq!(found(&app, "&generation=1").await, names(&FIRST[3..]));
    remove(FIRST[3]).await;
    let (status, reply) = app.post("/collections/documents/rollback", json!({})).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    up_to_date(&app).await;
    assert_eq!(found(&app, "").await, names(&FIRST[4..]));
    assert_eq!(found(&app, "&generation=2").await, names(&FIRST[4..]));
    // A job finds their objects.
    assert_eq!(app.ingest().await.counts.done, 4);
    up_to_date(&app).await;
    assert_eq!(found(&app, "&generation=2").await, names(&FIRST));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_names_the_generation_that_it_removes_and_refusals_name_the_state() {
    let app = start_indexed(&[]).await;
    let switch = async |body| app.post("/collections/documents/switch", body).await;
    let message = |reply: &serde_json::Value| reply["message"].as_str().unwrap_or_default().to_owned();
    let job = rebuild(&app, json!({"resize": "pad"})).await;
    assert_eq!(app.job_until(&job, JobReply::is_final).await.status, "SUCCEEDED");
    let (status, reply) = switch(json!({})).await;
    assert_eq!(
        (status, &reply["generation"], &reply["warnings"]),
        (StatusCode::OK, &json!(2), &json!(null)),
        "{reply}"
    );
    let (status, reply) = app.post("/collections/documents/rebuild", json!({"resize": "crop"})).await;
    assert_eq!(status, StatusCode::CONFLICT, "{reply}");
    assert!(message(&reply).contains("glimpse collections rollback documents"), "{reply}");
    for (number, expected) in [(1, "is the previous one"), (2, "is the current one")] {
        let (status, reply) = switch(json!({"generation": number})).await;
        assert_eq!((status, reply["code"].as_str().unwrap()), (StatusCode::CONFLICT, "generation_state"), "{reply}");
        assert!(message(&reply).contains(expected), "{reply}");
    }
    // One with another model.
    let folder = crate::support::root().join("tests/data/clip-tiny");
    let job = rebuild(&app, json!({"model": folder, "resize": "crop"})).await;
    assert_eq!(app.job_until(&job, JobReply::is_final).await.status, "SUCCEEDED");
    let (status, reply) = switch(json!({})).await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    assert!(reply["warnings"][0].as_str().unwrap().contains("generation 1, which was the previous one"), "{reply}");
    let states: Vec<_> = generations(&app).await.generations.iter().map(|one| one.state.clone()).collect();
    assert_eq!(states, ["dropping", "previous", "current"]);
    for path in ["/collections/unknown/rollback", "/collections/unknown/switch"] {
        let (status, reply) = app.post(path, json!({})).await;
        assert_eq!((status, reply["code"].as_str().unwrap()), (StatusCode::NOT_FOUND, "unknown_collection"), "{path}");
    }
    for (path, code) in [
        ("/collections/unknown/generations/1", "unknown_collection"),
        ("/collections/documents/generations/9", "unknown_generation"),
    ] {
        let (status, reply) = app.delete(path).await;
        assert_eq!((status, reply["code"].as_str().unwrap()), (StatusCode::NOT_FOUND, code), "{path}");
    }
}

/// The failed images of a rebuild are retried in the collection, if the generation has become the current one.
#[tokio::test(flavor = "multi_thread")]
async fn the_failures_of_a_rebuild_are_retried_after_the_switch() {
    let app = start_indexed(&[]).await;
    app.put("images/cat.jpg", b"\xff\xd8\xff not an image".to_vec()).await;
    let job = rebuild(&app, json!({"resize": "pad"})).await;
    assert_eq!(app.job_until(&job, JobReply::is_final).await.counts.failed, 1);
    switch_by_force(&app).await;
    app.put("images/cat.jpg", crate::support::demo_image("cat.jpg")).await;
    let (status, reply) = app.post(&format!("/jobs/{job}/retry"), json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
    let retry = app.job_until(reply["job_id"].as_str().unwrap(), JobReply::is_final).await;
    assert_eq!((retry.status.as_str(), retry.counts.done, retry.collection.as_str()), ("SUCCEEDED", 1, "documents"));
    assert!(found(&app, "").await.contains("cat.jpg"));
}
