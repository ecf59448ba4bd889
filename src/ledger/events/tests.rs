use rusqlite::Connection;

use super::*;
use crate::domain::{CollectionName, Executor, MirrorSpec, StoreSet};
use crate::ledger::mirrors::{self, Put};
use crate::ledger::{Ledger, fixture, objects, planning};

fn name() -> MirrorName {
    MirrorName::parse("m").unwrap()
}

fn spec() -> MirrorSpec {
    MirrorSpec {
        bucket: "b".to_owned(),
        prefix: String::new(),
        collection: fixture::collection(),
        schedule: None,
        timezone: "UTC".to_owned(),
        sync: true,
        max_delete_percent: None,
        exclude: None,
        metadata_key: None,
        executor: Executor::Local,
        events: true,
        sns_topic_arn: None,
    }
}

fn uri(key: &str) -> ImageUri {
    ImageUri::new("b", key)
}

async fn start() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let put = ledger.write(|tx| mirrors::put(tx, &name(), &spec(), "t", None, 1)).await.unwrap();
    assert_eq!(put, Put::Created);
    (folder, ledger)
}

async fn add_keys(ledger: &Ledger, keys: &[&str], mut room: u64) -> Added {
    let uris: Vec<ImageUri> = keys.iter().map(|key| uri(key)).collect();
    ledger.write(move |tx| add(tx, &name(), &uris, 5, &mut room)).await.unwrap()
}

async fn take_keys(ledger: &Ledger, now: i64) -> Vec<PendingKey> {
    ledger.write(move |tx| take(tx, now, 10)).await.unwrap().map(|(_, keys)| keys).unwrap_or_default()
}

fn indexed(etag: &str) -> Indexed {
    Indexed { etag: Some(etag.to_owned()), size_bytes: 1, stores: StoreSet::parse("embedded"), copied: false }
}

async fn known(ledger: &Ledger, key: &'static str) -> Option<ObjectRow> {
    ledger.read(move |db| object(db, &fixture::collection(), &uri(key))).await.unwrap()
}

/// Records a write of the key, with what the ledger knew before.
async fn write(ledger: &Ledger, key: &PendingKey, before: Option<ObjectRow>, etag: &str, running: Vec<JobId>) -> bool {
    let (key, indexed) = (key.clone(), indexed(etag));
    let write = move |tx: &Transaction<'_>| {
        let collection = fixture::collection();
        let written = Written {
            collection: &collection,
            before: before.as_ref(),
            indexed: Some((&indexed, "s")),
            running: &running,
        };
        record(tx, &key, &written)
    };
    ledger.write(write).await.unwrap()
}

#[tokio::test]
async fn events_of_one_key_are_one_row_and_a_later_one_is_not_lost() {
    let (_folder, ledger) = start().await;
    assert_eq!(add_keys(&ledger, &["a", "b", "a"], 10).await, Added { new: 2, coalesced: 1, over_limit: 0 });
    assert!(take_keys(&ledger, 4).await.is_empty(), "not due yet");
    let keys = take_keys(&ledger, 5).await;
    assert_eq!(keys.iter().map(|key| key.uri.key()).collect::<Vec<_>>(), ["a", "b"], "in the order of their events");
    assert!(take_keys(&ledger, 5).await.is_empty(), "a key that is taken is not taken twice");
    add_keys(&ledger, &["a"], 10).await;
    for key in keys {
        ledger.write(move |tx| done(tx, &key, 9)).await.unwrap();
    }
    let again = take_keys(&ledger, 9).await;
    assert_eq!((again.len(), again[0].uri.key(), again[0].is_started), (1, "a", false));
    ledger.write(move |tx| done(tx, &again[0], 9)).await.unwrap();
    assert_eq!(ledger.read(|db| count(db, &name())).await.unwrap(), 0);
    assert_eq!(add_keys(&ledger, &["a", "b", "c"], 2).await, Added { new: 2, coalesced: 0, over_limit: 1 });
}

