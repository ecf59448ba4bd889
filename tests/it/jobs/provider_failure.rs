//! The whole service with a faulty embedding provider: one that stops and returns, sends wrong vectors, changes its
//! model, or refuses access.

use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use glimpse::api::replies::JobReply;
use serde_json::json;

use crate::support::proxies::tcp::TcpProxy;
use crate::support::serve;
use crate::support::services::wrong_clip::{CONSTANT, CORRECT, HALF, REVERSED, WrongClip};
use crate::support::{TestApp, demo_images};

/// A service with its model at `url`, and a breaker that opens soon and closes soon.
async fn app(url: &str) -> TestApp {
    TestApp::start_with(&variables(url)).await
}

fn variables(url: &str) -> [(&str, &str); 6] {
    [
        ("IMAGE_EMBEDDING_PROVIDER", "clip"),
        ("CLIP_URL", url),
        ("CLIP_CIRCUIT_BREAKER_THRESHOLD", "2"),
        ("CLIP_CIRCUIT_BREAKER_TIMEOUT", "1"),
        ("IMAGE_EMBED_BATCH_SIZE", "2"),
        ("IMAGE_BATCH_SIZE", "8"),
    ]
}

/// Uploads the demo images `copies` times, with bytes that differ.
async fn fill(app: &TestApp, copies: usize) -> u64 {
    for path in demo_images() {
        let bytes = std::fs::read(&path).unwrap();
        for copy in 0..copies {
            let name = path.file_name().unwrap().to_str().unwrap();
            let bytes = [bytes.as_slice(), &copy.to_be_bytes()].concat();
            app.put(&format!("images/{copy}/{name}"), bytes).await;
        }
    }
    (demo_images().len() * copies) as u64
}

fn all_done(job: &JobReply, images: u64) {
    let result = (job.status.as_str(), job.counts.done, job.counts.failed);
    assert_eq!(result, ("SUCCEEDED", images, 0), "{:?}", job.message);
}

