//! A real MinIO sends its events to a mirror, while the service and MinIO are killed: `SERVERS=minio make test-servers`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use glimpse::app::Bucket;
use glimpse::config::Settings;
use glimpse::domain::ImageUri;
use serde_json::{Value, json};

use crate::cli::commands::RunningCommand;
use crate::support::environment::{print, skip, variable};
use crate::support::services::cheap_clip::CheapClip;
use crate::support::{free_address, quarters_png};

const BUCKET: &str = "photos";
const OPERATIONS: u32 = 500;
const KEYS: u32 = 90;
const USER: &str = "glimpse-test";
const PASSWORD: &str = "nothing-is-secret-here";

/// The addresses and folders of both processes, which are the same after each start.
struct Setup {
    program: String,
    folder: tempfile::TempDir,
    clip: CheapClip,
    service: u16,
    minio: u16,
    console: u16,
}

impl Setup {
    fn service(&self) -> RunningCommand {
        let (addr, endpoint) = (format!("127.0.0.1:{}", self.service), format!("http://127.0.0.1:{}", self.minio));
        let variables = [
            ("GLIMPSE_DATA_DIR", self.folder.path().join("glimpse").to_str().unwrap()),
            ("GLIMPSE_ADDR", &addr),
            ("S3_ENDPOINT", &endpoint),
            ("S3_BUCKET", BUCKET),
            ("S3_ACCESS_KEY_ID", USER),
            ("S3_SECRET_ACCESS_KEY", PASSWORD),
            ("IMAGE_EMBEDDING_PROVIDER", "clip"),
            ("CLIP_URL", &self.clip.url),
            ("GLIMPSE_LOG", "off"),
        ]
        .map(|(name, value)| (name, value.to_owned()));
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        RunningCommand::start(&variables, &["serve"], "service ")
    }

