//! Mirrors: their runs, the events of their buckets, and crashes in between.

mod beside;
mod crash;
mod events;
mod minio;
mod moto;
mod queue;
mod rule;
mod runs;
mod sns;

use std::time::{Duration, Instant};

use glimpse::api::replies::{JobReply, MirrorReply};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::TestApp;

/// Creates or replaces the mirror `m` of `images/`, without a schedule.
async fn put_mirror(app: &TestApp, fields: Value) -> (StatusCode, Value) {
    let mut body = json!({"s3_prefix": "images/", "collection": "documents", "sync": true});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let reply = app.send(Method::PUT, "/mirrors/m", Some(body)).await;
    (reply.status(), reply.json().await.unwrap())
}

/// Creates the mirror `m` and waits for its first run. Returns its event token.
async fn start_mirror(app: &TestApp, fields: Value) -> String {
    let (status, reply) = put_mirror(app, fields).await;
    assert_eq!(status, StatusCode::CREATED, "{reply}");
    finished_run(app).await;
    reply["event_token"].as_str().unwrap().to_owned()
}

async fn mirror(app: &TestApp) -> MirrorReply {
    let (status, reply) = app.get("/mirrors/m").await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    serde_json::from_value(reply).unwrap()
}

/// Polls the mirror until the condition is true.
async fn mirror_until(app: &TestApp, condition: impl Fn(&MirrorReply) -> bool) -> MirrorReply {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let mirror = mirror(app).await;
        if condition(&mirror) {
            return mirror;
        }
        assert!(Instant::now() < deadline, "still {mirror:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the newest run has ended.
async fn finished_run(app: &TestApp) -> JobReply {
    let is_final = |status: &str| matches!(status, "SUCCEEDED" | "FAILED" | "STOPPED");
    let found = mirror_until(app, |mirror| {
        !mirror.run_soon && mirror.last_run.as_ref().is_some_and(|run| is_final(&run.status))
    });
    let id = found.await.last_run.unwrap().job_id;
    app.job_until(&id, JobReply::is_final).await
}

/// Polls the keys in the index until they are these.
pub(crate) async fn keys_until(app: &TestApp, expected: &[&str]) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let now = keys(app).await;
        if now == expected {
            return;
        }
        assert!(Instant::now() < deadline, "still {now:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The keys in the index, sorted.
pub(crate) async fn keys(app: &TestApp) -> Vec<String> {
    let (status, reply) = app.get("/images?limit=100&collection=documents").await;
    if status == StatusCode::NOT_FOUND {
        return Vec::new();
    }
    let images = reply["images"].as_array().unwrap_or_else(|| panic!("{status} {reply}"));
    let mut keys: Vec<String> = images.iter().map(|image| image["s3_key"].as_str().unwrap().to_owned()).collect();
    keys.sort();
    keys
}

/// A delivery of MinIO: `key` is encoded as forms are.
pub(crate) fn minio(bucket: &str, name: &str, key: &str) -> Value {
    json!({"EventName": name, "Key": format!("{bucket}/{key}"), "Records": [{
        "eventVersion": "2.0", "eventSource": "minio:s3", "awsRegion": "", "eventTime": "2026-01-01T00:00:00.000Z",
        "eventName": name, "s3": {"s3SchemaVersion": "1.0", "configurationId": "Config",
            "bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}")},
            "object": {"key": encode_form(key), "sequencer": "182178E8B3728CAC"}}}]})
}

/// Encodes a key as Go's `url.QueryEscape` does.
fn encode_form(key: &str) -> String {
    url::form_urlencoded::byte_serialize(key.as_bytes()).collect()
}

/// Sends a delivery. Returns the numbers of accepted, ignored and dropped events.
pub(crate) async fn deliver(app: &TestApp, token: &str, body: &Value) -> [u64; 3] {
    let reply = app.client.post(format!("{}/events/s3", app.url)).bearer_auth(token).json(body).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    let reply: Value = reply.json().await.unwrap();
    ["accepted", "ignored", "dropped"].map(|name| reply[name].as_u64().unwrap())
}

/// Sends an event of MinIO about a key of the bucket `pipeline`.
async fn notify(app: &TestApp, token: &str, name: &str, key: &str) {
    assert_eq!(deliver(app, token, &minio("pipeline", name, key)).await, [1, 0, 0], "{name} {key}");
}

/// Waits until no key is waiting.
async fn settled(app: &TestApp) {
    mirror_until(app, |mirror| mirror.waiting_keys == 0).await;
}
