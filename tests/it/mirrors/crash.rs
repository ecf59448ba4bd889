use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use glimpse::domain::ImageUri;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::minio;
use crate::jobs::crash::{Process, is_final};
use crate::support::environment::variable;
use crate::support::quarters_png;
use crate::support::services::cheap_clip::CheapClip;

/// Kills in CI.
const ROUNDS: u32 = 6;

/// A mirror without a schedule, in a process that is killed.
struct Killed {
    /// `None` while it is started again.
    process: Option<Process>,
    client: reqwest::Client,
    token: String,
    /// SHA-256 of each object in the bucket, by its key.
    expected: BTreeMap<String, String>,
}

impl Killed {
    async fn start(process: Process) -> Self {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let body = json!({"s3_prefix": "images/", "collection": "documents", "sync": true, "max_delete_percent": 100});
        let reply = client.put(format!("{}/mirrors/m", process.service.url)).json(&body).send().await.unwrap();
        let created: Value = reply.json().await.unwrap();
        let token = created["event_token"].as_str().unwrap().to_owned();
        let killed = Self { process: Some(process), client, token, expected: BTreeMap::new() };
        killed.wait_until(|mirror| mirror["last_run"]["status"] == "SUCCEEDED").await;
        killed
    }

    fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.process().service.url)
    }

    async fn get(&self, path: &str) -> Value {
        self.client.get(self.url(path)).send().await.unwrap().json().await.unwrap()
    }

    async fn wait_until(&self, condition: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let mirror = self.get("/mirrors/m").await;
            if condition(&mirror) {
                return;
            }
            assert!(Instant::now() < deadline, "still {mirror}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Writes and removes some objects, and sends the event of each.
    async fn change_objects(&mut self, round: u32) {
        let bucket = self.process().bucket().await;
        for number in 0..30_u32 {
            let key = format!("images/{}.png", (round * 20 + number) % 100);
            let name = if number % 5 == 4 {
                bucket.remove(&ImageUri::new("pipeline", &key)).await.unwrap();
                self.expected.remove(&key);
                "s3:ObjectRemoved:Delete"
            } else {
                let bytes = quarters_png(round * 1_000 + number);
                self.expected.insert(key.clone(), hex::encode(Sha256::digest(&bytes)));
                bucket.put("pipeline", &key, bytes, "image/png").await.unwrap();
                "s3:ObjectCreated:Put"
            };
            let event = self.client.post(self.url("/events/s3")).bearer_auth(&self.token);
            let reply = event.json(&minio("pipeline", name, &key)).send().await.unwrap();
            assert_eq!(reply.status(), 200);
        }
    }

    /// Asserts that the index has exactly the last version of each object, and that the ledger agrees.
    async fn assert_equals_bucket(&self) {
        self.wait_until(|mirror| mirror["waiting_keys"] == 0 && is_final(&mirror["last_run"])).await;
        let reply = self.get("/images?limit=100&collection=documents").await;
        let text = |image: &Value, name: &str| image[name].as_str().unwrap().to_owned();
        let images = reply["images"].as_array().unwrap();
        let found: BTreeMap<_, _> =
            images.iter().map(|image| (text(image, "s3_key"), text(image, "content_sha256"))).collect();
        assert_eq!(found, self.expected);
        self.process().submit().await;
        self.process().finish().await;
        let job = self.process().newest_job().await.unwrap();
        assert_eq!((&job["counts"]["done"], &job["counts"]["deleted"]), (&json!(0), &json!(0)), "{job}");
    }
}

/// Kills the service in each round, at another moment of its work.
async fn kill_in_rounds(has_runs: bool) {
    let rounds = variable("ROUNDS").and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let clip = CheapClip::start(Duration::from_millis(5)).await;
    let folder = tempfile::tempdir().unwrap();
    let mut killed = Killed::start(Process::start(folder.path(), &clip)).await;
    for round in 0..rounds {
        if has_runs {
            // 409 while the run of an earlier round continues.
            killed.client.post(killed.url("/mirrors/m/run")).send().await.unwrap();
        }
        killed.change_objects(round).await;
        tokio::time::sleep(Duration::from_millis(u64::from(round % 10) * 13)).await;
        // SIGKILL.
        drop(killed.process.take());
        killed.process = Some(Process::start(folder.path(), &clip));
    }
    killed.assert_equals_bucket().await;
    if !has_runs {
        let jobs = killed.get("/jobs?limit=10").await;
        assert_eq!(jobs["jobs"].as_array().unwrap().len(), 2, "the first run, and the comparison at the end: {jobs}");
    }
}

/// A kill between the acknowledgement of an event and the write of its record loses nothing: the next process continues with the
/// keys in the ledger. There is no schedule, so no run can find them.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_events_survive_kills() {
    kill_in_rounds(false).await;
}

/// The same beside runs, which read and write the same objects.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_events_beside_runs_survive_kills() {
    kill_in_rounds(true).await;
}
