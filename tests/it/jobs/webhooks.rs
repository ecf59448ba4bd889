//! Webhooks of the whole service, with a real receiver.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac::{HMAC_SHA256, Key, verify};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use glimpse::api::replies::JobReply;
use glimpse::domain::ImageUri;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::support::serve::serve_until_dropped;
use crate::support::{TestApp, demo_image, free_address, locked};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[derive(Clone, Debug)]
struct Received {
    id: String,
    seconds: i64,
    signature: String,
    body: Bytes,
}

impl Received {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Verifies the signature as a receiver does.
    fn verify(&self) {
        let key = Key::new(HMAC_SHA256, &STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap());
        let signed = [format!("{}.{}.", self.id, self.seconds).as_bytes(), &self.body].concat();
        let tag = STANDARD.decode(self.signature.strip_prefix("v1,").unwrap()).unwrap();
        verify(&key, &signed, &tag).unwrap();
    }
}

#[derive(Clone, Default)]
struct Receiver {
    received: Arc<Mutex<Vec<Received>>>,
    /// The statuses of the next replies; 204 if there is none.
    statuses: Arc<Mutex<Vec<StatusCode>>>,
}

impl Receiver {
    async fn start(&self, address: &str) -> AbortOnDropHandle<()> {
        let listener = TcpListener::bind(address.parse::<SocketAddr>().unwrap()).await.unwrap();
        let router = Router::new().route("/hooks/{token}", post(receive)).with_state(self.clone());
        AbortOnDropHandle::new(tokio::spawn(serve_until_dropped(listener, router)))
    }

