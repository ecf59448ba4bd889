//! The whole service in a temporary folder, used over real HTTP.

pub(crate) mod certificates;
pub(crate) mod decode_helper;
pub(crate) mod demo;
pub(crate) mod environment;
pub(crate) mod exif;
pub(crate) mod fakes;
pub(crate) mod http2;
mod images;
pub(crate) mod jobs;
pub(crate) mod named_index;
mod ports;
pub(crate) mod process;
pub(crate) mod proxies;
pub(crate) mod qdrant;
pub(crate) mod ray;
pub(crate) mod scripted_bucket;
pub(crate) mod serve;
pub(crate) mod services;
mod stopped;
pub(crate) mod worker;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use glimpse::api::replies::{FailuresReply, JobReply, SearchReply, SubmitReply};
use glimpse::app::{App, Bucket, BuildError, SnsConnection};
use glimpse::config::Settings;
use glimpse::domain::ImageUri;
use glimpse::shutdown::Shutdown;
use glimpse::source::{EmbeddedS3, NewObject};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use self::environment::print;

pub(crate) use self::images::{demo_image, demo_images, encode_png, image_id, quarters_png, root};
pub(crate) use self::ports::free_address;
pub(crate) use self::serve::serve;
pub(crate) use self::stopped::Stopped;