#[tokio::test]
async fn a_key_of_a_crashed_process_is_due_and_is_known_to_be_started() {
    let (folder, ledger) = start().await;
    add_keys(&ledger, &["a"], 10).await;
    assert!(!take_keys(&ledger, 5).await[0].is_started);
    drop(ledger);
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.write(give_back_all).await.unwrap();
    let keys = take_keys(&ledger, 0).await;
    assert!(keys[0].is_started);
    // Nothing was done with it this time, but the first attempt may have written.
    let key = keys[0].clone();
    ledger.write(move |tx| give_back(tx, &key, 7, false, true)).await.unwrap();
    let keys = take_keys(&ledger, 7).await;
    assert_eq!((keys[0].is_started, keys[0].attempts), (true, 1));
}

#[tokio::test]
async fn keys_of_a_mirror_that_is_not_active_wait() {
    let (_folder, ledger) = start().await;
    add_keys(&ledger, &["a"], 10).await;
    ledger.write(|tx| mirrors::pause(tx, &name())).await.unwrap();
    assert!(take_keys(&ledger, 5).await.is_empty());
    assert_eq!(ledger.read(next_due).await.unwrap(), None);
    ledger.write(|tx| mirrors::resume(tx, &name())).await.unwrap();
    assert_eq!(ledger.read(next_due).await.unwrap(), Some(5));
    // Another scope has no use for them.
    let other = MirrorSpec { prefix: "x/".to_owned(), ..spec() };
    ledger.write(move |tx| mirrors::put(tx, &name(), &other, "t", None, 1)).await.unwrap();
    assert!(take_keys(&ledger, 5).await.is_empty());
}

#[tokio::test]
async fn a_write_beside_a_job_on_the_same_object_is_repeated() {
    let (_folder, ledger) = start().await;
    add_keys(&ledger, &["a", "b"], 10).await;
    let keys = take_keys(&ledger, 5).await;
    // The job has recorded another version since the key was compared.
    let job_row = ObjectRow {
        uri: uri("a"),
        etag: "job".to_owned(),
        size_bytes: 1,
        space: "s".to_owned(),
        stores: StoreSet::parse("embedded"),
    };
    fixture::record(&ledger, vec![job_row]).await;
    assert!(!write(&ledger, &keys[0], None, "event", vec![]).await);
    assert_eq!(known(&ledger, "a").await, None, "which of the two versions a store has is not known");
    // A job has leased the object.
    let job = fixture::job(Executor::Local);
    fixture::begin(&ledger, &job).await;
    let image = ImageRef { uri: uri("b"), etag: Some("e".to_owned()), size_bytes: 1, modified: None };
    let page = planning::Page { images: vec![image], listed: 1, ..planning::Page::default() };
    fixture::plan(&ledger, job.id, page, fixture::planning(10)).await;
    let leased = async || {
        let id = job.id;
        ledger.read(move |db| is_leased(db, &[id], &fixture::collection(), &uri("b"))).await.unwrap()
    };
    assert!(!leased().await, "an item that waits will be read after the event");
    fixture::lease(&ledger, job.id, "local", None).await;
    assert!(leased().await);
    assert!(!write(&ledger, &keys[1], None, "event", vec![job.id]).await);
    fixture::give_back(&ledger, job.id, "local").await;
    assert!(write(&ledger, &keys[1], None, "event", vec![job.id]).await);
    assert_eq!(known(&ledger, "b").await.unwrap().etag, "event");
}

