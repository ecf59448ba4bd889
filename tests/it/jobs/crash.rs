//! The index is the same after crashes as without them. The real binary is killed with SIGKILL at random moments while
//! it lists, works and removes, and is started again each time; at the end index and ledger equal those of an
//! undisturbed run.
//!
//! `make crash ROUNDS=100` kills more often than CI does.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use glimpse::app::Bucket;
use glimpse::config::Settings;
use glimpse::domain::{CollectionName, ImageRecord, ImageUri, Timestamp};
use glimpse::index::ImageIndex;
use glimpse::index::embedded::EmbeddedIndex;
use glimpse::ledger::{Ledger, ObjectRow, objects};
use serde_json::{Value, json};

use crate::cli::commands::RunningCommand;
use crate::support::environment::variable;
use crate::support::quarters_png;
use crate::support::services::cheap_clip::CheapClip;

/// Kills in CI.
const ROUNDS: u32 = 20;
/// Images at the beginning.
const IMAGES: u32 = 1_200;

/// A small xorshift: the same numbers in every run.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self, sides: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 % u64::from(sides)).unwrap()
    }
}

/// A service as a process, over a folder that outlives it.
pub(crate) struct Process {
    pub(crate) service: RunningCommand,
    client: reqwest::Client,
    folder: String,
}

impl Process {
    pub(crate) fn start(folder: &Path, clip: &CheapClip) -> Self {
        Self::start_with(folder, &clip.url)
    }

    /// The same, with a CLIP service at that URL.
    pub(crate) fn start_with(folder: &Path, clip_url: &str) -> Self {
        Self::start_with_min_free(folder, clip_url, "off")
    }

    /// The same, with a minimum of free space.
    pub(crate) fn start_with_min_free(folder: &Path, clip_url: &str, min_free: &str) -> Self {
        let folder = folder.to_str().unwrap().to_owned();
        let variables = [
            ("GLIMPSE_DATA_DIR", folder.as_str()),
            ("GLIMPSE_ADDR", "127.0.0.1:0"),
            ("GLIMPSE_S3_ADDR", "127.0.0.1:0"),
            ("IMAGE_EMBEDDING_PROVIDER", "clip"),
            ("CLIP_URL", clip_url),
            ("GLIMPSE_LOG", "error"),
            ("GLIMPSE_DISK_MIN_FREE", min_free),
        ];
        let service = RunningCommand::start(&variables, &["serve"], "service ");
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        Self { service, client, folder }
    }

    pub(crate) async fn bucket(&self) -> Bucket {
        let line = self.service.line("bucket ");
        let addr = line.split_once("http://").unwrap().1.split_whitespace().next().unwrap().to_owned();
        let variables = [("GLIMPSE_DATA_DIR", self.folder.as_str()), ("GLIMPSE_S3_ADDR", &addr)];
        Bucket::open(&Settings::from_variables(variables).unwrap()).await.unwrap()
    }

    pub(crate) async fn newest_job(&self) -> Option<Value> {
        let reply = self.client.get(format!("{}/jobs?limit=1", self.service.url)).send().await.unwrap();
        let jobs: Value = reply.json().await.unwrap();
        jobs["jobs"].get(0).cloned()
    }

    pub(crate) async fn submit(&self) {
        let body = json!({"s3_prefix": "images/", "sync": true, "max_delete_percent": 100});
        let reply = self.client.post(format!("{}/jobs/images", self.service.url)).json(&body).send().await.unwrap();
        assert_eq!(reply.status(), 202, "{}", reply.text().await.unwrap());
    }

