//! The service is killed with SIGKILL at random moments of rebuilds, switches, rollbacks and removals of generations, while
//! objects change and searches run. A reader gets the hits of one generation, with the scores of its model, in every reply.
//! At the end each generation has exactly the objects of the bucket. `make crash` kills more often than CI does.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use glimpse::app::Bucket;
use glimpse::domain::{CollectionName, ImageUri};
use glimpse::index::ImageIndex;
use glimpse::index::embedded::EmbeddedIndex;
use image::{Rgb, RgbImage};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::jobs::crash::{Process, Rng, is_final, succeeded};
use crate::support::encode_png;
use crate::support::environment::variable;
use crate::support::services::cheap_clip::CheapClip;

/// Kills in CI.
const ROUNDS: u32 = 12;
/// Objects that never change: their scores tell the model of a reply.
const FIXED: u32 = 40;
/// Objects that change.
const CHANGING: u32 = 160;

/// An image that is wider than high: cropped and padded, it gets different vectors.
fn wide_png(seed: u32) -> Vec<u8> {
    encode_png(RgbImage::from_fn(24, 12, |x, y| {
        let value = (seed.wrapping_mul(2_654_435_761) >> ((x / 12 + 2 * (y / 6)) * 6)).to_le_bytes();
        Rgb([value[0], value[1], value[2]])
    }))
}

/// A service that is killed, and what its bucket has.
struct Killed<'a> {
    folder: &'a Path,
    clip: &'a CheapClip,
    /// `None` while it is started again.
    process: Option<Process>,
    client: Client,
    rng: Rng,
    /// SHA-256 of each object, by its key.
    objects: BTreeMap<String, String>,
    /// The scores of the fixed objects with each model.
    scores: BTreeMap<&'static str, BTreeMap<String, f64>>,
    replies: u32,
}

impl<'a> Killed<'a> {
    async fn start(folder: &'a Path, clip: &'a CheapClip) -> Self {
        let client = Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let process = Some(Process::start(folder, clip));
        let (objects, scores) = (BTreeMap::new(), BTreeMap::new());
        let rng = Rng(0x5851_F42D_4C95_7F2D);
        let mut killed = Self { folder, clip, process, client, rng, objects, scores, replies: 0 };
        let bucket = killed.process().bucket().await;
        for n in 0..FIXED {
            killed.put(&bucket, format!("images/fixed/{n:03}.png"), n).await;
        }
        for n in 0..CHANGING {
            killed.put(&bucket, key(n), 1_000 + n).await;
        }
        killed.process().submit().await;
        killed.process().finish().await;
        killed.learn_scores("crop").await;
        killed
    }

    fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    fn kill(&mut self) {
        // SIGKILL.
        drop(self.process.take());
        self.process = Some(Process::start(self.folder, self.clip));
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.process().service.url)
    }

    async fn get(&self, path: &str) -> Value {
        let reply = self.client.get(self.url(path)).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        reply.json().await.unwrap()
    }

    async fn put(&mut self, bucket: &Bucket, key: String, seed: u32) {
        let bytes = wide_png(seed);
        self.objects.insert(key.clone(), hex::encode(Sha256::digest(&bytes)));
        bucket.put("pipeline", &key, bytes.into(), "image/png").await.unwrap();
    }

    /// Changes, adds and removes some objects, and starts a job for them, unless one is running.
    async fn change_objects(&mut self) {
        let jobs = self.get("/jobs?limit=20").await;
        let is_rebuild = |job: &Value| !job["generation"].is_null();
        if jobs["jobs"].as_array().unwrap().iter().any(|job| !is_final(job) && !is_rebuild(job)) {
            return;
        }
        let bucket = self.process().bucket().await;
        for _ in 0..12 {
            let (n, seed) = (self.rng.next(CHANGING + 20), self.rng.next(1 << 20));
            if self.rng.next(4) == 0 && self.objects.remove(&key(n)).is_some() {
                bucket.remove(&ImageUri::new("pipeline", &key(n))).await.unwrap();
            } else {
                self.put(&bucket, key(n), seed).await;
            }
        }
        self.process().submit().await;
    }

    /// Begins one of the changes that the states of the generations allow. The reply is not awaited, so that a kill can come at any moment.
    async fn begin_change(&mut self) {
        let generations = self.generations().await;
        let with_state = |state: &str| generations.iter().find(|one| one["state"] == state);
        let current = with_state("current").unwrap();
        let dice = self.rng.next(4);
        let (method, action, body) = if let Some(ready) = with_state("ready") {
            match dice {
                0 => (Method::DELETE, format!("generations/{}", ready["generation"]), Value::Null),
                _ => (Method::POST, "switch".to_owned(), json!({})),
            }
        } else if let (Some(previous), 0..=2) = (with_state("previous"), dice) {
            match dice {
                0 => (Method::DELETE, format!("generations/{}", previous["generation"]), Value::Null),
                _ => (Method::POST, "rollback".to_owned(), json!({})),
            }
        } else {
            (Method::POST, "rebuild".to_owned(), json!({"resize": other(current["resize"].as_str().unwrap())}))
        };
        let url = self.url(&format!("/collections/documents/{action}"));
        let request = self.client.request(method, url).json(&body);
        tokio::spawn(async move {
            // 409 while a job uses the collection. The connection breaks if the service is killed.
            if let Ok(reply) = request.send().await {
                assert!([200, 202, 409].contains(&reply.status().as_u16()), "{}", reply.text().await.unwrap());
            }
        });
    }

    async fn generations(&self) -> Vec<Value> {
        let reply = self.get("/collections/documents/generations").await;
        reply["generations"].as_array().unwrap().clone()
    }

    async fn search(&self, query: &str) -> (u64, BTreeMap<String, f64>) {
        let reply = self.get(&format!("/search/images?q=a+cat&limit=100&s3_prefix=images/fixed/{query}")).await;
        assert!(reply["warnings"].as_array().is_none_or(Vec::is_empty), "{}", reply["warnings"]);
        let hits = reply["results"].as_array().unwrap().iter();
        let score = |hit: &Value| (hit["s3_key"].as_str().unwrap().to_owned(), hit["score"].as_f64().unwrap());
        (reply["generation"].as_u64().unwrap(), hits.map(score).collect())
    }

    async fn learn_scores(&mut self, resize: &'static str) {
        let generations = self.generations().await;
        let generation = generations.iter().find(|one| one["resize"] == resize).unwrap();
        let (_, scores) = self.search(&format!("&generation={}", generation["generation"])).await;
        assert_eq!(scores.len(), FIXED as usize);
        self.scores.insert(resize, scores);
    }

    /// Asserts that a search has all fixed objects, with the scores of one model: that of the generation that the reply names.
    async fn assert_one_generation(&mut self) {
        let (generation, scores) = self.search("").await;
        let generations = self.generations().await;
        let matching = self.scores.iter().filter(|(_, known)| agree(known, &scores));
        let resizes: Vec<&str> = matching.map(|(resize, _)| *resize).collect();
        assert_eq!(resizes.len(), 1, "generation {generation} mixes two, or lacks images: {scores:?}");
        if let Some(named) = generations.iter().find(|one| one["generation"] == generation) {
            assert_eq!(named["resize"], resizes[0], "{generations:?}");
        }
        self.replies += 1;
    }

    /// Waits until no job runs, no generation is removed, and nothing is due in any of them.
    async fn wait_until_quiet(&self) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_mins(3);
        loop {
            let jobs = self.get("/jobs?limit=20").await;
            let jobs = jobs["jobs"].as_array().unwrap();
            let generations = self.generations().await;
            let is_quiet = |one: &Value| one["due"] == 0 && one["state"] != "dropping" && one["state"] != "building";
            if jobs.iter().all(is_final) && generations.iter().all(is_quiet) {
                for job in jobs {
                    // A rebuild reads objects that may have been removed from the bucket since they were indexed.
                    if job["generation"].is_null() {
                        succeeded(job);
                    }
                    assert_eq!(job["status"], "SUCCEEDED", "{job}");
                }
                return generations;
            }
            assert!(Instant::now() < deadline, "still {generations:?} {jobs:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn other(resize: &str) -> &'static str {
    if resize == "crop" { "pad" } else { "crop" }
}

fn key(n: u32) -> String {
    format!("images/{n:05}.png")
}

fn agree(known: &BTreeMap<String, f64>, found: &BTreeMap<String, f64>) -> bool {
    known.len() == found.len() && known.iter().all(|(key, score)| (found[key] - score).abs() < 1e-5)
}

/// Returns the objects of each collection in the stores: SHA-256 by key.
async fn stored(folder: &Path) -> BTreeMap<String, BTreeMap<String, String>> {
    let index = EmbeddedIndex::open(&folder.join("index")).unwrap();
    let mut stored = BTreeMap::new();
    for info in index.collections().await.unwrap() {
        let collection: CollectionName = info.name;
        let ids: Vec<_> = index.scan(&collection).try_collect().await.unwrap();
        let records = index.get(&collection, &ids).await.unwrap();
        let objects = records.into_iter().map(|record| (record.payload.s3_key, record.payload.content_sha256));
        stored.insert(collection.to_string(), objects.collect());
    }
    stored
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_one_generation_through_kills() {
    let rounds = variable("ROUNDS").and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let clip = CheapClip::start(Duration::from_millis(3)).await;
    let folder = tempfile::tempdir().unwrap();
    let mut killed = Killed::start(folder.path(), &clip).await;
    let (status, started) = (killed.client.post(killed.url("/collections/documents/rebuild")), Instant::now());
    assert_eq!(status.json(&json!({"resize": "pad"})).send().await.unwrap().status(), 202);
    killed.wait_until_quiet().await;
    killed.learn_scores("pad").await;
    assert!(!agree(&killed.scores["pad"], &killed.scores["crop"]));

    for _ in 0..rounds {
        if killed.rng.next(2) == 0 {
            killed.change_objects().await;
        }
        killed.begin_change().await;
        let until = Instant::now() + Duration::from_millis(killed.rng.next(400).into());
        killed.assert_one_generation().await;
        while Instant::now() < until {
            killed.assert_one_generation().await;
        }
        killed.kill();
        killed.assert_one_generation().await;
    }
    let mut generations = killed.wait_until_quiet().await;
    if generations.len() == 1 {
        let body = json!({"resize": other(generations[0]["resize"].as_str().unwrap())});
        let rebuild = killed.client.post(killed.url("/collections/documents/rebuild")).json(&body);
        assert_eq!(rebuild.send().await.unwrap().status(), 202);
        generations = killed.wait_until_quiet().await;
    }
    // What changed last may have been changed without a job.
    killed.process().submit().await;
    killed.process().finish().await;
    killed.wait_until_quiet().await;
    let verify = killed.client.post(killed.url("/collections/documents/verify")).json(&json!({})).send().await.unwrap();
    let verified: Value = verify.json().await.unwrap();
    eprintln!("{rounds} kills, {} searches in {:?}", killed.replies, started.elapsed());
    assert_eq!(verified["agrees"], true, "{verified}");
    assert!(generations.iter().all(|one| one["coverage_percent"] == 100.0), "{generations:?}");
    assert_eq!(killed.process.take().unwrap().service.stop(), Some(0));
    let stored = stored(folder.path()).await;
    assert_eq!(stored.len(), generations.len(), "{:?}", stored.keys());
    for (collection, objects) in stored {
        assert_eq!(objects, killed.objects, "{collection}");
    }
}
