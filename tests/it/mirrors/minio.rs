//! Events of a real MinIO, which sends them to the webhook of a mirror: `make test-servers`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use glimpse::app::Bucket;
use glimpse::config::Settings;
use glimpse::domain::ImageUri;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{finished_run, mirror, put_mirror};
use crate::support::environment::{skip, variable};
use crate::support::{TestApp, free_address, quarters_png};

const USER: &str = "glimpse-test";
const PASSWORD: &str = "nothing-is-secret-here";
const WEBHOOK: &str = "arn:minio:sqs::GLIMPSE:webhook";

/// A MinIO that is killed when this is dropped.
struct Minio(Child);

impl Minio {
    /// Starts it, with the webhook of a mirror if there is one: the URL of the service and the token.
    async fn start(binary: &Path, folder: &Path, addr: &str, webhook: Option<(&str, &str)>) -> Self {
        let mut command = Command::new(binary);
        command.args(["server", "--quiet", "--address", addr, "--console-address", &free_address()]);
        command.arg(folder.join("data")).env("MINIO_ROOT_USER", USER).env("MINIO_ROOT_PASSWORD", PASSWORD);
        if let Some((service, token)) = webhook {
            command.env("MINIO_NOTIFY_WEBHOOK_ENABLE_GLIMPSE", "on");
            command.env("MINIO_NOTIFY_WEBHOOK_ENDPOINT_GLIMPSE", format!("{service}/events/s3"));
            command.env("MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_GLIMPSE", token);
            command.env("MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_GLIMPSE", folder.join("queue"));
        }
        let minio = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_mins(1);
        while reqwest::get(format!("http://{addr}/minio/health/ready")).await.is_err() {
            assert!(Instant::now() < deadline, "MinIO does not answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        minio
    }
}

impl Drop for Minio {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// SHA-256 of each image in the index, by its key.
async fn indexed(app: &TestApp) -> BTreeMap<String, String> {
    let (_, reply) = app.get("/images?limit=100&collection=documents").await;
    let text = |image: &serde_json::Value, name: &str| image[name].as_str().unwrap().to_owned();
    let images = reply["images"].as_array().into_iter().flatten();
    images.map(|image| (text(image, "s3_key"), text(image, "content_sha256"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_follows_a_bucket_while_service_and_bucket_are_restarted() {
    let Some(binary) = variable("S3_TEST_BINARY").map(PathBuf::from) else {
        return skip("s3", "set S3_TEST_BINARY to the binary of MinIO");
    };
    let folder = tempfile::tempdir().unwrap();
    let (service, storage) = (free_address(), free_address());
    let endpoint = format!("http://{storage}");
    let variables = [
        ("GLIMPSE_ADDR", service.as_str()),
        ("S3_ENDPOINT", endpoint.as_str()),
        ("S3_ACCESS_KEY_ID", USER),
        ("S3_SECRET_ACCESS_KEY", PASSWORD),
        ("S3_BUCKET", "pipeline"),
    ];
    let bucket = Bucket::open(&Settings::from_variables(variables).unwrap()).await.unwrap();
    let first = Minio::start(&binary, folder.path(), &storage, None).await;
    bucket.ensure("pipeline").await.unwrap();
    let mut app = TestApp::start_with(&variables).await;
    let (_, created) = put_mirror(&app, json!({"max_delete_percent": 100})).await;
    let token = created["event_token"].as_str().unwrap().to_owned();
    finished_run(&app).await;
    drop(first);
    let webhook = Some((app.url.clone(), token));
    let webhook = webhook.as_ref().map(|(url, token)| (url.as_str(), token.as_str()));
    let mut minio = Minio::start(&binary, folder.path(), &storage, webhook).await;
    bucket.put_event_rule("pipeline", "m", "images/", WEBHOOK).await.unwrap();

    let mut expected = BTreeMap::new();
    for number in 0..200_u32 {
        let key = format!("images/{} ü+%.png", number * 37 % 61);
        if number % 4 == 3 {
            bucket.remove(&ImageUri::new("pipeline", &key)).await.unwrap();
            expected.remove(&key);
        } else {
            let bytes = quarters_png(number);
            expected.insert(key.clone(), hex::encode(Sha256::digest(&bytes)));
            bucket.put("pipeline", &key, bytes, "image/png").await.unwrap();
        }
        if number == 50 || number == 150 {
            app = app.restart().await;
        }
        if number == 100 {
            drop(minio);
            minio = Minio::start(&binary, folder.path(), &storage, webhook).await;
        }
    }
    let deadline = Instant::now() + Duration::from_mins(1);
    while indexed(&app).await != expected && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // MinIO can lose an event between the reply to a change and the file of its event: a run finds the change.
    let before = indexed(&app).await;
    let missing = expected.iter().filter(|(key, hash)| before.get(*key) != Some(hash)).count();
    assert!(
        missing <= 1 && before.len().abs_diff(expected.len()) <= 1,
        "{missing} events were lost: {:?}",
        mirror(&app).await
    );
    app.post("/mirrors/m/run", json!(null)).await;
    let run = finished_run(&app).await;
    assert_eq!((run.status.as_str(), run.counts.failed), ("SUCCEEDED", 0));
    assert_eq!(indexed(&app).await, expected);
    drop(minio);
}