    /// Waits for the end of the job.
    pub(crate) async fn finish(&self) {
        let deadline = Instant::now() + Duration::from_mins(5);
        loop {
            let job = self.newest_job().await.unwrap();
            if is_final(&job) {
                return succeeded(&job);
            }
            assert!(Instant::now() < deadline, "still {job}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

pub(crate) fn is_final(job: &Value) -> bool {
    matches!(job["status"].as_str(), Some("SUCCEEDED" | "FAILED" | "STOPPED"))
}

/// Asserts that the kill failed no job and no image.
pub(crate) fn succeeded(job: &Value) {
    assert!(job["status"] == "SUCCEEDED" && job["counts"]["failed"] == 0, "{job}");
}

/// Every record without its time of indexing, and everything in the ledger.
pub(crate) type State = (BTreeMap<String, ImageRecord>, Vec<ObjectRow>);

pub(crate) async fn state(folder: &Path) -> State {
    let collection = CollectionName::parse("documents").unwrap();
    let index = EmbeddedIndex::open(&folder.join("index")).unwrap();
    let ids: Vec<_> = index.scan(&collection).try_collect().await.unwrap();
    let records = index.get(&collection, &ids).await.unwrap();
    let records = records.into_iter().map(|mut record| {
        record.payload.indexed_at = Timestamp::parse("2000-01-01T00:00:00Z").unwrap();
        (record.payload.s3_key.clone(), record)
    });
    let ledger = Ledger::open(folder).unwrap();
    let rows = ledger.read(move |db| objects::page(db, &collection, None, 1_000_000)).await.unwrap();
    (records.collect(), rows)
}

/// Changes, adds, removes and renames some objects.
async fn change_objects(bucket: &Bucket, rng: &mut Rng, present: &mut Vec<u32>, next: &mut u32) {
    for _ in 0..40 {
        let at = rng.next(u32::try_from(present.len()).unwrap()) as usize;
        put(bucket, present[at], *next + rng.next(1_000)).await;
        put(bucket, *next, *next).await;
        present.push(*next);
        *next += 1;
    }
    for _ in 0..20 {
        let at = rng.next(u32::try_from(present.len()).unwrap()) as usize;
        let removed = present.swap_remove(at);
        bucket.remove(&ImageUri::new("pipeline", &key(removed))).await.unwrap();
    }
    for _ in 0..5 {
        // Renamed: the same bytes under another key.
        let at = rng.next(u32::try_from(present.len()).unwrap()) as usize;
        let (old, new) = (present[at], *next);
        bucket.put("pipeline", &key(new), quarters_png(old), "image/png").await.unwrap();
        bucket.remove(&ImageUri::new("pipeline", &key(old))).await.unwrap();
        present[at] = new;
        *next += 1;
    }
}

fn key(n: u32) -> String {
    format!("images/{n:05}.png")
}

pub(crate) async fn put(bucket: &Bucket, n: u32, seed: u32) {
    bucket.put("pipeline", &key(n), quarters_png(seed), "image/png").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_after_kills_equals_that_of_an_undisturbed_run() {
    let rounds = variable("ROUNDS").and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let clip = CheapClip::start(Duration::from_millis(2)).await;
    let (folder, mut rng) = (tempfile::tempdir().unwrap(), Rng(0x9E37_79B9_7F4A_7C15));
    let first = Process::start(folder.path(), &clip);
    let bucket = first.bucket().await;
    for n in 0..IMAGES {
        put(&bucket, n, n).await;
    }
    first.submit().await;
    let (mut present, mut next) = ((0..IMAGES).collect::<Vec<_>>(), IMAGES);
    drop(first);

    let (mut kills, mut jobs, started) = (1, 1, Instant::now());
    while kills < rounds {
        let process = Process::start(folder.path(), &clip);
        if process.newest_job().await.is_none_or(|job| is_final(&job).then(|| succeeded(&job)).is_some()) {
            change_objects(&process.bucket().await, &mut rng, &mut present, &mut next).await;
            process.submit().await;
            jobs += 1;
        }
        tokio::time::sleep(Duration::from_millis(rng.next(700).into())).await;
        // SIGKILL.
        drop(process);
        kills += 1;
    }
    let last = Process::start(folder.path(), &clip);
    last.finish().await;
    assert_eq!(last.service.stop(), Some(0));
    eprintln!("{kills} kills over {jobs} jobs in {:?}", started.elapsed());
    assert_undisturbed(folder.path(), &clip, present.len()).await;
}

/// Runs a job over a copy of the bucket, and asserts that it leaves the same index and the same ledger.
pub(crate) async fn assert_undisturbed(folder: &Path, clip: &CheapClip, images: usize) {
    let quiet = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp").arg("-r").arg(folder.join("s3")).arg(quiet.path()).status();
    assert!(copied.unwrap().success());
    let undisturbed = Process::start(quiet.path(), clip);
    undisturbed.submit().await;
    undisturbed.finish().await;
    assert_eq!(undisturbed.service.stop(), Some(0));
    let ((records, rows), (expected, expected_rows)) = (state(folder).await, state(quiet.path()).await);
    assert_eq!(records.len(), images);
    assert!(records.keys().eq(expected.keys()), "the same keys");
    for (key, record) in &records {
        assert_eq!(record, &expected[key], "{key}");
    }
    assert_eq!(rows, expected_rows);
}