#[tokio::test]
async fn a_running_sync_does_not_remove_what_an_event_has_written() {
    let (_folder, ledger) = start().await;
    let job = fixture::job(Executor::Local);
    fixture::begin(&ledger, &job).await;
    add_keys(&ledger, &["a"], 10).await;
    let keys = take_keys(&ledger, 5).await;
    assert!(write(&ledger, &keys[0], None, "event", vec![job.id]).await);
    // The listing was made before, and is compared with the ledger only now.
    let planning = planning::Planning { owned_prefix: Some("s3://b/".to_owned()), ..fixture::planning(10) };
    fixture::complete(&ledger, job.id, planning, true).await;
    let id = job.id;
    let vanished = move |db: &Connection| planning::vanished::list(db, id, 10);
    assert_eq!(ledger.read(vanished).await.unwrap(), Vec::<ImageUri>::new());
    ledger.in_steps(crate::ledger::jobs::clear(id)).await.unwrap();
    let left: u64 = ledger.read(|db| db.query_row("SELECT count(*) FROM touched", (), |row| row.get(0))).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_is_current_must_be_in_every_store() {
    let row = |stores: &str| ObjectRow {
        uri: uri("a"),
        etag: "e".to_owned(),
        size_bytes: 1,
        space: "s".to_owned(),
        stores: StoreSet::parse(stores),
    };
    let image = |etag: &str| ImageRef { uri: uri("a"), etag: Some(etag.to_owned()), size_bytes: 1, modified: None };
    let both = StoreSet::parse("qdrant,weaviate");
    assert!(is_current(&row("qdrant,weaviate"), &image("e"), "s", &both));
    assert!(!is_current(&row("qdrant"), &image("e"), "s", &both));
    assert!(!is_current(&row("qdrant,weaviate"), &image("f"), "s", &both));
    assert!(!is_current(&row("qdrant,weaviate"), &image("e"), "t", &both));
    assert!(!is_current(&row("qdrant,weaviate"), &ImageRef { etag: None, ..image("e") }, "s", &both));
    let other = CollectionName::parse("other").unwrap();
    let (_folder, ledger) = start().await;
    fixture::record(&ledger, vec![row("qdrant")]).await;
    assert_eq!(ledger.read(move |db| object(db, &other, &uri("a"))).await.unwrap(), None);
    let found = ledger.read(|db| objects::page(db, &fixture::collection(), None, 10)).await.unwrap();
    assert_eq!(known(&ledger, "a").await.as_ref(), found.first());
}

async fn claim_key(ledger: &Ledger, key: &'static str, max: u64) -> Claim {
    ledger.write(move |tx| claim(tx, &fixture::collection(), &uri(key), 5, max)).await.unwrap()
}

#[tokio::test]
async fn an_upload_has_its_key_alone_until_it_gives_it_back() {
    let (_folder, ledger) = start().await;
    let Claim::Claimed { key, is_new: true } = claim_key(&ledger, "a", 1).await else { panic!("not claimed") };
    assert!(matches!(claim_key(&ledger, "a", 1).await, Claim::Busy));
    assert!(matches!(claim_key(&ledger, "b", 1).await, Claim::Full));
    assert!(take_keys(&ledger, 9).await.is_empty(), "the lane does not take it");
    // An event of a mirror about the same object is another row.
    add_keys(&ledger, &["a"], 10).await;
    assert_eq!(take_keys(&ledger, 9).await.len(), 1);
    ledger.write(move |tx| give_back(tx, &key, 9, false, false)).await.unwrap();
    let find_key = || ledger.read(|db| Ok((find(db, &fixture::collection(), &uri("a"))?, count_uploads(db)?)));
    assert_eq!(find_key().await.unwrap(), (Some(false), 1));
    let taken = ledger.write(|tx| take(tx, 9, 10)).await.unwrap();
    let (owner, keys) = taken.unwrap();
    assert_eq!((owner, keys.len()), (KeyOwner::Uploads(fixture::collection()), 1));
    assert_eq!(find_key().await.unwrap(), (Some(true), 1));
    let key = keys[0].clone();
    ledger.write(move |tx| done(tx, &key, 9)).await.unwrap();
    assert_eq!(find_key().await.unwrap(), (None, 0));
}

#[tokio::test]
async fn uploads_of_a_killed_process_and_of_a_dropped_collection() {
    let (_folder, ledger) = start().await;
    claim_key(&ledger, "a", 10).await;
    ledger.write(give_back_all).await.unwrap();
    assert_eq!(ledger.read(next_due).await.unwrap(), Some(0), "the lane finds the key");
    ledger.write(|tx| objects::forget::begin_drop(tx, &fixture::collection())).await.unwrap();
    assert_eq!(ledger.read(count_uploads).await.unwrap(), 0);
}
