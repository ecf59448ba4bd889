use std::time::Duration;

use glimpse::domain::ImageUri;
use serde_json::{Value, json};

use super::minio;
use crate::jobs::crash::Process;
use crate::support::quarters_png;
use crate::support::services::cheap_clip::CheapClip;

/// A kill between the acknowledgement of an event and the write of its record loses nothing: the next process continues with the
/// keys in the ledger. There is no schedule, so no run can find them.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_events_survive_kills() {
    let clip = CheapClip::start(Duration::from_millis(5)).await;
    let folder = tempfile::tempdir().unwrap();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let mut process = Process::start(folder.path(), &clip);
    let body = json!({"s3_prefix": "images/", "collection": "documents", "sync": true, "max_delete_percent": 100});
    let reply = client.put(format!("{}/mirrors/m", process.service.url)).json(&body).send().await.unwrap();
    let created: Value = reply.json().await.unwrap();
    let token = created["event_token"].as_str().unwrap().to_owned();
    process.finish_first_run(&client).await;
    let mut expected = std::collections::BTreeMap::new();
    for round in 0..6_u32 {
        let bucket = process.bucket().await;
        for number in 0..30_u32 {
            let key = format!("images/{}.png", (round * 20 + number) % 100);
            let seed = round * 1_000 + number;
            let name = if number % 5 == 4 {
                bucket.remove(&ImageUri::new("pipeline", &key)).await.unwrap();
                expected.remove(&key);
                "s3:ObjectRemoved:Delete"
            } else {
                bucket.put("pipeline", &key, quarters_png(seed), "image/png").await.unwrap();
                expected.insert(key.clone(), quarters_png(seed));
                "s3:ObjectCreated:Put"
            };
            let event = client.post(format!("{}/events/s3", process.service.url)).bearer_auth(&token);
            let reply = event.json(&minio("pipeline", name, &key)).send().await.unwrap();
            assert_eq!(reply.status(), 200);
        }
        // SIGKILL, at another moment of the work in each round.
        tokio::time::sleep(Duration::from_millis(u64::from(round) * 13)).await;
        drop(process);
        process = Process::start(folder.path(), &clip);
    }
    let url = process.service.url.clone();
    let get = |path: &str| {
        let request = client.get(format!("{url}{path}"));
        async move { request.send().await.unwrap().json::<Value>().await.unwrap() }
    };
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    while get("/mirrors/m").await["waiting_keys"] != json!(0) {
        assert!(std::time::Instant::now() < deadline, "still {}", get("/mirrors/m").await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let images = get("/images?limit=100&collection=documents").await;
    let images = images["images"].as_array().unwrap().clone();
    let found: std::collections::BTreeMap<String, String> = images
        .iter()
        .map(|image| (image["s3_key"].as_str().unwrap().to_owned(), image["etag"].as_str().unwrap().to_owned()))
        .collect();
    assert!(found.keys().eq(expected.keys()), "{:?} {:?}", found.keys(), expected.keys());
    assert_eq!(get("/jobs?limit=10").await["jobs"].as_array().unwrap().len(), 1, "only the first run");
    // Every record is of the last version: a job that compares every ETag has nothing to read.
    process.submit().await;
    process.finish().await;
    let job = process.newest_job().await.unwrap();
    assert_eq!((&job["counts"]["done"], &job["counts"]["deleted"]), (&json!(0), &json!(0)), "{job}");
}

impl Process {
    async fn finish_first_run(&self, client: &reqwest::Client) {
        loop {
            let reply = client.get(format!("{}/mirrors/m", self.service.url)).send().await.unwrap();
            let mirror: Value = reply.json().await.unwrap();
            if mirror["last_run"]["status"] == "SUCCEEDED" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
