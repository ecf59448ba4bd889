//! Jobs on a Ray cluster that fails: at the submission, during the job, or before its end.

use std::time::Duration;

use glimpse::api::replies::JobReply;
use reqwest::StatusCode;
use serde_json::json;

use crate::ray::jobs::{on_ray, put_images, with_ray};
use crate::support::ray::{Answers, OnSubmit};

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_cluster_is_reported_at_submission() {
    let (app, ray) = with_ray(&[("RAY_AUTH_TOKEN", "hush")]).await;
    let submit = async || app.post("/jobs/images", on_ray()).await;
    ray.set_answers(Answers::Broken);
    let (status, reply) = submit().await;
    assert_eq!((status, reply["code"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("ray_unavailable")));
    assert!(!reply.to_string().contains("Traceback") && !reply.to_string().contains("secret"), "{reply}");
    ray.set_answers(Answers::Normal);
    ray.state().token = Some("other".into());
    let (status, reply) = submit().await;
    assert_eq!((status, reply["code"].as_str()), (StatusCode::BAD_GATEWAY, Some("ray_refused")));
    assert!(reply["message"].as_str().unwrap().contains("RAY_AUTH_TOKEN") && !reply.to_string().contains("hush"));
    ray.state().token = Some("hush".into());
    ray.die().await;
    let (status, reply) = submit().await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("RAY_ADDRESS"), "{reply}");
    let (_, jobs) = app.get("/jobs").await;
    assert_eq!(jobs["jobs"], json!([]), "nothing was accepted");

    ray.reconnect().await;
    for (body, field) in [(json!({"s3_bucket": "pipeline"}), "collection"), (json!({"collection": "c"}), "s3_bucket")] {
        let (status, reply) = app.post("/ray/jobs/images", body).await;
        assert!(status == 422 && reply["message"].as_str().unwrap().contains(field), "{reply}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_the_cluster_reports_it_and_can_be_stopped_without_ray() {
    let (app, ray) = with_ray(&[("RAY_NUM_WORKERS", "4")]).await;
    put_images(&app, 3).await;
    let id = app.submit(on_ray()).await;
    let submission = ray.wait_for(|_, job| job.status == "PENDING").await;
    let waiting = app.job_until(&id, |job| job.waiting_on.is_some()).await.waiting_on.unwrap();
    assert_eq!(
        (waiting.dependency.as_str(), waiting.message.as_str()),
        ("workers", "waiting for the cluster: 0 of 4 workers")
    );
    assert_eq!(app.delete(&format!("/ray/jobs/{id}")).await.0, StatusCode::OK);
    let stopped = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((stopped.status.as_str(), stopped.counts.left), ("STOPPED", 3));
    assert_eq!(ray.job(&submission).status, "PENDING");
    // Its workers are dismissed whenever they start.
    let token = ray.job(&submission).env("GLIMPSE_WORKER_TOKEN");
    let summary = app.client.get(format!("{}/internal/jobs/{id}/summary", app.url)).bearer_auth(token);
    while summary.try_clone().unwrap().send().await.unwrap().json::<serde_json::Value>().await.unwrap()["terminal"]
        != true
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_stopped_and_its_workers_leave() {
    let (app, ray) = with_ray(&[]).await;
    ray.set_on_submit(OnSubmit::StartsWorkers);
    put_images(&app, 100).await;
    let id = app.submit(on_ray()).await;
    app.job_until(&id, |job| job.counts.done > 0).await;
    assert_eq!(app.delete(&format!("/jobs/{id}")).await.0, StatusCode::OK);
    // The workers leave by themselves, or the service stops them in Ray: both are right, and it depends on the load.
    let submission = ray.wait_for(|_, job| matches!(job.status, "SUCCEEDED" | "STOPPED")).await;
    let stopped = app.job(&id).await;
    assert!(stopped.status == "STOPPED" && stopped.counts.left > 0, "{stopped:?}");
    let (_, collections) = app.get("/collections").await;
    let indexed = collections["collections"][0]["count"].as_u64().unwrap();
    if ray.job(&submission).status == "SUCCEEDED" {
        assert_eq!(indexed, stopped.counts.done, "every indexed image was reported");
    } else {
        assert!(indexed >= stopped.counts.done, "every reported image is in the index: {indexed}, {stopped:?}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_restarts_during_a_job_and_continues_with_the_same_workers() {
    let (app, ray) = with_ray(&[]).await;
    ray.set_on_submit(OnSubmit::StartsWorkers);
    put_images(&app, 150).await;
    let id = app.submit(on_ray()).await;
    app.job_until(&id, |job| job.counts.done > 0).await;
    let app = app.restart().await;
    let back = app.job_until(&id, |job| !job.workers.is_empty()).await;
    assert!(back.counts.left > 0, "the job was too fast: {back:?}");
    let ended = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done, ended.counts.failed), ("SUCCEEDED", 150, 0), "{ended:?}");
    assert_eq!(ray.ids(), [format!("glimpse-{id}-g1")]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_dies_during_a_job_which_continues_when_it_is_back() {
    let (app, ray) = with_ray(&[]).await;
    ray.set_on_submit(OnSubmit::StartsWorkers);
    put_images(&app, 150).await;
    let id = app.submit(on_ray()).await;
    app.job_until(&id, |job| job.counts.done > 0).await;
    ray.die().await;
    // Twice the time of a lease without a request of any worker.
    // On a busy machine the job may first wait for another reason.
    let message = "waiting for the cluster: 0 of 2 workers: Ray cannot be reached at RAY_ADDRESS";
    let is_waiting = |job: &JobReply| job.waiting_on.as_ref().is_some_and(|waiting| waiting.message == message);
    let waits = app.job_until(&id, |job| is_waiting(job) || job.is_final()).await;
    assert!(waits.counts.left > 0 && waits.status == "RUNNING", "{waits:?}");
    ray.reconnect().await;
    let ended = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done, ended.counts.failed), ("SUCCEEDED", 150, 0), "{ended:?}");
    assert_eq!(ray.ids(), [format!("glimpse-{id}-g2")], "the head had lost the first submission");
    let text = app.log(&id).await;
    assert!(text.contains("-g1: Ray does not know it any more"), "{text}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_continue_while_ray_does_not_answer_and_the_status_warns() {
    let (app, ray) = with_ray(&[]).await;
    ray.set_on_submit(OnSubmit::StartsWorkers);
    put_images(&app, 150).await;
    let id = app.submit(on_ray()).await;
    app.job_until(&id, |job| job.counts.done > 0).await;
    ray.disconnect().await;
    let warned = app.job_until(&id, |job| job.message.is_some() || job.is_final()).await;
    let warning = warned.message.unwrap_or_default();
    assert!(
        warning.starts_with("Ray cannot be reached at RAY_ADDRESS, since ") && warned.waiting_on.is_none(),
        "{warning}"
    );
    let (_, original) = app.get(&format!("/ray/jobs/{id}")).await;
    assert!(original["status"] != "RUNNING" || original["message"].as_str().unwrap().contains("RAY_ADDRESS"));
    let ended = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done, ended.message), ("SUCCEEDED", 150, None));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_cluster_is_gone_continues_locally_and_its_old_workers_are_refused() {
    let (app, ray) = with_ray(&[]).await;
    ray.set_on_submit(OnSubmit::StartsWorkers);
    put_images(&app, 120).await;
    let id = app.submit(on_ray()).await;
    app.job_until(&id, |job| job.counts.done > 0).await;
    ray.disconnect().await;
    let token = ray.job(&format!("glimpse-{id}-g1")).env("GLIMPSE_WORKER_TOKEN");
    let to = async |executor: &str| app.post(&format!("/jobs/{id}/executor"), json!({"executor": executor})).await;
    assert_eq!(to("cloud").await.0, 422);
    let (status, reply) = to("local").await;
    assert_eq!((status, reply), (StatusCode::OK, json!({"job_id": id, "executor": "local"})));
    let summary = app.client.get(format!("{}/internal/jobs/{id}/summary", app.url)).bearer_auth(&token).send().await;
    assert_eq!(summary.unwrap().status(), StatusCode::UNAUTHORIZED);
    let ended = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done, ended.counts.failed), ("SUCCEEDED", 120, 0), "{ended:?}");
    assert_eq!(ended.executor, "local");
    assert_eq!(to("ray").await.0, StatusCode::CONFLICT, "it has ended");
    let text = app.log(&id).await;
    assert!(text.contains("moves to another executor: local"), "{text}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_job_can_be_moved_to_the_cluster_and_to_workers() {
    let (app, ray) = with_ray(&[]).await;
    ray.set_on_submit(OnSubmit::Runs);
    put_images(&app, 120).await;
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    app.job_until(&id, |job| job.counts.done > 0).await;
    let to = async |executor: &str| app.post(&format!("/jobs/{id}/executor"), json!({"executor": executor})).await;
    assert_eq!(to("ray").await, (StatusCode::OK, json!({"job_id": id, "executor": "ray"})));
    let first = ray.wait_for(|_, job| job.status == "RUNNING").await;
    assert_eq!(app.job(&id).await.executor, "ray");
    let (status, reply) = to("workers").await;
    assert!(status == 200 && reply["worker_token"].as_str().unwrap().len() == 64, "{reply}");
    ray.wait_for(|id, job| id == first && job.status == "STOPPED").await;
    let waiting = app.job_until(&id, |job| job.waiting_on.is_some()).await.waiting_on.unwrap();
    assert!(waiting.message.contains("glimpse worker"), "{waiting:?}");
    ray.set_on_submit(OnSubmit::StartsWorkers);
    assert_eq!(to("ray").await.0, StatusCode::OK);
    let ended = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done), ("SUCCEEDED", 120), "{ended:?}");
    assert_eq!(to("local").await.1["code"], "job_is_final");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ray_ends_repeatedly_fails_with_rays_message() {
    let (app, ray) = with_ray(&[("RAY_TASK_MAX_RETRIES", "1")]).await;
    ray.set_on_submit(OnSubmit::Fails(70));
    put_images(&app, 2).await;
    let ended = app.ingest_with(on_ray()).await;
    let text = ended.message.unwrap();
    assert!(ended.status == "FAILED" && text.contains("2 times") && text.contains("exit code 70"), "{text}");
    assert!(!text.contains("boom") && !text.contains('\n'), "{text}");
    assert_eq!((ray.ids().len(), ended.counts.left), (2, 2));
    assert!(app.log(&ended.job_id).await.contains("[ray] boom"));
    // The remaining images are left for the next job.
    let again = app.ingest_with(json!({"s3_prefix": "images/"})).await;
    assert_eq!((again.status.as_str(), again.counts.done), ("SUCCEEDED", 2));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_the_workers_in_ray_stops_the_job() {
    let (app, ray) = with_ray(&[]).await;
    ray.set_on_submit(OnSubmit::Runs);
    put_images(&app, 2).await;
    let id = app.submit(on_ray()).await;
    let submission = ray.wait_for(|_, job| job.status == "RUNNING").await;
    ray.set(&submission, "STOPPED", None, "Job was intentionally stopped.");
    let ended = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.message.as_deref()), ("STOPPED", Some("stopped in Ray")));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_the_clusters_address_fails_the_job_that_needs_it() {
    let (app, ray) = with_ray(&[]).await;
    ray.set_on_submit(OnSubmit::Runs);
    put_images(&app, 2).await;
    let id = app.submit(on_ray()).await;
    ray.wait_for(|_, job| job.status == "RUNNING").await;
    let app = app.restart_with(&[]).await;
    let ended = app.job_until(&id, JobReply::is_final).await;
    assert!(ended.status == "FAILED" && ended.message.as_deref().unwrap().contains("RAY_ADDRESS"), "{ended:?}");
    app.stop().await;
}
