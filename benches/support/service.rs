//! A service in the process of the bench, with a bucket and a folder of its own.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use glimpse::app::{App, Bucket};
use glimpse::config::Settings;
use glimpse::shutdown::Shutdown;
use glimpse::source::{EmbeddedS3, S3Credentials};
use serde_json::Value;

pub(crate) struct Service {
    pub(crate) url: String,
    pub(crate) bucket_url: String,
    pub(crate) client: reqwest::Client,
    pub(crate) bucket: Bucket,
    shutdown: Shutdown,
    served: tokio::task::JoinHandle<()>,
    folder: tempfile::TempDir,
}

impl Service {
    /// Starts it with these additional settings.
    pub(crate) async fn start(more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let mut variables = vec![
            ("GLIMPSE_DATA_DIR", path.as_str()),
            ("GLIMPSE_ADDR", "127.0.0.1:0"),
            ("GLIMPSE_S3_ADDR", "127.0.0.1:0"),
            ("THUMBNAIL_PREFIX", ""),
        ];
        variables.extend(more);
        let shutdown = Shutdown::new();
        let app = App::build(Settings::from_variables(variables).unwrap(), &shutdown).await.unwrap();
        let line = app.lines().iter().find(|line| line.starts_with("bucket")).unwrap();
        let bucket_url = line.split(' ').find(|word| word.starts_with("http")).unwrap().to_owned();
        let (url, bucket) = (format!("http://{}", app.addr()), app.bucket().await.unwrap());
        let served = tokio::spawn(async move { app.serve().await.unwrap() });
        let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap();
        Self { url, bucket_url, client, bucket, shutdown, served, folder }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.begin();
        self.served.await.unwrap();
    }

    /// The credentials of its bucket.
    pub(crate) fn credentials(&self) -> S3Credentials {
        EmbeddedS3::stored_credentials(&self.folder.path().join("s3")).unwrap().unwrap()
    }

    pub(crate) async fn seed(&self, prefix: &str, count: usize, bytes: impl Fn(usize) -> Vec<u8>) {
        stream::iter((0..count).map(|at| (at, Bytes::from(bytes(at)))))
            .for_each_concurrent(16, |(at, bytes)| async move {
                let key = format!("{prefix}{at:07}.png");
                self.bucket.put("pipeline", &key, bytes, "image/png").await.unwrap();
            })
            .await;
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap().json().await.unwrap()
    }

    /// Submits a job and returns the reply.
    pub(crate) async fn submit(&self, body: Value) -> Value {
        let request = self.client.post(format!("{}/jobs/images", self.url)).json(&body);
        request.send().await.unwrap().json().await.unwrap()
    }
}