    async fn minio(&self, token: &str) -> Killed {
        let folder = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let mut command = Command::new(&self.program);
        command.args(["server", "--address", &format!("127.0.0.1:{}", self.minio), "--console-address"]);
        command.args([&format!("127.0.0.1:{}", self.console), &folder("minio")]);
        command.envs([("MINIO_ROOT_USER", USER), ("MINIO_ROOT_PASSWORD", PASSWORD)]);
        let webhook = |name: &str| format!("MINIO_NOTIFY_WEBHOOK_{name}_GLIMPSE");
        command.env(webhook("ENABLE"), "on").env(webhook("AUTH_TOKEN"), token);
        command.env(webhook("ENDPOINT"), format!("http://127.0.0.1:{}/events/s3", self.service));
        command.env(webhook("QUEUE_DIR"), folder("queue"));
        let minio = Killed(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let ready = format!("http://127.0.0.1:{}/minio/health/ready", self.minio);
        until("MinIO is ready", async || reqwest::get(&ready).await.is_ok_and(|reply| reply.status() == 200)).await;
        minio
    }

    async fn bucket(&self) -> Bucket {
        let endpoint = format!("http://127.0.0.1:{}", self.minio);
        let variables =
            [("S3_ENDPOINT", endpoint.as_str()), ("S3_ACCESS_KEY_ID", USER), ("S3_SECRET_ACCESS_KEY", PASSWORD)];
        Bucket::open(&Settings::from_variables(variables).unwrap()).await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("http://127.0.0.1:{}{path}", self.service);
        reqwest::get(url).await.unwrap().json().await.unwrap()
    }

    /// The keys in the index.
    async fn keys(&self) -> Vec<String> {
        let reply = self.get("/images?limit=100&collection=documents").await;
        let images = reply["images"].as_array().unwrap_or_else(|| panic!("{reply}"));
        let mut keys: Vec<String> = images.iter().map(|image| image["s3_key"].as_str().unwrap().to_owned()).collect();
        keys.sort();
        keys
    }

    /// Runs the mirror and returns the counts of the run.
    async fn run(&self) -> Value {
        let url = format!("http://127.0.0.1:{}/mirrors/m/run", self.service);
        let reply = reqwest::Client::new().post(url).send().await.unwrap();
        assert_eq!(reply.status(), 202);
        self.finish_run().await
    }

    async fn finish_run(&self) -> Value {
        let mut run = Value::Null;
        until("the run ends", async || {
            run = self.get("/mirrors/m").await["last_run"].clone();
            matches!(run["status"].as_str(), Some("SUCCEEDED" | "FAILED" | "STOPPED"))
        })
        .await;
        self.get(&format!("/jobs/{}", run["job_id"].as_str().unwrap())).await["counts"].clone()
    }
}

/// A process that is killed when this is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Waits until the condition is true.
async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while !condition().await {
        assert!(Instant::now() < deadline, "two minutes passed before {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn free_port() -> u16 {
    free_address().rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Characters that each side encodes in its own way.
fn key(number: u32) -> String {
    format!("images/{}{number}.png", ["plain", "a b", "c+d", "e%2Bf", "ü", "😀", "g&h=i"][number as usize % 7])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_follows_a_bucket_through_kills_of_both_sides() {
    let Some(program) = variable("MINIO_BIN") else {
        return skip("s3", "set MINIO_BIN to the program minio, or run SERVERS=minio make test-servers");
    };
    let [service, minio, console] = [free_port(), free_port(), free_port()];
    let clip = CheapClip::start(Duration::from_millis(2)).await;
    let setup = Setup { program, folder: tempfile::tempdir().unwrap(), clip, service, minio, console };
    assert!(Path::new(&setup.program).is_file());
    let mut service = Some(setup.service());
    // MinIO reads the token at its start, so the mirror is first.
    let body = json!({"s3_prefix": "images/", "collection": "documents", "sync": true, "max_delete_percent": 100});
    let put = reqwest::Client::new().put(format!("http://127.0.0.1:{}/mirrors/m", setup.service)).json(&body);
    let created: Value = put.send().await.unwrap().json().await.unwrap();
    let token = created["event_token"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
    let mut minio = Some(setup.minio(&token).await);
    let bucket = setup.bucket().await;
    bucket.ensure(BUCKET).await.unwrap();
    bucket.put_event_rule(BUCKET, "m", "images/", "arn:minio:sqs::GLIMPSE:webhook").await.unwrap();
    setup.finish_run().await;

    let (mut expected, mut random) = (BTreeMap::new(), 1_u64);
    for operation in 0..OPERATIONS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (number, is_removal) = (u32::try_from(random >> 33).unwrap() % KEYS, random >> 60 < 5);
        let uri = ImageUri::new(BUCKET, &key(number));
        if is_removal {
            bucket.remove(&uri).await.unwrap();
            expected.remove(uri.key());
        } else {
            bucket.put(BUCKET, uri.key(), quarters_png(operation), "image/png").await.unwrap();
            expected.insert(uri.key().to_owned(), operation);
        }
        match operation {
            120 | 300 => service = None,
            160 | 301 => service = Some(setup.service()),
            230 => {
                drop(minio.take());
                minio = Some(setup.minio(&token).await);
            }
            _ => {}
        }
    }
    let expected: Vec<String> = expected.into_keys().collect();
    assert!(expected.len() > 30 && service.is_some() && minio.is_some());
    // MinIO repeats what the service did not acknowledge, from its folder. Only what it had not written there when it was killed
    // is left to the run.
    let started = Instant::now();
    until("the keys of events are compared", async || {
        setup.get("/mirrors/m").await["waiting_keys"] == 0 && setup.keys().await == expected
    })
    .await;
    print(&format!("the index was equal to the bucket {:.1} s after the last write", started.elapsed().as_secs_f64()));
    let fixed = setup.run().await;
    assert!(fixed["done"].as_u64().unwrap() + fixed["deleted"].as_u64().unwrap() <= 2, "{fixed}");
    assert_eq!(setup.keys().await, expected);
    let again = setup.run().await;
    assert_eq!((&again["done"], &again["deleted"], &again["failed"]), (&json!(0), &json!(0), &json!(0)), "{again}");

    let started = Instant::now();
    bucket.put(BUCKET, "images/last.png", quarters_png(9_999), "image/png").await.unwrap();
    until("the new image is found", async || setup.keys().await.contains(&"images/last.png".to_owned())).await;
    print(&format!("a new object was searchable after {:.1} s", started.elapsed().as_secs_f64()));
}
