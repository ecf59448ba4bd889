//! Jobs on a real Ray cluster, started by `zarf/ray/test.sh` (`make test-ray`): a head without CPUs, and two nodes
//! with one CPU each.

use std::path::Path;
use std::time::{Duration, Instant};

use glimpse::app::Bucket;
use glimpse::config::Settings;
use glimpse::index::embedded::EmbeddedIndex;
use serde_json::{Value, json};

use crate::cli::commands::RunningCommand;
use crate::support::environment::{print, skip, variable};
use crate::support::quarters_png;
use crate::support::services::cheap_clip::CheapClip;
use crate::workers::service::records;

const IMAGES: u32 = 300;
/// The time that the model takes for an image.
const IMAGE_TIME: Duration = Duration::from_millis(20);

struct Cluster {
    token: String,
    nodes: Vec<String>,
}

impl Cluster {
    fn from_environment() -> Option<Self> {
        let Some((nodes, token)) = variable("GLIMPSE_RAY_NODES").zip(variable("RAY_AUTH_TOKEN")) else {
            skip("ray", "run make test-ray");
            return None;
        };
        Some(Self { token, nodes: nodes.split(',').map(str::to_owned).collect() })
    }

    /// The state of a submission in Ray.
    async fn state(&self, submission: &str) -> String {
        let url = format!("http://127.0.0.1:8265/api/jobs/{submission}");
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let reply: Value = client.get(url).bearer_auth(&self.token).send().await.unwrap().json().await.unwrap();
        reply["status"].as_str().unwrap().to_owned()
    }
}

/// Processes of this namespace whose command line contains all of these words.
fn processes(parts: &[&str]) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let matches = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        parts.iter().all(|word| line.contains(word))
    };
    all.filter(matches).collect()
}

fn kill(pid: i32) {
    std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
}

struct Service {
    process: Option<RunningCommand>,
    folder: String,
}

impl Service {
    fn start(folder: &Path) -> Self {
        let folder = folder.to_str().unwrap().to_owned();
        Self { process: Some(Self::process(&folder)), folder }
    }

    fn process(folder: &str) -> RunningCommand {
        let variables = [
            ("GLIMPSE_DATA_DIR", folder),
            ("GLIMPSE_ADDR", "127.0.0.1:8080"),
            ("GLIMPSE_S3_ADDR", "127.0.0.1:9100"),
            ("IMAGE_BATCH_SIZE", "8"),
            ("GLIMPSE_LEASE_SECONDS", "6"),
            ("GLIMPSE_LOG", "error"),
        ];
        RunningCommand::start(&variables, &["serve"], "service ")
    }

    fn restart(&mut self) {
        // Killed when it is dropped.
        self.process = None;
        self.process = Some(Self::process(&self.folder));
    }

    async fn bucket(&self) -> Bucket {
        let variables = [("GLIMPSE_DATA_DIR", self.folder.as_str()), ("GLIMPSE_S3_ADDR", "127.0.0.1:9100")];
        let credentials = [("S3_ACCESS_KEY_ID", "ray-test"), ("S3_SECRET_ACCESS_KEY", "ray-test-secret")];
        Bucket::open(&Settings::from_variables(variables.into_iter().chain(credentials)).unwrap()).await.unwrap()
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        let request = client.request(method, format!("http://127.0.0.1:8080{path}"));
        let request = body.iter().fold(request, reqwest::RequestBuilder::json);
        let reply = request.send().await.unwrap();
        assert!(reply.status().is_success(), "{}", reply.text().await.unwrap());
        reply.json().await.unwrap()
    }

    async fn submit(&self, collection: &str, executor: &str) -> String {
        let body = json!({"s3_prefix": "images/", "collection": collection, "executor": executor});
        let reply = self.send(reqwest::Method::POST, "/jobs/images", Some(body)).await;
        reply["job_id"].as_str().unwrap().to_owned()
    }

    async fn wait_until(&self, id: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_mins(2);
        loop {
            let job = self.send(reqwest::Method::GET, &format!("/jobs/{id}"), None).await;
            if condition(&job) {
                return job;
            }
            assert!(Instant::now() < deadline, "still {job}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn done(&self, id: &str, at_least: u64) {
        self.wait_until(id, |job| job["counts"]["done"].as_u64().unwrap() >= at_least).await;
    }

    async fn succeeds(&self, id: &str) {
        let job = self.wait_until(id, |job| job["finished_at"].is_string()).await;
        let counts = &job["counts"];
        assert!(job["status"] == "SUCCEEDED" && counts["done"] == IMAGES && counts["failed"] == 0, "{job}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_on_ray_ends_like_a_local_one_after_kills() {
    let Some(cluster) = Cluster::from_environment() else { return };
    let _clip = CheapClip::at("127.0.0.1:9200", IMAGE_TIME).await;
    let folder = tempfile::tempdir().unwrap();
    let mut service = Service::start(folder.path());
    let bucket = service.bucket().await;
    for number in 0..IMAGES {
        bucket.put("pipeline", &format!("images/{number:04}.png"), quarters_png(number), "image/png").await.unwrap();
    }
    let home = service.submit("home", "local").await;
    service.succeeds(&home).await;

    let started = Instant::now();
    let plain = service.submit("plain", "ray").await;
    service.done(&plain, 1).await;
    let first = started.elapsed();
    let busy = |job: &Value| {
        let at_work = |worker: &Value| worker["done"].as_u64().unwrap() > 0;
        job["workers"].as_array().is_some_and(|all| all.len() == 2 && all.iter().all(at_work))
    };
    service.wait_until(&plain, busy).await;
    let all = started.elapsed();
    service.succeeds(&plain).await;
    print(&format!(
        "first image {first:.1?} after submission, both workers at work {all:.1?}, end {:.1?}",
        started.elapsed()
    ));

    let id = service.submit("worker", "ray").await;
    service.done(&id, 40).await;
    kill(processes(&["worker", "--job", &id])[0]);
    service.succeeds(&id).await;
    print("a worker was killed: nothing lost");

    let id = service.submit("service", "ray").await;
    service.done(&id, 40).await;
    service.restart();
    service.succeeds(&id).await;
    print("the service was killed: nothing lost");

    let id = service.submit("stopped", "ray").await;
    service.done(&id, 20).await;
    service.send(reqwest::Method::DELETE, &format!("/jobs/{id}"), None).await;
    let job = service.wait_until(&id, |job| job["finished_at"].is_string()).await;
    assert!(job["status"] == "STOPPED" && job["counts"]["done"].as_u64().unwrap() < u64::from(IMAGES), "{job}");
    let deadline = Instant::now() + Duration::from_mins(2);
    while !processes(&["worker", "--job", &id]).is_empty()
        || cluster.state(&format!("glimpse-{id}-g1")).await == "RUNNING"
    {
        assert!(Instant::now() < deadline, "stopped, but still running");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    print("a job was stopped: no worker continues");

    let id = service.submit("node", "ray").await;
    service.wait_until(&id, busy).await;
    let killed = Instant::now();
    let of_node = processes(&[&cluster.nodes[0]]);
    assert!(!of_node.is_empty());
    of_node.into_iter().for_each(kill);
    service.succeeds(&id).await;
    print(&format!("a node was killed: nothing lost, end {:.1?} later", killed.elapsed()));

    drop(service);
    let index = EmbeddedIndex::open(&folder.path().join("index")).unwrap();
    let condition = records(&index, "home").await;
    assert_eq!(condition.len(), IMAGES as usize);
    for collection in ["plain", "worker", "service", "node"] {
        assert!(records(&index, collection).await == condition, "{collection} differs from the local one");
    }
}