/// Repeats a request until the status is `wanted`.
async fn get_until(app: &TestApp, path: &str, expected: StatusCode) -> serde_json::Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let (status, reply) = app.get(path).await;
        if status == expected {
            return reply;
        }
        assert!(Instant::now() < deadline, "{path} still answers {status}: {reply}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_model_during_a_job_costs_no_image() {
    let (url, _serving) = serve(WrongClip::new().router()).await;
    let mut wire = TcpProxy::start(&url, true).await;
    let app = app(&wire.url()).await;
    let images = fill(&app, 4).await;
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    app.job_until(&id, |job| job.counts.done > 8).await;
    app.find("a cat", 1).await;

    wire.cut();
    let job = app.job_until(&id, |job| job.status == "RUNNING" && job.waiting_on.is_some()).await;
    let waiting = job.waiting_on.unwrap();
    assert_eq!(waiting.dependency, "clip");
    assert!(job.counts.done < images, "{:?}", job.counts);
    assert!(!waiting.message.contains("127.0.0.1"), "internal details are only logged: {}", waiting.message);
    let refused = get_until(&app, "/search/images?q=a%20dog", StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(refused["code"], "unavailable");
    let response = app.send(reqwest::Method::GET, "/search/images?q=a%20dog", None).await;
    assert!(response.status() == StatusCode::SERVICE_UNAVAILABLE && response.headers().contains_key("retry-after"));
    app.find("a cat", 1).await;
    assert_eq!(get_until(&app, "/readyz", StatusCode::SERVICE_UNAVAILABLE).await["message"], "clip is unavailable");

    wire.connect().await;
    let job = app.job_until(&id, JobReply::is_final).await;
    all_done(&job, images);
    assert!(app.job(&id).await.waiting_on.is_none());
    get_until(&app, "/search/images?q=a%20dog", StatusCode::OK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_not_ready_during_an_outage_and_becomes_ready_without_a_search() {
    let (url, _serving) = serve(WrongClip::new().router()).await;
    let mut wire = TcpProxy::start(&url, true).await;
    let app = app(&wire.url()).await;
    fill(&app, 1).await;
    assert_eq!(app.ingest().await.status, "SUCCEEDED");
    assert_eq!(app.get("/readyz").await.0, StatusCode::OK);
    wire.cut();
    let (status, reply) = app.get("/search/images?q=a%20dog").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{reply}");
    let response = app.send(reqwest::Method::GET, "/readyz", None).await;
    assert!(response.status() == StatusCode::SERVICE_UNAVAILABLE && response.headers().contains_key("retry-after"));
    let reply: serde_json::Value = response.json().await.unwrap();
    assert_eq!((reply["code"].as_str(), reply["message"].as_str()), (Some("not_ready"), Some("clip is unavailable")));
    wire.connect().await;
    get_until(&app, "/readyz", StatusCode::OK).await;
    assert_eq!(app.get("/search/images?q=a%20dog").await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_a_missing_model_and_can_be_stopped() {
    let (url, _serving) = serve(WrongClip::new().router()).await;
    let mut wire = TcpProxy::start(&url, false).await;
    let app = app(&wire.url()).await;
    let images = fill(&app, 1).await;
    let response = app.send(reqwest::Method::GET, "/readyz", None).await;
    assert!(response.status() == StatusCode::SERVICE_UNAVAILABLE && response.headers().contains_key("retry-after"));
    let reply: serde_json::Value = response.json().await.unwrap();
    assert_eq!((reply["code"].as_str(), reply["message"].as_str()), (Some("not_ready"), Some("clip is unavailable")));

    let stopped = app.submit(json!({"s3_prefix": "images/"})).await;
    // The provider is known to be down, so a job waits for it while it is still pending.
    let job = app.job_until(&stopped, |job| job.status == "RUNNING" && job.waiting_on.is_some()).await;
    assert_eq!(job.waiting_on.unwrap().dependency, "clip");
    assert_eq!(app.delete(&format!("/jobs/{stopped}")).await.0, StatusCode::OK);
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    app.job_until(&id, |job| job.waiting_on.is_some()).await;

    wire.connect().await;
    let job = app.job_until(&id, JobReply::is_final).await;
    all_done(&job, images);
    assert_eq!(app.job(&stopped).await.status, "STOPPED");
    assert_eq!(app.get("/readyz").await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_ignores_its_input_is_refused_with_the_reason_everywhere() {
    let wrong_clip = WrongClip::new();
    let (url, _serving) = serve(wrong_clip.router()).await;
    let app = app(&url).await;
    fill(&app, 1).await;
    assert_eq!(app.ingest().await.status, "SUCCEEDED");
    wrong_clip.set_mode(CONSTANT);
    let app = app.restart().await;
    let reason = "failed its probe: image:gradient and image:checkers got the same vector";
    let assert_reason = |text: &str| assert!(text.contains(reason), "{text}");
    let (status, reply) = app.get("/readyz").await;
    assert_eq!((status, reply["code"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("not_ready")));
    assert_reason(reply["message"].as_str().unwrap());
    let (status, reply) = app.get("/search/images?q=a%20cat").await;
    assert_eq!((status, reply["code"].as_str()), (StatusCode::BAD_GATEWAY, Some("bad_provider")));
    assert_reason(reply["message"].as_str().unwrap());
    let job = app.ingest().await;
    assert_eq!((job.status.as_str(), job.counts.failed), ("FAILED", 0));
    assert_reason(&job.message.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_changes_its_size_ends_the_job_and_fails_no_image() {
    let wrong_clip = WrongClip::new();
    let (url, _serving) = serve(wrong_clip.router()).await;
    let app = app(&url).await;
    let images = fill(&app, 4).await;
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    app.job_until(&id, |job| job.counts.done > 8).await;
    wrong_clip.set_mode(HALF);
    let job = app.job_until(&id, JobReply::is_final).await;
    let output = job.message.unwrap();
    assert_eq!((job.status.as_str(), job.counts.failed), ("FAILED", 0), "{output}");
    assert!(
        output.contains("`bent/512/crop-260-bicubic`") && output.contains("`bent/256/crop-260-bicubic`"),
        "{output}"
    );
    assert!(job.counts.done < images, "{:?}", job.counts);
    let (status, reply) = app.get("/search/images?q=a%20cat").await;
    let output = reply["message"].as_str().unwrap();
    assert_eq!((status, reply["code"].as_str()), (StatusCode::CONFLICT, Some("space_mismatch")), "{output}");
    assert!(
        output.contains("`bent/512/crop-260-bicubic`") && output.contains("`bent/256/crop-260-bicubic`"),
        "{output}"
    );

    wrong_clip.set_mode(CORRECT);
    let app = app.restart().await;
    let job = app.ingest().await;
    assert_eq!((job.status.as_str(), job.counts.failed), ("SUCCEEDED", 0), "{:?}", job.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_after_an_outage_never_writes_into_an_old_collection() {
    let wrong_clip = WrongClip::new();
    let (url, _serving) = serve(wrong_clip.router()).await;
    let mut wire = TcpProxy::start(&url, true).await;
    let app = app(&wire.url()).await;
    fill(&app, 4).await;
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    app.job_until(&id, |job| job.counts.done > 8).await;
    wire.cut();
    app.job_until(&id, |job| job.waiting_on.is_some()).await;
    // Two failures open the circuit breaker, after which the model is verified again.
    for query in ["one", "another"] {
        let (status, reply) = app.get(&format!("/search/images?q={query}")).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{reply}");
    }
    // Nothing is in flight: everything that it answered was written before.
    let done = app.job(&id).await.counts.done;
    wrong_clip.set_mode(REVERSED);
    wire.connect().await;
    let job = app.job_until(&id, JobReply::is_final).await;
    let output = job.message.unwrap();
    assert_eq!((job.status.as_str(), job.counts.failed), ("FAILED", 0), "{output}");
    assert!(output.contains("the probe image:gradient has cosine"), "{output}");
    let (_, collections) = app.get("/collections").await;
    let count = collections["collections"][0]["count"].as_u64().unwrap();
    assert!(count == job.counts.done && count <= done + 8, "{count} of {done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_refuses_access_ends_the_job_with_advice() {
    let unauthorised = || async { (StatusCode::UNAUTHORIZED, axum::Json(json!({"detail": "no key"}))) };
    let (url, _serving) = serve(Router::new().fallback(unauthorised)).await;
    let app = app(&url).await;
    fill(&app, 1).await;
    let (status, reply) = app.get("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply["message"], "clip refused the request: check CLIP_URL, CLIP_MODEL and CLIP_API_KEY");
    let job = app.ingest().await;
    let output = job.message.unwrap();
    assert_eq!((job.status.as_str(), job.counts.failed), ("FAILED", 0));
    assert!(output.starts_with("clip refused the request: check its settings"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_model_does_not_count_as_down() {
    let (url, _serving) = serve(WrongClip::new().router()).await;
    let app = app(&url).await;
    fill(&app, 1).await;
    assert_eq!(app.ingest().await.status, "SUCCEEDED");
    for _ in 0..2 {
        let response = app.send(reqwest::Method::GET, "/search/images?q=sold%20out", None).await;
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(response.headers().contains_key("retry-after"));
    }
    app.find("a cat", 1).await;
}
