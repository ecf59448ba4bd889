//! Backups while jobs, uploads and removals change the data.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{back_up, restore_all, verify};
use crate::jobs::crash::{Process, assert_undisturbed, is_final, put, succeeded};
use crate::support::quarters_png;
use crate::support::services::cheap_clip::CheapClip;

const IMAGES: u32 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_after_a_restore_and_its_result_equals_an_undisturbed_run() {
    // So slow that the job does not end before the moment of the backup.
    let clip = CheapClip::start(Duration::from_millis(25)).await;
    let (folder, archive) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let process = Process::start(folder.path(), &clip);
    let bucket = process.bucket().await;
    for n in 0..IMAGES {
        put(&bucket, n, n).await;
    }
    process.submit().await;
    let deadline = Instant::now() + Duration::from_mins(1);
    while process.newest_job().await.unwrap()["counts"]["done"].as_u64().unwrap() < 40 {
        assert!(Instant::now() < deadline, "no progress");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    back_up(&process.service.url, archive.path(), &[]).await;
    // SIGKILL; nothing of the folder remains.
    drop(process);
    drop(folder);

    let folder = tempfile::tempdir().unwrap();
    restore_all(archive.path(), folder.path()).await;
    let process = Process::start(folder.path(), &clip);
    let restored = process.newest_job().await.unwrap();
    assert!(!is_final(&restored), "the job ended before the backup: {restored}");
    process.finish().await;
    let verified = verify(&process).await;
    assert_eq!((&verified["total"], &verified["ledger"]), (&json!(0), &json!(IMAGES)), "{verified}");
    assert_eq!(process.service.stop(), Some(0));
    assert_undisturbed(folder.path(), &clip, IMAGES as usize).await;
}

/// Uploads, replaces, removes and searches images until it is dropped.
async fn change(url: String, worker: u32) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    for n in 0_u32.. {
        // Every second upload replaces an object.
        let key = format!("{url}/objects/images/{worker}-{}.png", n / 2);
        let reply = client.put(key).body(quarters_png(worker * 1_000_000 + n)).send().await;
        let Ok(reply) = reply else { return };
        let uploaded: Value = reply.json().await.unwrap_or_default();
        if n % 5 == 0
            && let Some(id) = uploaded["id"].as_str()
        {
            client.delete(format!("{url}/images/{id}")).send().await.ok();
        }
        client.get(format!("{url}/search/images?q=red&limit=3")).send().await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_under_load_are_consistent() {
    let clip = CheapClip::start(Duration::ZERO).await;
    let (folder, archive) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let process = Process::start(folder.path(), &clip);
    let changes: Vec<_> = (0..4)
        .map(|worker| {
            tokio_util::task::AbortOnDropHandle::new(tokio::spawn(change(process.service.url.clone(), worker)))
        })
        .collect();
    // A busy machine takes its time.
    let images = async || -> usize {
        let listed = reqwest::get(format!("{}/images?limit=100", process.service.url)).await.unwrap();
        listed.json::<Value>().await.unwrap()["images"].as_array().map_or(0, Vec::len)
    };
    let deadline = Instant::now() + Duration::from_mins(1);
    while images().await < 20 {
        assert!(Instant::now() < deadline, "hardly any upload");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for _ in 0..3 {
        back_up(&process.service.url, archive.path(), &[]).await;
    }
    drop(changes);
    drop(process);

    let restored = tempfile::tempdir().unwrap();
    restore_all(archive.path(), restored.path()).await;
    let process = Process::start(restored.path(), &clip);
    // Uploads that were in progress are completed first.
    let deadline = Instant::now() + Duration::from_mins(1);
    let verified = loop {
        let verified = verify(&process).await;
        if verified["total"] == 0 || Instant::now() > deadline {
            break verified;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert!(verified["total"] == 0 && verified["ledger"].as_u64() > Some(10), "{verified}");
    let client = reqwest::Client::builder().build().unwrap();
    let get = async |path: String| client.get(format!("{}{path}", process.service.url)).send().await.unwrap();
    let listed: Value = get("/images?limit=100".to_owned()).await.json().await.unwrap();
    for image in listed["images"].as_array().unwrap() {
        let original = get(format!("/images/{}/original", image["id"].as_str().unwrap())).await;
        assert_eq!(original.status(), 200, "{image}");
    }
    // A job over the bucket finds what the index lacks, and fails at no object.
    process.submit().await;
    process.finish().await;
    succeeded(&process.newest_job().await.unwrap());
    assert_eq!(verify(&process).await["total"], 0);
}