    async fn wait_for(&self, count: usize) -> Vec<Received> {
        loop {
            let received = locked(&self.received).clone();
            if received.len() >= count {
                return received;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert_eq!(text("content-type"), "application/json");
    let seconds = text("webhook-timestamp").parse().unwrap();
    let received = Received { id: text("webhook-id"), seconds, signature: text("webhook-signature"), body };
    received.verify();
    locked(&receiver.received).push(received);
    match locked(&receiver.statuses).pop() {
        Some(status) => (status, [("location", "/hooks/elsewhere")], "x".repeat(1 << 20)).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn counted(app: &TestApp, outcome: &str) -> u64 {
    let metrics = app.send(reqwest::Method::GET, "/metrics", None).await.text().await.unwrap();
    let series = format!("glimpse_webhooks_total{{outcome=\"{outcome}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ends_of_jobs_are_delivered_after_failures_and_restarts() {
    let address = free_address();
    let url = format!("http://{address}/hooks/hush?token=hush");
    let app = TestApp::start_with(&[("GLIMPSE_WEBHOOK_URL", &url), ("GLIMPSE_WEBHOOK_SECRET", SECRET)]).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    let before = counted(&app, "failed").await;
    let job = app.ingest().await;
    // Nothing listens: the attempt fails, and the service is restarted before the next one.
    while counted(&app, "failed").await == before {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let stopped = app.stop_for_restart().await;
    let receiver = Receiver::default();
    let _server = receiver.start(&address).await;
    let app = stopped.start().await;
    let first = receiver.wait_for(1).await.remove(0);
    let body = first.json();
    assert_eq!((&body["type"], &body["data"]["job_id"]), (&json!("job.succeeded"), &json!(job.job_id)), "{body}");
    assert_eq!(body["timestamp"], body["data"]["finished_at"]);
    let data: JobReply = serde_json::from_value(body["data"].clone()).unwrap();
    assert_eq!((data.status.as_str(), data.counts.done), ("SUCCEEDED", 1));

    // A redirect and an error are failures: the same webhook is sent again.
    *locked(&receiver.statuses) = vec![StatusCode::SERVICE_UNAVAILABLE, StatusCode::TEMPORARY_REDIRECT];
    let delivered = counted(&app, "delivered").await;
    let failed = app.ingest_with(json!({"s3_prefix": "images/", "metadata_key": "no.csv"})).await;
    assert_eq!(failed.status, "FAILED");
    let attempts = receiver.wait_for(4).await.split_off(1);
    assert_eq!(attempts[0].json()["type"], "job.failed");
    for attempt in &attempts {
        assert_eq!((&attempt.id, &attempt.body), (&attempts[0].id, &attempts[0].body));
    }
    assert!(attempts[2].seconds > attempts[0].seconds && attempts[0].id != first.id, "{attempts:?}");
    while counted(&app, "delivered").await == delivered {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let waiting = app.send(reqwest::Method::GET, "/metrics", None).await.text().await.unwrap();
    assert!(waiting.contains("glimpse_webhooks_waiting "), "{waiting}");
    assert_eq!(locked(&receiver.received).len(), 4, "a delivered webhook is not sent again");

    // Without a receiver, nothing is recorded for a later one.
    let app = app.restart_with(&[]).await;
    app.ingest().await;
    let app = app.restart_with(&[("GLIMPSE_WEBHOOK_URL", &url), ("GLIMPSE_WEBHOOK_SECRET", SECRET)]).await;
    let id = app.submit(json!({"executor": "workers"})).await;
    app.delete(&format!("/jobs/{id}")).await;
    let last = receiver.wait_for(5).await.remove(4).json();
    assert_eq!((&last["type"], &last["data"]["job_id"]), (&json!("job.cancelled"), &json!(id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_mirror_is_reported_with_its_reason() {
    let address = free_address();
    let receiver = Receiver::default();
    let _server = receiver.start(&address).await;
    let url = format!("http://{address}/hooks/m");
    let app = TestApp::start_with(&[("GLIMPSE_WEBHOOK_URL", &url), ("GLIMPSE_WEBHOOK_SECRET", SECRET)]).await;
    app.seed_demo().await;
    let mirror = json!({"s3_prefix": "images/", "collection": "documents", "sync": true, "max_delete_percent": 0});
    let put = async |body: &Value| {
        let reply = app.send(reqwest::Method::PUT, "/mirrors/photos", Some(body.clone())).await;
        assert!(reply.status().is_success(), "{}", reply.text().await.unwrap());
    };
    put(&mirror).await;
    let first = receiver.wait_for(1).await.remove(0).json();
    assert_eq!((&first["type"], &first["data"]["mirror"]), (&json!("job.succeeded"), &json!("photos")), "{first}");
    app.bucket.remove(&ImageUri::new("pipeline", "images/cat.jpg")).await.unwrap();
    app.post("/mirrors/photos/run", json!({})).await;
    let mut events: Vec<Value> = receiver.wait_for(3).await[1..].iter().map(Received::json).collect();
    events.sort_by_key(|event| event["type"].to_string());
    assert_eq!((&events[0]["type"], &events[1]["type"]), (&json!("job.failed"), &json!("mirror.failed")));
    let data = &events[1]["data"];
    assert_eq!((&data["name"], &data["state"]), (&json!("photos"), &json!("stopped")));
    assert!(
        data["reason"].as_str().unwrap().contains("max_delete_percent") && data.get("event_token").is_none(),
        "{data}"
    );
    app.post("/mirrors/photos/resume", json!({})).await;
    let last = receiver.wait_for(4).await.remove(3).json();
    assert_eq!(
        (&last["type"], &last["data"]["state"], &last["data"]["reason"]),
        (&json!("mirror.recovered"), &json!("active"), &Value::Null)
    );
}

#[tokio::test]
async fn the_doctor_describes_the_receiver_and_warns() {
    let url = "http://hooks.example/hush?token=hush";
    let output = crate::cli::commands::glimpse(&[("GLIMPSE_WEBHOOK_URL", url)], &["doctor"]).await;
    let text = crate::cli::commands::stdout(&output);
    assert!(text.contains("the ends of jobs are sent to http://hooks.example/***, not signed"), "{text}");
    assert!(text.contains("GLIMPSE_WEBHOOK_URL is http://hooks.example/***: names of buckets"), "{text}");
    assert!(text.contains("GLIMPSE_WEBHOOK_SECRET is not set") && !text.contains("hush"), "{text}");
    for (name, value) in [("GLIMPSE_WEBHOOK_URL", "hush"), ("GLIMPSE_WEBHOOK_SECRET", "hush")] {
        let output = crate::cli::commands::glimpse(&[(name, value)], &["doctor", "--quick"]).await;
        let text = crate::cli::commands::stdout(&output);
        assert!(text.contains(&format!("{name} has a value that cannot be used")) && !text.contains("hush"), "{text}");
    }
}
