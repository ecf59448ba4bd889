//! Jobs with remote workers: rows D2, D4, D5 and D8 of the table of faults.

mod bounds;
mod idle;
mod leases;
mod refusals;

use glimpse::api::replies::{JobReply, SubmitReply};
use glimpse::jobs::remote::protocol::wire::{PROTOCOL, VERSION};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::worker::submit;

/// A client of the internal API of one job.
struct JobApi {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl JobApi {
    /// Creates one for a job that the service has planned.
    async fn new(app: &TestApp, job: &SubmitReply) -> Self {
        let api = Self {
            client: app.client.clone(),
            base: format!("{}/internal/jobs/{}", app.url, job.job_id),
            token: job.worker_token.clone().unwrap(),
        };
        app.job_until(&job.job_id, |job| job.waiting_on.is_some() && job.counts.left > 0).await;
        api
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.client.post(format!("{}/{path}", self.base)).bearer_auth(&self.token).json(body);
        let reply = request.send().await.unwrap();
        let status = reply.status();
        (status, reply.json().await.unwrap_or_default())
    }

    /// The introduction of a worker that fits the job.
    async fn introduction(&self) -> Value {
        loop {
            let (status, described) = self.post("records", &json!({"op": "describe"})).await;
            assert_eq!(status, StatusCode::OK, "{described}");
            let space = &described["collection"]["space"];
            if space.is_object() {
                let object = "not_compared";
                return json!({"version": VERSION, "protocol": PROTOCOL, "stores": "embedded", "space": space, "object": object});
            }
        }
    }

    async fn join(&self, worker: &str) {
        let introduction = self.introduction().await;
        let (status, reply) = self.post(&format!("workers/{worker}"), &introduction).await;
        assert!(status == StatusCode::OK && reply["collection"].is_string(), "{reply}");
    }

    /// A batch, and the answer that contains it.
    async fn lease(&self, worker: &str) -> Value {
        loop {
            let (status, reply) = self.post("leases", &json!({"worker": worker})).await;
            assert_eq!(status, StatusCode::OK, "{reply}");
            assert!(reply["stop"].is_null(), "{reply}");
            if reply["batch"].is_i64() {
                return reply;
            }
        }
    }
}

/// The outcome of one task of a batch.
fn indexed(task: &Value) -> Value {
    json!({"ticket": task["ticket"], "fate": {"indexed": {
        "etag": task["image"]["etag"], "size_bytes": task["image"]["size_bytes"], "stores": "embedded", "copied": false
    }}})
}

/// A service with `count` small images, and a job over them with remote workers.
async fn start_with_images(count: u32, variables: &[(&str, &str)]) -> (TestApp, SubmitReply) {
    let app = TestApp::start_with(variables).await;
    for number in 0..count {
        app.put(&format!("images/{number:04}.png"), crate::support::quarters_png(number)).await;
    }
    let job = submit(&app, json!({"s3_prefix": "images/", "executor": "workers"})).await;
    (app, job)
}

/// Asserts that no worker was taken for dead, and that no worker gave up a lease.
async fn assert_no_lease_was_lost(app: &TestApp, job: &JobReply, done: u64) {
    let message = app.log(&job.job_id).await;
    assert_eq!((job.status.as_str(), job.counts.done, job.counts.failed), ("SUCCEEDED", done, 0), "{message}");
    assert!(!message.contains("sent no request for") && !message.contains("had no connection for longer"), "{message}");
}
