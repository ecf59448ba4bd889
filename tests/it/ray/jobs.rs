//! Jobs on a Ray cluster: its Jobs API is a fake, its workers are the real binary.

use glimpse::api::replies::JobReply;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::cli::commands::glimpse;
use crate::support::ray::{FakeRay, OnSubmit};
use crate::support::{TestApp, demo_image, free_address};

/// A service with a cluster; both keep their addresses when they are restarted.
pub(crate) async fn with_ray(more: &[(&str, &str)]) -> (TestApp, FakeRay) {
    let ray = FakeRay::start().await;
    let (url, addr, s3) = (ray.url(), free_address(), free_address());
    let mut variables = vec![
        ("RAY_ADDRESS", url.as_str()),
        ("GLIMPSE_ADDR", &addr),
        ("GLIMPSE_S3_ADDR", &s3),
        ("GLIMPSE_LEASE_SECONDS", "3"),
        ("IMAGE_BATCH_SIZE", "4"),
    ];
    variables.extend_from_slice(more);
    let app = TestApp::start_with(&variables).await;
    ray.set_node_variables(&app);
    (app, ray)
}

pub(crate) async fn put_images(app: &TestApp, count: usize) {
    let kinds = ["cat.jpg", "panda.jpg", "rocket.jpg", "coffee.jpg", "raccoon.jpg"];
    for number in 0..count {
        // All bytes differ, so that each image is embedded.
        let bytes = [demo_image(kinds[number % kinds.len()]).as_slice(), &number.to_be_bytes()].concat();
        app.put(&format!("images/{number:03}.jpg"), bytes).await;
    }
}

