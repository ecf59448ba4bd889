use std::time::Duration;

use serde_json::Value;

use crate::jobs::crash::Process;
use crate::support::quarters_png;
use crate::support::services::cheap_clip::CheapClip;

/// A kill after the reply 202 loses no upload: the next process indexes the keys in the ledger. No job runs.
#[tokio::test(flavor = "multi_thread")]
async fn accepted_uploads_survive_kills() {
    let clip = CheapClip::start(Duration::from_millis(5)).await;
    let folder = tempfile::tempdir().unwrap();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let mut process = Process::start(folder.path(), &clip);
    let mut expected = std::collections::BTreeSet::new();
    for round in 0..4_u32 {
        for number in 0..15_u32 {
            let key = format!("images/{}.png", round * 10 + number);
            let url = format!("{}/objects/{key}?collection=documents", process.service.url);
            let request = client.put(url).header("prefer", "respond-async").body(quarters_png(round * 100 + number));
            let reply = request.send().await.unwrap();
            assert_eq!(reply.status(), 202, "{}", reply.text().await.unwrap());
            expected.insert(key);
        }
        // SIGKILL, at another moment of the work in each round.
        tokio::time::sleep(Duration::from_millis(u64::from(round) * 17)).await;
        drop(process);
        process = Process::start(folder.path(), &clip);
    }
    let list = || async {
        let url = format!("{}/images?limit=100&collection=documents", process.service.url);
        let reply: Value = client.get(url).send().await.unwrap().json().await.unwrap();
        let images = reply["images"].as_array().cloned().unwrap_or_default();
        images.iter().map(|image| image["s3_key"].as_str().unwrap().to_owned()).collect()
    };
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    let mut found: std::collections::BTreeSet<String> = list().await;
    while found != expected {
        assert!(std::time::Instant::now() < deadline, "{found:?} is not {expected:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        found = list().await;
    }
}