/// Returns the content of a lock, even if a test panicked while it held it: a panic in a destructor would end all
/// tests.
pub(crate) fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running service.
pub(crate) struct TestApp {
    pub(crate) url: String,
    pub(crate) client: Client,
    pub(crate) bucket: Bucket,
    bucket_url: String,
    folder: TempDir,
    variables: Vec<(String, String)>,
    shutdown: Shutdown,
    served: JoinHandle<()>,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts it with these variables set.
    pub(crate) async fn start_with(variables: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), variables).await
    }

    /// Starts it over the folder of a stopped service, with these variables set.
    pub(crate) async fn start_in(folder: TempDir, variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::start_over(folder, variables).await
    }

    /// Starts it with these variables set, and this service in place of SNS.
    pub(crate) async fn start_with_sns(sns: SnsConnection, variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::start_connected(tempfile::tempdir().unwrap(), variables, sns).await
    }

    async fn start_over(folder: TempDir, variables: Vec<(String, String)>) -> Self {
        Self::start_connected(folder, variables, SnsConnection::default()).await
    }

    async fn start_connected(folder: TempDir, variables: Vec<(String, String)>, sns: SnsConnection) -> Self {
        let path = folder.path().display().to_string();
        let defaults = [
            ("GLIMPSE_DATA_DIR", &*path),
            ("GLIMPSE_ADDR", "127.0.0.1:0"),
            ("GLIMPSE_S3_ADDR", "127.0.0.1:0"),
            // The servers of the tests count the requests of the service.
            ("GLIMPSE_CALIBRATE", "false"),
            // The disk of the machine does not matter.
            ("GLIMPSE_DISK_MIN_FREE", "off"),
        ];
        let mut all = defaults.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        all.extend(variables.clone());
        let settings = Settings::from_variables(all).unwrap();
        let shutdown = Shutdown::new();
        let app = Self::build(settings, &shutdown, &sns).await;
        let url = app.lines()[0].split_whitespace().nth(1).unwrap().to_owned();
        let bucket = app.bucket().await.unwrap();
        let bucket_line = app.lines().iter().find(|line| line.starts_with("bucket")).unwrap();
        let bucket_url = bucket_line.split(' ').find(|word| word.starts_with("http")).unwrap_or_default().to_owned();
        let served = tokio::spawn(async move { app.serve().await.unwrap() });
        // The certificate of a service with TLS does not have its address.
        let client = Client::builder().danger_accept_invalid_certs(url.starts_with("https"));
        let client = client.timeout(std::time::Duration::from_mins(2)).build().unwrap();
        Self { url, client, bucket, bucket_url, folder, variables, shutdown, served }
    }

    /// Tasks of a service that was stopped in this process can hold its index for a moment longer.
    async fn build(settings: Settings, shutdown: &Shutdown, sns: &SnsConnection) -> App {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            match App::build_with_sns(settings.clone(), shutdown, sns).await {
                Err(BuildError::Index(error)) if std::time::Instant::now() < deadline => {
                    print(&format!("waits for the index: {error}"));
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                built => return built.unwrap(),
            }
        }
    }

    /// Asks it to stop, as SIGTERM does.
    pub(crate) fn request_stop(&self) {
        self.shutdown.begin();
    }

    /// Stops it as SIGTERM does; returns its folder.
    pub(crate) async fn stop(self) -> TempDir {
        self.shutdown.begin();
        self.served.await.unwrap();
        self.folder
    }

    /// Stops it, and starts it again over the same folder.
    pub(crate) async fn restart(self) -> Self {
        self.stop_for_restart().await.start().await
    }

    /// The same with other variables.
    pub(crate) async fn restart_with(self, variables: &[(&str, &str)]) -> Self {
        Self::start_in(self.stop().await, variables).await
    }

    /// Stops it; it can be started again with the same settings.
    pub(crate) async fn stop_for_restart(self) -> Stopped {
        let variables = self.variables.clone();
        Stopped { variables, folder: self.stop().await }
    }

    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    /// The URL of the bucket for other processes.
    pub(crate) fn bucket_url(&self) -> &str {
        &self.bucket_url
    }

    /// The variables with the bucket's credentials.
    pub(crate) fn bucket_credentials(&self) -> [(&'static str, String); 2] {
        let pair = EmbeddedS3::stored_credentials(&self.data().join("s3")).unwrap().unwrap();
        [("S3_ACCESS_KEY_ID", pair.access_key_id), ("S3_SECRET_ACCESS_KEY", pair.secret_access_key)]
    }

    pub(crate) async fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        self.bucket.put("pipeline", key, bytes.into(), "application/octet-stream").await.unwrap();
    }

    pub(crate) async fn put_object(&self, key: &str, object: NewObject) {
        self.bucket.put_object(&ImageUri::new("pipeline", key), object).await.unwrap();
    }

    /// Uploads the demo images under `images/`.
    pub(crate) async fn seed_demo(&self) -> Vec<String> {
        let mut names = Vec::new();
        for path in demo_images() {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            self.put(&format!("images/{name}"), std::fs::read(&path).unwrap()).await;
            names.push(name);
        }
        names
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        request.send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        parse_reply(self.send(Method::GET, path, None).await).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (StatusCode, Value) {
        parse_reply(self.send(Method::DELETE, path, None).await).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        parse_reply(self.send(Method::POST, path, Some(body)).await).await
    }

    pub(crate) async fn submit(&self, body: Value) -> String {
        let (status, reply) = self.post("/jobs/images", body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{reply}");
        serde_json::from_value::<SubmitReply>(reply).unwrap().job_id
    }

    pub(crate) async fn job(&self, id: &str) -> JobReply {
        let (status, reply) = self.get(&format!("/jobs/{id}")).await;
        assert_eq!(status, StatusCode::OK, "{reply}");
        serde_json::from_value(reply).unwrap()
    }

    /// Polls the job until the condition is true.
    pub(crate) async fn job_until(&self, id: &str, condition: impl Fn(&JobReply) -> bool) -> JobReply {
        let deadline = std::time::Instant::now() + std::time::Duration::from_mins(5);
        loop {
            let job = self.job(id).await;
            if condition(&job) {
                return job;
            }
            assert!(std::time::Instant::now() < deadline, "still {job:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Runs a job over `images/` to its end.
    pub(crate) async fn ingest(&self) -> JobReply {
        self.ingest_with(json!({"s3_prefix": "images/"})).await
    }

    pub(crate) async fn ingest_with(&self, body: Value) -> JobReply {
        let id = self.submit(body).await;
        self.job_until(&id, JobReply::is_final).await
    }

    pub(crate) async fn failures(&self, id: &str) -> FailuresReply {
        let (status, reply) = self.get(&format!("/jobs/{id}/failures?limit=1000")).await;
        assert_eq!(status, StatusCode::OK, "{reply}");
        serde_json::from_value(reply).unwrap()
    }

    /// The log of a job.
    pub(crate) async fn log(&self, id: &str) -> String {
        self.get(&format!("/jobs/{id}/logs")).await.1["logs"].as_str().unwrap().to_owned()
    }

    /// File names of the hits for a text, best first.
    pub(crate) async fn find(&self, text: &str, limit: usize) -> Vec<String> {
        let request = self.client.get(format!("{}/search/images", self.url));
        let response = request.query(&[("q", text), ("limit", &limit.to_string())]).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        names(&response.json().await.unwrap())
    }

    pub(crate) async fn search_file(&self, bytes: Vec<u8>, query: &str) -> Response {
        let part = reqwest::multipart::Part::bytes(bytes).file_name("query.jpg");
        let form = reqwest::multipart::Form::new().part("file", part);
        self.client.post(format!("{}/search/images{query}", self.url)).multipart(form).send().await.unwrap()
    }

    pub(crate) async fn find_like(&self, bytes: Vec<u8>) -> SearchReply {
        let response = self.search_file(bytes, "").await;
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }
}

async fn parse_reply(response: Response) -> (StatusCode, Value) {
    let (status, text) = (response.status(), response.text().await.unwrap());
    let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} without JSON: {text:?}"));
    (status, body)
}

/// File names of the hits, best first.
pub(crate) fn names(reply: &SearchReply) -> Vec<String> {
    reply.results.iter().map(|hit| hit.image.s3_key.rsplit('/').next().unwrap().to_owned()).collect()
}
