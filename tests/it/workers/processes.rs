//! Jobs with remote workers: the real binary as a worker, killed, frozen, dismissed and refused.

use glimpse::api::replies::{JobReply, SubmitReply};
use glimpse::domain::{ImageRecord, Payload};
use glimpse::index::embedded::EmbeddedIndex;
use glimpse::jobs::remote::protocol::wire::PROTOCOL;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::worker::{Worker, points, submit};
use crate::support::{TestApp, demo_image};

/// Images that differ, so that a record under the wrong name is noticed.
async fn put_images(app: &TestApp, count: usize) {
    let kinds = ["cat.jpg", "panda.jpg", "rocket.jpg", "coffee.jpg", "raccoon.jpg"];
    for number in 0..count {
        // All bytes differ, so that each image is embedded.
        let bytes = [demo_image(kinds[number % kinds.len()]).as_slice(), &number.to_be_bytes()].concat();
        app.put(&format!("images/{number:03}.jpg"), bytes).await;
    }
    app.put("images/broken.jpg", demo_image("cat.jpg")[..2000].to_vec()).await;
}

/// Whether two runs made the same record, except for its time and the rounding of the model in other batches.
fn same(first: &ImageRecord, other: &ImageRecord) -> bool {
    let moment = |record: &ImageRecord| Payload { indexed_at: first.payload.indexed_at, ..record.payload.clone() };
    first.id == other.id && moment(first) == moment(other) && first.embedding.cosine(&other.embedding) > 0.99999
}

const SHORT: [(&str, &str); 3] =
    [("GLIMPSE_LEASE_SECONDS", "3"), ("IMAGE_BATCH_SIZE", "4"), ("GLIMPSE_JOBS_AT_ONCE", "2")];

