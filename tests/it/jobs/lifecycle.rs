//! Jobs over HTTP: submit, follow, stop, resume.

use glimpse::api::replies::JobReply;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::{TestApp, demo_image};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_accepted_with_inatinq_compatible_fields() {
    let app = TestApp::start().await;
    let body = json!({"s3_bucket": "pipeline", "s3_prefix": "images/", "collection": "documents", "image_max_items": 100,
        "image_page_size": 1000});
    let response = app.send(reqwest::Method::POST, "/jobs/images", Some(body)).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let reply: serde_json::Value = response.json().await.unwrap();
    assert_eq!(location, format!("/jobs/{}", reply["job_id"].as_str().unwrap()));
    insta::assert_json_snapshot!(reply, {".job_id" => "[id]", ".submitted_at" => "[time]"});

    let job = app.job_until(reply["job_id"].as_str().unwrap(), JobReply::is_final).await;
    // Whether a bottleneck is named depends on the load of the machine.
    insta::assert_json_snapshot!(job, {".job_id" => "[id]", ".submitted_at" => "[time]", ".started_at" => "[time]",
        ".finished_at" => "[time]", ".stages" => "[stages]", ".images_per_second" => "[rate]",
        ".images_per_second_overall" => "[rate]", ".bottleneck" => "[bottleneck]"});
    let (_, logs) = app.get(&format!("{location}/logs")).await;
    assert!(logs["logs"].as_str().unwrap().lines().count() >= 3, "{logs}");
    let (_, failures) = app.get(&format!("{location}/failures")).await;
    assert_eq!(failures, json!({"failures": [], "total": 0, "next": null}));
    let (_, jobs) = app.get("/jobs").await;
    assert_eq!(jobs["jobs"][0]["job_id"], reply["job_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_can_be_stopped_and_its_records_stay() {
    let app = TestApp::start_with(&[("IMAGE_BATCH_SIZE", "4"), ("IMAGE_EMBED_BATCH_SIZE", "2")]).await;
    for copy in 0..120 {
        app.put(&format!("images/{copy:03}.jpg"), [demo_image("cat.jpg").as_slice(), &[copy]].concat()).await;
    }
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    let waiting = app.submit(json!({"s3_prefix": "other/"})).await;
    app.job_until(&id, |job| job.counts.done > 0).await;
    let pending = app.job(&waiting).await;
    assert_eq!(pending.status, "PENDING", "two jobs on one collection do not overlap");
    let waiting_on = pending.waiting_on.unwrap();
    assert!(waiting_on.dependency == "jobs" && waiting_on.message.contains(&id), "{waiting_on:?}");
    let (status, reply) = app.delete("/collections/documents").await;
    assert_eq!((status, reply["code"].as_str().unwrap()), (StatusCode::CONFLICT, "collection_busy"));

    let (status, reply) = app.delete(&format!("/jobs/{id}")).await;
    assert_eq!((status, reply), (StatusCode::OK, json!({"job_id": id, "status": "stopped"})));
    let stopped = app.job(&id).await;
    assert_eq!(stopped.status, "STOPPED");
    assert!(stopped.counts.done < 120, "{stopped:?}");
    let (status, reply) = app.delete(&format!("/jobs/{id}")).await;
    assert_eq!((status, reply["code"].as_str().unwrap()), (StatusCode::CONFLICT, "job_is_final"));

    app.job_until(&waiting, JobReply::is_final).await;
    let done = app.job(&id).await.counts.done;
    let (_, collections) = app.get("/collections").await;
    assert_eq!(collections["collections"][0]["count"], done, "every report is of a record, every record is reported");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_job_continues_at_the_next_start() {
    let app = TestApp::start_with(&[("IMAGE_BATCH_SIZE", "8")]).await;
    for copy in 0..80 {
        app.put(&format!("images/{copy:03}.jpg"), [demo_image("cat.jpg").as_slice(), &[copy]].concat()).await;
    }
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    app.job_until(&id, |job| job.counts.done > 0).await;
    let app = app.restart().await;
    let job = app.job_until(&id, JobReply::is_final).await;
    assert_eq!((job.status.as_str(), job.counts.done, job.counts.listed), ("SUCCEEDED", 80, 80), "{job:?}");
    let (_, logs) = app.get(&format!("/jobs/{id}/logs")).await;
    assert!(logs["logs"].as_str().unwrap().contains("continues to index"), "{logs}");
    let (_, collections) = app.get("/collections").await;
    assert_eq!(collections["collections"][0]["count"], 80);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_jobs_and_a_waiting_job_can_be_stopped() {
    let app = TestApp::start_with(&[("GLIMPSE_JOB_QUEUE", "1"), ("IMAGE_BATCH_SIZE", "2")]).await;
    for copy in 0..60 {
        app.put(&format!("images/{copy:03}.jpg"), [demo_image("cat.jpg").as_slice(), &[copy]].concat()).await;
    }
    let running = app.submit(json!({})).await;
    app.job_until(&running, |job| job.status == "RUNNING").await;
    let waiting = app.submit(json!({})).await;
    let response = app.send(reqwest::Method::POST, "/jobs/images", Some(json!({}))).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(response.headers().contains_key("retry-after"));
    let (status, _) = app.delete(&format!("/jobs/{waiting}")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(app.job(&waiting).await.status, "STOPPED");
    app.delete(&format!("/jobs/{running}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_records_and_collections_return_with_the_next_job() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    app.ingest().await;
    let id = app.find_like(demo_image("cat.jpg")).await.results[0].image.id.clone();
    let (status, image) = app.get(&format!("/images/{id}")).await;
    assert_eq!(status, StatusCode::OK);
    insta::assert_json_snapshot!(image, {".indexed_at" => "[time]"});
    let (status, _) = app.delete(&format!("/images/{id}")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(app.get(&format!("/images/{id}")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(app.delete(&format!("/images/{id}")).await.0, StatusCode::NOT_FOUND);
    assert_ne!(app.find("a cat", 1).await, ["cat.jpg"]);
    assert_eq!(app.ingest().await.counts.done, 1);
    assert_eq!(app.find("a cat", 1).await, ["cat.jpg"]);

    assert_eq!(app.delete("/collections/documents").await.0, StatusCode::OK);
    assert_eq!(app.delete("/collections/documents").await.0, StatusCode::NOT_FOUND);
    assert_eq!(app.get("/search/images?q=cat").await.0, StatusCode::NOT_FOUND);
    assert_eq!(app.ingest().await.counts.done, 26);
}

/// The whole text of a stream, which ends by itself.
async fn stream(app: &TestApp, path: &str) -> String {
    let request = app.client.get(format!("{}{path}", app.url)).header("accept", "text/event-stream");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_and_its_log_can_be_followed_as_streams_to_their_end() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    let id = app.submit(json!({})).await;
    let (job, log) = (format!("/jobs/{id}"), format!("/jobs/{id}/logs"));
    let (states, lines) = tokio::join!(stream(&app, &job), stream(&app, &log));
    let last = states.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap();
    let last: JobReply = serde_json::from_str(last).unwrap();
    assert_eq!((last.status.as_str(), last.counts.done), ("SUCCEEDED", 26));
    assert!(states.matches("event: job").count() >= 2, "{states}");
    assert!(lines.contains("the job indexes s3://pipeline/") && lines.contains("SUCCEEDED: 26 done"), "{lines}");

    let number = lines.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let rest = app.client.get(format!("{}{log}", app.url)).header("accept", "text/event-stream");
    let rest = rest.header("last-event-id", number).send().await.unwrap().text().await.unwrap();
    assert_eq!(rest.matches("event: log").count() + 1, lines.matches("event: log").count());
    let same = stream(&app, &format!("{log}?offset={number}")).await;
    assert_eq!(same.matches("event: log").count() + 1, lines.matches("event: log").count());
    let unknown = app.client.get(format!("{}/jobs/x", app.url)).header("accept", "text/event-stream");
    assert_eq!(unknown.send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_read_on_from_the_end_of_the_previous_reply() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    let id = app.submit(json!({})).await;
    let log = format!("/jobs/{id}/logs");
    let (mut output, mut offset) = (String::new(), 0);
    loop {
        let over = app.job(&id).await.is_final();
        let (status, reply) = app.get(&format!("{log}?offset={offset}")).await;
        assert_eq!((status, &reply["older"]), (StatusCode::OK, &json!(false)), "{reply}");
        let lines = reply["logs"].as_str().unwrap();
        if !lines.is_empty() {
            output = if output.is_empty() { lines.to_owned() } else { format!("{output}\n{lines}") };
        }
        offset = reply["next"].as_i64().unwrap();
        if over && !reply["more"].as_bool().unwrap() {
            break;
        }
    }
    let (_, whole) = app.get(&log).await;
    assert_eq!((whole["logs"].as_str().unwrap(), whole["next"].as_i64().unwrap()), (output.as_str(), offset));
    let (status, wrong) = app.get(&format!("{log}?offset=last")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_stopped_at_once_does_only_what_it_reports() {
    let app = TestApp::start_with(&[("GLIMPSE_JOBS_AT_ONCE", "4")]).await;
    for copy in 0..40 {
        app.put(&format!("images/{copy:03}.jpg"), [demo_image("cat.jpg").as_slice(), &[copy]].concat()).await;
    }
    let mut ids = Vec::new();
    for turn in 0..12 {
        let id = app.submit(json!({"collection": format!("c{turn}")})).await;
        // Stops at several moments: before the scheduler starts the job, and while it runs.
        tokio::time::sleep(std::time::Duration::from_millis(turn * 3)).await;
        assert_eq!(app.delete(&format!("/jobs/{id}")).await.0, StatusCode::OK);
        ids.push(id);
    }
    // Work in flight has ended when the service has.
    let app = app.restart().await;
    let (_, reply) = app.get("/collections").await;
    for (turn, id) in ids.iter().enumerate() {
        let job = app.job(id).await;
        assert_eq!(job.status, "STOPPED");
        assert!(job.counts.done < 40, "{job:?}");
        let name = format!("c{turn}");
        let held = reply["collections"].as_array().unwrap().iter().find(|one| one["name"] == name.as_str());
        assert_eq!(held.map_or(0, |one| one["count"].as_u64().unwrap()), job.counts.done, "{job:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_a_bucket_that_is_down_and_reports_it() {
    // Nothing listens on port 9 of loopback.
    let down = [("S3_ENDPOINT", "http://127.0.0.1:9"), ("S3_ACCESS_KEY_ID", "k"), ("S3_SECRET_ACCESS_KEY", "hush")];
    let app = TestApp::start_with(&down).await;
    let id = app.submit(json!({})).await;
    let job = app.job_until(&id, |job| job.status == "RUNNING" && job.waiting_on.is_some()).await;
    let waiting = job.waiting_on.unwrap();
    assert_eq!((waiting.dependency.as_str(), job.counts.failed), ("s3", 0));
    assert!(!waiting.message.contains("127.0.0.1"), "internal details are only logged: {}", waiting.message);
    assert_eq!(app.get("/readyz").await.0, StatusCode::OK, "searches need no bucket");
    assert_eq!(app.delete(&format!("/jobs/{id}")).await.0, StatusCode::OK);
    let started = std::time::Instant::now();
    app.stop().await;
    assert!(started.elapsed() < std::time::Duration::from_secs(10), "a waiting listing does not delay other requests");
}
