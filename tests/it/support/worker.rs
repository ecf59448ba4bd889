//! `glimpse worker` as a process, and its records in the index.

use std::process::{Child, Command, Stdio};

use futures::TryStreamExt;
use glimpse::api::replies::SubmitReply;
use glimpse::domain::{CollectionName, ImageRecord};
use glimpse::index::ImageIndex;
use glimpse::index::embedded::EmbeddedIndex;
use reqwest::StatusCode;
use serde_json::Value;

use super::TestApp;

/// A worker process; it is killed when this is dropped.
pub(crate) struct Worker {
    child: Child,
}

impl Worker {
    pub(crate) fn start(app: &TestApp, job: &SubmitReply, name: &str, more: &[(&str, &str)]) -> Self {
        let token = job.worker_token.as_deref().unwrap();
        Self::start_with_token(app, &job.job_id, token, name, more)
    }

    pub(crate) fn start_with_token(app: &TestApp, job: &str, token: &str, name: &str, more: &[(&str, &str)]) -> Self {
        Self::start_through(&app.url, app, job, token, name, more)
    }

    /// Starts a worker that reaches the service at that URL.
    pub(crate) fn start_through(
        url: &str,
        app: &TestApp,
        job: &str,
        token: &str,
        name: &str,
        more: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
        command.args(["worker", "--service", url, "--job", job, "--name", name]);
        command.env("GLIMPSE_WORKER_TOKEN", token).env("GLIMPSE_DATA_DIR", app.data());
        command.env("S3_ENDPOINT", app.bucket_url()).envs(app.bucket_credentials());
        command.envs([("GLIMPSE_EMBED_THREADS", "1"), ("IMAGE_EMBED_BATCH_SIZE", "2")]).envs(more.iter().copied());
        command.current_dir(std::env::temp_dir()).stdout(Stdio::null()).stderr(Stdio::piped()).stdin(Stdio::null());
        Self { child: command.spawn().unwrap() }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits for its end; returns its exit code and its output.
    pub(crate) async fn wait(mut self) -> (Option<i32>, String) {
        let stderr = self.child.stderr.take().unwrap();
        tokio::task::spawn_blocking(move || {
            let output = std::io::read_to_string(stderr).unwrap();
            (self.child.wait().unwrap().code(), output)
        })
        .await
        .unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Submits a job with remote workers.
pub(crate) async fn submit(app: &TestApp, body: Value) -> SubmitReply {
    let (status, reply) = app.post("/jobs/images", body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
    serde_json::from_value(reply).unwrap()
}

/// Every record of a collection.
pub(crate) async fn points(index: &EmbeddedIndex, collection: &str) -> Vec<ImageRecord> {
    let name = CollectionName::parse(collection).unwrap();
    let ids: Vec<_> = index.scan(&name).try_collect().await.unwrap();
    let mut points = index.get(&name, &ids).await.unwrap();
    points.sort_by_key(|point| point.id);
    points
}