pub(crate) fn on_ray() -> Value {
    json!({"s3_prefix": "images/", "executor": "ray"})
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_read_and_stopped_with_inatinq_compatible_fields() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    let job = app.ingest().await;
    let (status, reply) = app.get(&format!("/ray/jobs/{}", job.job_id)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(reply, json!({"job_id": job.job_id, "status": "SUCCEEDED", "message": null}));
    let (_, service) = app.get(&format!("/jobs/{}/logs", job.job_id)).await;
    let (status, reply) = app.get(&format!("/ray/jobs/{}/logs", job.job_id)).await;
    assert_eq!((status, &reply), (StatusCode::OK, &service));
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

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_images_are_indexed_by_workers_that_the_cluster_places() {
    let (app, ray) = with_ray(&[]).await;
    ray.set_on_submit(OnSubmit::StartsWorkers);
    put_images(&app, 100).await;
    let body =
        json!({"s3_bucket": "pipeline", "s3_prefix": "images/", "collection": "documents", "image_page_size": 50});
    let (status, mut reply) = app.post("/ray/jobs/images", body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
    let id = reply["job_id"].as_str().unwrap().to_owned();
    let fields = reply.as_object_mut().unwrap();
    assert!(fields.remove("job_id").is_some() && fields.remove("submitted_at").is_some());
    let expected = json!({"status": "submitted", "namespace": "ml-system", "s3_bucket": "pipeline", "s3_prefix": "images/",
        "collection": "documents", "image_max_items": null});
    assert_eq!(reply, expected, "the iNatInq-compatible reply, and no token");

    let busy = app.job_until(&id, |job| job.workers.iter().filter(|worker| worker.done > 0).count() == 2).await;
    assert_eq!((busy.executor.as_str(), busy.message), ("ray", None));
    let nodes: Vec<_> = busy.workers.iter().map(|worker| worker.node.as_deref().unwrap()).collect();
    assert_eq!(nodes, ["node0", "node1"]);
    let ended = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done), ("SUCCEEDED", 100), "{ended:?}");
    let (_, collections) = app.get("/collections").await;
    assert_eq!(collections["collections"][0]["count"], 100);

    let submission = format!("glimpse-{id}-g1");
    ray.wait_for(|id, job| id == submission && job.status == "SUCCEEDED").await;
    let job = ray.job(&submission);
    assert!(job.submitted["entrypoint"].as_str().unwrap().starts_with("python3 -c "));
    assert_eq!(job.submitted["metadata"], json!({"glimpse_job": id}));
    let mut names: Vec<_> = job.submitted["runtime_env"]["env_vars"].as_object().unwrap().keys().cloned().collect();
    names.sort();
    let known = [
        "GLIMPSE_JOB_ID",
        "GLIMPSE_RAY_CPUS",
        "GLIMPSE_RAY_DRIVER",
        "GLIMPSE_RAY_WORKERS",
        "GLIMPSE_SERVICE_URL",
        "GLIMPSE_WORKER_TOKEN",
        "RAY_COLOR_PREFIX",
        "RAY_DEDUP_LOGS",
        "RAY_JOB_STOP_WAIT_TIME_S",
        "RAY_SCHEDULER_EVENTS",
    ];
    assert_eq!(names, known, "nothing else is sent to the cluster");
    assert_eq!(ray.count_requests("POST", "/api/jobs/"), 1);
    let text = app.log(&id).await;
    assert!(!text.contains(&job.env("GLIMPSE_WORKER_TOKEN")) && text.contains("asks Ray for 2 workers"), "{text}");
    assert_eq!(ray.count_requests("POST", &format!("/api/jobs/{submission}/stop")), 0, "it ended by itself");

    // Nothing else: a cluster gets no other request than that for its version.
    let again = app.ingest_with(on_ray()).await;
    assert_eq!((again.status.as_str(), again.counts.unchanged), ("SUCCEEDED", 100));
    assert_eq!(ray.ids().len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_and_the_commands_support_ray() {
    let (app, ray) = with_ray(&[]).await;
    let (address, folder) = (ray.url(), tempfile::tempdir().unwrap());
    let folder = folder.path().display().to_string();
    let doctor = async |more: &[(&str, &str)]| {
        let mut variables = vec![("GLIMPSE_DATA_DIR", folder.as_str()), ("RAY_ADDRESS", &address)];
        variables.extend_from_slice(more);
        let text = glimpse(&variables, &["doctor"]).await.stdout;
        let text = String::from_utf8(text).unwrap();
        let mut lines = text.lines().skip_while(|line| !line[6..].starts_with("ray "));
        lines.by_ref().take(2).collect::<Vec<_>>().join("\n")
    };
    let findings = doctor(&[]).await;
    assert!(findings.starts_with("ok") && findings.contains("Ray 2.60.0") && !findings.contains("CVE"), "{findings}");
    ray.state().version = "2.51.1".into();
    let old = doctor(&[]).await;
    assert!(old.starts_with("ok") && old.contains("CVE-2025-62593"), "{old}");
    ray.state().token = Some("right".into());
    let refused = doctor(&[("RAY_AUTH_TOKEN", "hush-hush")]).await;
    assert!(refused.starts_with("FAIL") && refused.contains("to do: set RAY_AUTH_TOKEN"), "{refused}");
    assert!(!refused.contains("hush-hush"), "{refused}");
    let (_, status) = app.get("/status").await;
    assert!(status["ray"]["ready"] == false && status["ray"]["message"].as_str().unwrap().contains("RAY_AUTH_TOKEN"));
    ray.state().token = None;
    let (_, status) = app.get("/status").await;
    assert_eq!((&status["status"], &status["ray"]["version"]), (&json!("ready"), &json!("Ray 2.51.1")), "{status}");

    ray.set_on_submit(OnSubmit::Runs);
    put_images(&app, 5).await;
    let service = [("GLIMPSE_URL", app.url.as_str())];
    let submitted = glimpse(&service, &["ingest", "--executor", "ray", "--no-wait", "--json"]).await;
    let reply: Value = serde_json::from_slice(&submitted.stdout).unwrap();
    let id = reply["job_id"].as_str().unwrap();
    ray.wait_for(|_, job| job.status == "RUNNING").await;
    let moved = glimpse(&service, &["jobs", "move", id, "workers"]).await;
    let output = String::from_utf8(moved.stdout).unwrap();
    assert!(
        output.contains("`workers`") && output.contains("GLIMPSE_WORKER_TOKEN=") && output.contains(id),
        "{output}"
    );
    let moved = glimpse(&service, &["jobs", "move", id, "local"]).await;
    assert!(moved.status.success(), "{moved:?}");
    let ended = app.job_until(id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done), ("SUCCEEDED", 5));
    let late = glimpse(&service, &["jobs", "move", id, "ray"]).await;
    assert!(!late.status.success() && String::from_utf8_lossy(&late.stderr).contains("already ended"), "{late:?}");
    app.stop().await;
}
