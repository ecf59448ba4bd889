//! The original's routes for jobs: the same jobs, in its field names.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn jobs_can_be_read_and_stopped_in_the_fields_of_the_original() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    let job = app.ingest().await;
    let (status, reply) = app.get(&format!("/ray/jobs/{}", job.job_id)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(reply, json!({"job_id": job.job_id, "status": "SUCCEEDED", "message": null}));
    let (_, here) = app.get(&format!("/jobs/{}/logs", job.job_id)).await;
    let (status, reply) = app.get(&format!("/ray/jobs/{}/logs", job.job_id)).await;
    assert_eq!((status, &reply), (StatusCode::OK, &here));
    assert!(reply["logs"].as_str().unwrap().contains('\n') && reply["job_id"] == job.job_id, "{reply}");
    let (status, reply) = app.delete(&format!("/ray/jobs/{}", job.job_id)).await;
    assert_eq!((status, reply["code"].as_str()), (StatusCode::CONFLICT, Some("job_is_final")));

    let id = app.submit(json!({"s3_prefix": "images/", "collection": "another"})).await;
    let (status, reply) = app.delete(&format!("/ray/jobs/{id}")).await;
    assert_eq!((status, reply), (StatusCode::OK, json!({"job_id": id, "status": "stopped"})));

    for (method, path) in [(Method::GET, "/ray/jobs/raysubmit_1"), (Method::GET, "/ray/jobs/raysubmit_1/logs")] {
        assert_eq!(app.send(method, path, None).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let body = json!({"s3_bucket": "pipeline", "s3_prefix": "images/", "collection": "documents"});
    let (status, reply) = app.post("/ray/jobs/images", body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(reply["message"].as_str().unwrap().contains("RAY_ADDRESS"), "{reply}");
    let (status, reply) = app.post("/jobs/images", json!({"executor": "ray"})).await;
    assert_eq!((status, reply["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("invalid_executor")));
    app.stop().await;
}
