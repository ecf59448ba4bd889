//! The data folder on a full disk: the job reports it, and continues when there is space.

use std::io::ErrorKind;
use std::process::Command;
use std::time::{Duration, Instant};

use glimpse::app::Bucket;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::jobs::crash::{Process, is_final, put, succeeded};
use crate::support::environment::skip;
use crate::support::quarters_png;
use crate::support::services::cheap_clip::CheapClip;

/// Kilobytes of the disk.
const DISK: u32 = 16 * 1024;
const IMAGES: u32 = 400;

/// A small file system that is unmounted when this is dropped.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` if this user cannot mount one.
    pub(crate) fn mount(kilobytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={kilobytes}k");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        let mounted = mount.is_ok_and(|mount| mount.status.success());
        if !mounted {
            skip("mount", "run as a user who may mount a tmpfs");
        }
        mounted.then_some(Self(folder))
    }

    /// Creates a data folder on it.
    pub(crate) fn data(&self) -> std::path::PathBuf {
        let data = self.0.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        data
    }

    fn filler(&self) -> std::path::PathBuf {
        self.0.path().join("filler")
    }

    /// Fills the disk except for `but` kilobytes. A running service can write meanwhile, so less can be left.
    pub(crate) fn fill(&self, but: u64) {
        let df = Command::new("df").args(["--output=avail", "-k"]).arg(self.0.path()).output().unwrap();
        let free = String::from_utf8(df.stdout).unwrap().lines().nth(1).unwrap().trim().parse::<u64>().unwrap();
        let bytes = usize::try_from(free.saturating_sub(but) * 1024).unwrap();
        match std::fs::write(self.filler(), vec![0; bytes]) {
            Err(error) if error.kind() == ErrorKind::StorageFull => {}
            written => written.unwrap(),
        }
    }

    /// Frees the space again.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0.path()).status().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_on_a_full_disk_reports_it_and_continues_when_there_is_space() {
    let Some(disk) = SmallDisk::mount(DISK) else { return };
    let clip = CheapClip::start(Duration::from_millis(3)).await;
    let process = Process::start(&disk.data(), &clip);
    let bucket = process.bucket().await;
    for n in 0..IMAGES {
        put(&bucket, n, n).await;
    }
    disk.fill(200);
    process.submit().await;
    let full =
        |job: &Value| job["waiting_on"]["message"].as_str().is_some_and(|message| message.contains("no space left"));
    let deadline = Instant::now() + Duration::from_mins(1);
    let job = loop {
        let job = process.newest_job().await.unwrap();
        assert!(!is_final(&job), "it neither fails nor is done: {job}");
        if full(&job) {
            break job;
        }
        assert!(Instant::now() < deadline, "nothing is reported: {job}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(job["counts"]["failed"], 0, "{job}");
    disk.free();
    process.finish().await;
    let job = process.newest_job().await.unwrap();
    succeeded(&job);
    assert_eq!(job["counts"]["done"], IMAGES, "{job}");
    assert_eq!(process.service.stop(), Some(0));
}

/// Returns `path` of the service, parsed.
async fn get(client: &Client, process: &Process, path: &str) -> Value {
    client.get(format!("{}{path}", process.service.url)).send().await.unwrap().json().await.unwrap()
}

/// Waits until a value of the service fulfils a condition.
async fn until(client: &Client, process: &Process, path: &str, condition: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let value = get(client, process, path).await;
        if condition(&value) {
            return value;
        }
        assert!(Instant::now() < deadline, "{path}: {value}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn put_object(client: &Client, process: &Process) -> reqwest::Response {
    let url = format!("{}/objects/images/new.png", process.service.url);
    client.put(url).body(quarters_png(7_777)).send().await.unwrap()
}

async fn put_directly(bucket: &Bucket, n: u32) -> Result<(), String> {
    let put = bucket.put("pipeline", &format!("images/direct-{n}.png"), quarters_png(n), "image/png").await;
    put.map_err(|error| format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string)))
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_minimum_of_free_space_jobs_and_uploads_wait_and_searches_go_on() {
    let Some(disk) = SmallDisk::mount(64 * 1024) else { return };
    // The job must still run when the disk is filled for the second time.
    let clip = CheapClip::start(Duration::from_millis(1_200)).await;
    let process = Process::start_with_min_free(&disk.data(), &clip.url, "8 MB");
    let client = Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let bucket = process.bucket().await;
    for n in 0..IMAGES {
        put(&bucket, n, n).await;
    }
    process.submit().await;
    until(&client, &process, "/jobs?limit=1", |jobs| jobs["jobs"][0]["counts"]["done"].as_u64() > Some(10)).await;
    // Less than twice the minimum: a warning, and everything goes on.
    disk.fill(12 * 1024);
    let ready = until(&client, &process, "/readyz", |ready| ready["notes"][0].is_string()).await;
    assert!(ready["notes"][0].as_str().unwrap().contains("GLIMPSE_DISK_MIN_FREE=8 MB"), "{ready}");
    assert_eq!(put_object(&client, &process).await.status(), StatusCode::CREATED);
    disk.free();
    // Less than the minimum: the job waits, and nothing is stored.
    disk.fill(4 * 1024);
    let jobs = until(&client, &process, "/jobs?limit=1", |jobs| jobs["jobs"][0]["waiting_on"].is_object()).await;
    let (job, waiting) = (&jobs["jobs"][0], &jobs["jobs"][0]["waiting_on"]);
    assert!(!is_final(job) && waiting["dependency"] == "disk", "{job}");
    let message = waiting["message"].as_str().unwrap();
    for part in [disk.data().to_str().unwrap(), "GLIMPSE_DISK_MIN_FREE=8 MB", "MB free"] {
        assert!(message.contains(part), "{message}");
    }
    let refused = put_object(&client, &process).await;
    assert!(refused.status() == StatusCode::INSUFFICIENT_STORAGE && refused.headers().contains_key("retry-after"));
    let refused: Value = refused.json().await.unwrap();
    assert!(refused["code"] == "no_space" && refused["message"].as_str().unwrap().contains("8 MB"), "{refused}");
    let error = put_directly(&bucket, 1).await.unwrap_err();
    assert!(error.contains("no space left") || error.contains("GLIMPSE_DISK_MIN_FREE"), "{error}");
    // The images in flight are finished, then nothing is processed any more.
    let settled = until_settled(&client, &process).await;
    assert!(settled["counts"]["left"].as_u64() > Some(0) && settled["counts"]["failed"] == 0, "{settled}");
    let found = get(&client, &process, "/search/images?q=a&limit=1").await;
    assert_eq!(found["results"].as_array().map(Vec::len), Some(1), "searches go on: {found}");
    let id = found["results"][0]["id"].as_str().unwrap();
    let removed = client.delete(format!("{}/images/{id}", process.service.url)).send().await.unwrap();
    assert_eq!(removed.status(), StatusCode::OK, "removals go on");
    let metrics = client.get(format!("{}/metrics", process.service.url)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains(&format!("glimpse_disk_min_free_bytes {}", 8 << 20)), "{metrics}");
    disk.free();
    process.finish().await;
    let job = process.newest_job().await.unwrap();
    succeeded(&job);
    assert_eq!(job["counts"]["left"], json!(0), "{job}");
    put_directly(&bucket, 1).await.unwrap();
    assert_eq!(process.service.stop(), Some(0));
}

/// Waits until a job has processed nothing for two seconds, and returns it.
async fn until_settled(client: &Client, process: &Process) -> Value {
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut last = Value::Null;
    loop {
        let job = get(client, process, "/jobs?limit=1").await["jobs"][0].clone();
        if last["counts"] == job["counts"] {
            return job;
        }
        assert!(Instant::now() < deadline, "{job}");
        last = job;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// The checkpoint of the index at the start finds no space for what the log has.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_killed_starts_on_a_full_disk_and_searches() {
    let Some(disk) = SmallDisk::mount(64 * 1024) else { return };
    let clip = CheapClip::start(Duration::ZERO).await;
    let process = Process::start(&disk.data(), &clip);
    let bucket = process.bucket().await;
    for n in 0..100 {
        put(&bucket, n, n).await;
    }
    process.submit().await;
    process.finish().await;
    disk.fill(0);
    // It is killed.
    drop(process);
    let index = disk.data().join("index");
    let bytes = |name: &str| index.join(name).metadata().unwrap().len();
    assert!(bytes("index.sqlite-wal") > bytes("index.sqlite"), "the checkpoint needs space");
    let process = Process::start(&disk.data(), &clip);
    let client = Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let found = get(&client, &process, "/search/images?q=a&limit=100").await;
    assert_eq!(found["results"].as_array().map(Vec::len), Some(100), "{found}");
    disk.free();
    assert_eq!(process.service.stop(), Some(0));
}
