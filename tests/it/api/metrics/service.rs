//! A service in a process of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use glimpse::app::Bucket;
use glimpse::config::Settings;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;

use super::scrape::Scrape;
use crate::cli::commands::RunningCommand;

pub(super) const KEY: &str = "open-sesame-for-tests";
pub(super) const BUCKET: &str = "hidden-bucket";

/// A service that requires an API key.
pub(super) struct Service {
    pub(super) process: RunningCommand,
    pub(super) client: Client,
    pub(super) bucket: Bucket,
    pub(super) variables: Vec<(String, String)>,
}

impl Service {
    pub(super) async fn start(folder: &Path, more: &[(&str, &str)]) -> Self {
        let mut variables = vec![
            ("GLIMPSE_DATA_DIR", folder.to_str().unwrap()),
            ("GLIMPSE_ADDR", "127.0.0.1:0"),
            ("GLIMPSE_S3_ADDR", "127.0.0.1:0"),
            ("GLIMPSE_API_KEY", KEY),
            ("GLIMPSE_LOG", "error"),
            ("S3_BUCKET", BUCKET),
        ];
        variables.extend(more);
        let process = RunningCommand::start(&variables, &["serve"], "service ");
        let line = process.line("bucket ");
        let s3 = line.split_once("http://").unwrap().1.split_whitespace().next().unwrap().to_owned();
        variables.retain(|(name, _)| *name != "GLIMPSE_S3_ADDR");
        variables.push(("GLIMPSE_S3_ADDR", &s3));
        let bucket = Bucket::open(&Settings::from_variables(variables.clone()).unwrap()).await.unwrap();
        let client = Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { process, client, bucket, variables }
    }

    pub(super) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let request = self.client.request(method, format!("{}{path}", self.process.url)).bearer_auth(KEY);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        request.send().await.unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, None).await
    }

    pub(super) async fn submit(&self, body: Value) -> Value {
        let reply = self.send(Method::POST, "/jobs/images", Some(body)).await;
        assert_eq!(reply.status(), StatusCode::ACCEPTED);
        reply.json().await.unwrap()
    }

    /// Runs a job to its end and returns its counts.
    pub(super) async fn job(&self, body: Value) -> Value {
        let id = self.submit(body).await["job_id"].as_str().unwrap().to_owned();
        let deadline = Instant::now() + Duration::from_mins(2);
        loop {
            let job: Value = self.get(&format!("/jobs/{id}")).await.json().await.unwrap();
            if job["status"] == "SUCCEEDED" {
                return job["counts"].clone();
            }
            assert!(Instant::now() < deadline, "still {job}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn scrape(&self) -> Scrape {
        let reply = self.get("/metrics").await;
        assert_eq!(reply.status(), StatusCode::OK);
        assert_eq!(reply.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        Scrape::parse(reply.text().await.unwrap())
    }

    pub(super) async fn scrape_until(&self, condition: impl Fn(&Scrape) -> bool) -> Scrape {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let scrape = self.scrape().await;
            if condition(&scrape) {
                return scrape;
            }
            assert!(Instant::now() < deadline, "still {}", scrape.text);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) fn worker(&self, job: &Value, name: &str) -> KilledOnDrop {
        let mut command = Command::new(env!("CARGO_BIN_EXE_glimpse"));
        let id = job["job_id"].as_str().unwrap();
        command.args(["worker", "--service", &self.process.url, "--job", id, "--name", name, "--with-parent"]);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env("GLIMPSE_WORKER_TOKEN", job["worker_token"].as_str().unwrap());
        KilledOnDrop(command.stdin(Stdio::piped()).spawn().unwrap())
    }
}

/// A process that is killed when this is dropped.
pub(super) struct KilledOnDrop(pub(super) Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
