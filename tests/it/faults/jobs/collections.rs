//! Large collections are dropped without delaying other requests.

use std::path::Path;
use std::time::{Duration, Instant};

use glimpse::domain::{CollectionName, ImageUri};
use glimpse::ledger::objects::{self, forget};
use glimpse::ledger::{Ledger, ObjectRow};
use reqwest::{Client, StatusCode};

use crate::jobs::crash::{Process, put};
use crate::support::services::cheap_clip::CheapClip;

const OBJECTS: u32 = 100_000;

fn collection() -> CollectionName {
    CollectionName::parse("large").unwrap()
}

/// A ledger that knows a large collection that no store has.
async fn fill_ledger(folder: &Path) -> Ledger {
    let ledger = Ledger::open(folder).unwrap();
    let row = |n| ObjectRow {
        uri: ImageUri::new("pipeline", &format!("images/{n:08}.jpg")),
        etag: format!("{n:x}"),
        size_bytes: 1,
        space: "s".to_owned(),
        stores: ["embedded"].into_iter().collect(),
    };
    let rows = (0..OBJECTS).map(row).collect();
    ledger.write(|tx| objects::put_all(tx, &collection(), rows)).await.unwrap();
    ledger
}

async fn is_empty(folder: &Path) -> bool {
    let ledger = Ledger::open(folder).unwrap();
    let read = ledger.read(|db| Ok((objects::page(db, &collection(), None, 1)?, forget::dropping(db)?)));
    let (objects, dropping) = read.await.unwrap();
    objects.is_empty() && dropping.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_while_a_large_collection_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    drop(fill_ledger(folder.path()).await);
    let clip = CheapClip::start(Duration::ZERO).await;
    let process = Process::start(folder.path(), &clip);
    let client = Client::new();
    let large = format!("{}/collections/large", process.service.url);
    let mut deleting = tokio::spawn(client.delete(&large).send());
    let mut answered = 0;
    let deleted = loop {
        tokio::select! {
            deleted = &mut deleting => break deleted.unwrap().unwrap(),
            _ = process.newest_job() => answered += 1,
        }
    };
    assert_eq!(deleted.status(), StatusCode::OK, "the ledger knew it");
    assert!(answered >= 10, "{answered} answers meanwhile");
    let again = client.delete(&large).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_FOUND, "it is unknown");
    assert_eq!(process.service.stop(), Some(0));
    assert!(is_empty(folder.path()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_interrupted_by_a_crash_is_completed_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = fill_ledger(folder.path()).await;
    // The state that a service leaves if it is killed during a drop.
    assert!(ledger.write(|tx| forget::begin_drop(tx, &collection())).await.unwrap());
    assert!(ledger.write(|tx| forget::forget_some(tx, &collection())).await.unwrap());
    drop(ledger);
    let clip = CheapClip::start(Duration::ZERO).await;
    let process = Process::start(folder.path(), &clip);
    let (client, deadline) = (Client::new(), Instant::now() + Duration::from_mins(1));
    let url = format!("{}/collections/large", process.service.url);
    loop {
        match client.delete(&url).send().await.unwrap().status() {
            StatusCode::NOT_FOUND => break,
            status => assert!(matches!(status, StatusCode::CONFLICT | StatusCode::OK), "{status}"),
        }
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Another collection is not affected.
    put(&process.bucket().await, 1, 1).await;
    process.submit().await;
    process.finish().await;
    assert_eq!(process.service.stop(), Some(0));
    assert!(is_empty(folder.path()).await);
}