#[tokio::test(flavor = "multi_thread")]
async fn the_index_after_a_killed_and_a_frozen_worker_equals_that_of_an_undisturbed_run() {
    let app = TestApp::start_with(&SHORT).await;
    put_images(&app, 150).await;
    let local = app.ingest_with(json!({"s3_prefix": "images/", "collection": "alone"})).await;
    assert_eq!((local.status.as_str(), local.counts.done, local.counts.failed), ("SUCCEEDED", 150, 1));

    let job = submit(&app, json!({"s3_prefix": "images/", "collection": "together", "executor": "workers"})).await;
    let waiting = app.job_until(&job.job_id, |job| job.waiting_on.is_some()).await.waiting_on.unwrap();
    assert!(waiting.dependency == "workers" && waiting.message.contains("glimpse worker"), "{waiting:?}");
    let (first, second) = (Worker::start(&app, &job, "one", &[]), Worker::start(&app, &job, "two", &[]));
    let busy = |name: &'static str| {
        move |job: &JobReply| {
            job.workers.iter().any(|worker| worker.name == name && worker.leased > 0 && worker.done > 0)
        }
    };
    app.job_until(&job.job_id, busy("one")).await;
    // Stage times are sent at most once a second, so the first report of images can lack those of `embed`.
    let timed = |job: &JobReply| {
        job.stages.as_ref().is_some_and(|stages| stages.embed.p50_ms > 0.0 && stages.fetch.p95_ms > 0.0)
    };
    app.job_until(&job.job_id, timed).await;
    first.signal("-KILL");
    app.job_until(&job.job_id, busy("two")).await;
    second.signal("-STOP");
    let job_in_progress =
        app.job_until(&job.job_id, |job| job.workers.iter().any(|w| w.name == "two" && w.leased > 0)).await;
    assert!(job_in_progress.counts.left > 0, "both were too fast: {job_in_progress:?}");
    let three = Worker::start(&app, &job, "three", &[]);
    // The leases of the frozen worker expire, and other workers take its images.
    app.job_until(&job.job_id, |job| job.workers.iter().all(|w| w.name == "three" || w.leased == 0)).await;
    second.signal("-CONT");
    let ended = app.job_until(&job.job_id, JobReply::is_final).await;
    assert_eq!((ended.status.as_str(), ended.counts.done, ended.counts.failed), ("SUCCEEDED", 150, 1), "{ended:?}");
    let (stages, bottleneck) = (ended.stages.unwrap(), ended.bottleneck.unwrap());
    assert!(stages.embed.busy > 0.0 && bottleneck.contains(" on 3 workers busy "), "{stages:?} {bottleneck}");
    for worker in [second, three] {
        let (code, text) = worker.wait().await;
        assert_eq!(code, Some(0), "{text}");
    }
    let failures = app.failures(&job.job_id).await;
    assert_eq!((failures.total, failures.failures[0].s3_key.as_str()), (1, "images/broken.jpg"));
    let (_, logs) = app.get(&format!("/jobs/{}/logs", job.job_id)).await;
    let logs = logs["logs"].as_str().unwrap();
    assert!(logs.contains("worker one sent no request for") && logs.contains("[three] starts"), "{logs}");
    assert!(!logs.contains(job.worker_token.as_deref().unwrap()));
    let again = app.ingest_with(json!({"s3_prefix": "images/", "collection": "together"})).await;
    assert_eq!((again.counts.unchanged, again.counts.done), (150, 0), "the ledger knows all images");

    let folder = app.stop().await;
    let index = EmbeddedIndex::open(&folder.path().join("index")).unwrap();
    let (expected, got) = (points(&index, "alone").await, points(&index, "together").await);
    assert_eq!((expected.len(), got.len()), (150, 150));
    for (first, other) in expected.iter().zip(&got) {
        assert!(same(first, other), "{first:?}\n{other:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaving_worker_returns_its_leases_and_another_continues_after_a_restart() {
    let app = TestApp::start_with(&SHORT).await;
    put_images(&app, 60).await;
    let job = submit(&app, json!({"s3_prefix": "images/", "executor": "workers"})).await;
    let first = Worker::start(&app, &job, "one", &[]);
    app.job_until(&job.job_id, |job| job.counts.done > 0).await;
    first.signal("-TERM");
    let (code, text) = first.wait().await;
    assert_eq!(code, Some(0), "{text}");
    let left = app.job(&job.job_id).await;
    assert!(left.counts.left > 0 && left.workers.is_empty(), "{left:?}");
    let app = app.restart().await;
    let second = Worker::start(&app, &job, "two", &[]);
    let ended = app.job_until(&job.job_id, JobReply::is_final).await;
    assert_eq!((ended.counts.done, ended.counts.failed), (60, 1), "{ended:?}");
    assert_eq!(second.wait().await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_job_dismisses_its_workers() {
    let app = TestApp::start_with(&SHORT).await;
    put_images(&app, 100).await;
    let job = submit(&app, json!({"s3_prefix": "images/", "executor": "workers"})).await;
    let first = Worker::start(&app, &job, "one", &[]);
    app.job_until(&job.job_id, |job| job.counts.done > 0).await;
    assert_eq!(app.delete(&format!("/jobs/{}", job.job_id)).await.0, StatusCode::OK);
    let (code, text) = first.wait().await;
    assert_eq!(code, Some(0), "{text}");
    let stopped = app.job(&job.job_id).await;
    assert!(stopped.status == "STOPPED" && stopped.counts.left > 0, "{stopped:?}");
    let (_, collections) = app.get("/collections").await;
    assert_eq!(collections["collections"][0]["count"], stopped.counts.done, "every indexed image was reported");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_does_not_fit_is_refused_with_the_reason() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", "the-key-of-the-api")]).await;
    let send = |path: String, token: Option<String>, body: Value| {
        let request = app.client.post(format!("{}{path}", app.url)).json(&body);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        async move {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        }
    };
    let key = Some("the-key-of-the-api".to_owned());
    for (executor, expected) in [("ray", "RAY_ADDRESS"), ("cloud", "`workers` or `ray`")] {
        let (status, reply) = send("/jobs/images".into(), key.clone(), json!({"executor": executor})).await;
        assert!(status == 422 && reply["message"].as_str().unwrap().contains(expected), "{reply}");
    }
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    let (_, reply) = send("/jobs/images".into(), key.clone(), json!({"executor": "workers"})).await;
    let job: SubmitReply = serde_json::from_value(reply).unwrap();
    let token = job.worker_token.clone().unwrap();
    let inner = |route: &str| format!("/internal/jobs/{}/{route}", job.job_id);
    for wrong in [None, key, Some(token[1..].to_owned()), Some("0".repeat(64))] {
        let (status, reply) = send(inner("leases"), wrong, json!({"worker": "w"})).await;
        assert_eq!((status, reply["code"].as_str().unwrap()), (401, "unauthorized"));
    }
    let unknown = format!("/internal/jobs/{}/leases", uuid::Uuid::now_v7());
    assert_eq!(send(unknown, Some(token.clone()), json!({"worker": "w"})).await.0, 404);
    let (status, _) = send("/jobs/images".into(), Some(token.clone()), json!({})).await;
    assert_eq!(status, 401, "the job's token opens nothing else");

    let joined = |body: Value| send(inner("workers/w"), Some(token.clone()), body);
    let other = json!({"version": "0.0.1", "protocol": PROTOCOL, "stores": "embedded",
        "space": {"model": "m", "dimension": 2, "preprocessing": "p", "probes": []}});
    let (status, reply) = joined(other.clone()).await;
    let text = reply["message"].as_str().unwrap();
    assert!(status == 409 && text.contains("0.0.1") && text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    let mut same = other;
    same["version"] = env!("CARGO_PKG_VERSION").into();
    same["model"] = "used".into();
    let (status, reply) = loop {
        let (status, reply) = joined(same.clone()).await;
        if reply["wait_ms"].is_null() {
            break (status, reply);
        }
    };
    let text = reply["message"].as_str().unwrap();
    assert!(status == 409 && text.contains("`m/2/p`") && text.contains("glimpse-mini"), "{text}");
    same["stores"] = "qdrant".into();
    let (status, reply) = joined(same).await;
    assert!(status == 409 && reply["message"].as_str().unwrap().contains("qdrant"), "{reply}");
    let (status, reply) = send(inner("leases"), Some(token.clone()), json!({"worker": "unknown"})).await;
    assert_eq!((status, reply["code"].as_str().unwrap()), (409, "not_joined"));

    let worker = Worker::start_with_token(&app, &job.job_id, "wrong", "one", &[]);
    let (code, text) = worker.wait().await;
    assert!(code == Some(78) && text.contains("GLIMPSE_WORKER_TOKEN"), "{text}");
    let worker = Worker::start(&app, &job, "one", &[("IMAGE_TARGET_SIZE", "224")]);
    let (code, text) = worker.wait().await;
    assert!(code == Some(78) && text.contains("224"), "{code:?} {text}");
    assert_eq!(Worker::start(&app, &job, "two", &[]).wait().await.0, Some(0));
    let (status, reply) = send(inner("leases"), Some(token.clone()), json!({"worker": "two"})).await;
    assert_eq!((status, reply["code"].as_str().unwrap()), (410, "job_is_over"));
    let summary = app.client.get(format!("{}{}", app.url, inner("summary"))).bearer_auth(&token).send().await.unwrap();
    let summary: Value = summary.json().await.unwrap();
    assert_eq!(summary, json!({"terminal": true, "status": "SUCCEEDED", "left": 0}));
}
