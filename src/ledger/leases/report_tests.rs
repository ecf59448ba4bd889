//! Tests of leases, reports and plans of the ledger.

use std::collections::HashSet;

use crate::domain::{Executor, ImageRef, MetadataRow, Task};
use crate::ledger::fixture::{self, all_objects, collection, give_back, lease, plan};
use crate::ledger::leases::Leased;
use crate::ledger::leases::report::*;
use crate::ledger::objects::forget::{self, Part};
use crate::ledger::planning::{Page, Planning};
use crate::ledger::{Ledger, objects};

pub(in crate::ledger) async fn ledger_with_job() -> (tempfile::TempDir, Ledger, JobId) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let job = fixture::job(Executor::Local);
    fixture::begin(&ledger, &job).await;
    (folder, ledger, job.id)
}

fn page(keys: std::ops::Range<u32>) -> Page {
    let image = |key: u32| ImageRef {
        uri: ImageUri::new("b", &format!("{key}.jpg")),
        etag: Some(format!("e{key}")),
        size_bytes: 10,
        modified: None,
    };
    let listed_through = Some(format!("{}.jpg", keys.end - 1));
    let listed = u64::from(keys.end - keys.start);
    Page { listed_through, listed, images: keys.map(image).collect(), ..Page::default() }
}

async fn leased(ledger: &Ledger, job: JobId) -> Vec<Task> {
    match lease(ledger, job, "w", None).await {
        Leased::Batch(batch) => batch.tasks,
        other => panic!("{other:?}"),
    }
}

/// Reports the items for the worker that holds them.
async fn report(ledger: &Ledger, job: JobId, outcomes: Vec<TaskOutcome>) -> JobCounts {
    let tickets: Vec<i64> = outcomes.iter().map(|outcome| outcome.ticket).collect();
    let find = move |db: &rusqlite::Connection| {
        let select = "SELECT batches.id, attempt FROM items JOIN batches ON batches.id = batch WHERE items.id = ?1";
        tickets
            .iter()
            .map(|ticket| db.query_row(select, [ticket], |row| Ok((row.get(0)?, row.get(1)?))).optional())
            .collect::<rusqlite::Result<Vec<Option<(i64, u32)>>>>()
    };
    let found = ledger.read(find).await.unwrap();
    let reports = outcomes.into_iter().zip(found).map(|(outcome, found)| {
        let (batch, attempt) = found.unwrap_or_default();
        Report { batch, attempt, outcomes: vec![outcome] }
    });
    let reported = fixture::report(ledger, job, "w", reports.collect()).await;
    assert!(reported.lost.is_empty());
    reported.counts
}

/// Every configured store.
const ALL_STORES: &str = "embedded,qdrant";

pub(in crate::ledger) fn planning(lease_size: usize) -> Planning {
    Planning { stores: StoreSet::parse(ALL_STORES), ..fixture::planning(lease_size) }
}

fn indexed_in(task: &Task, stores: &str) -> Indexed {
    let (etag, size_bytes) = (task.image.etag.clone(), task.image.size_bytes);
    Indexed { etag, size_bytes, stores: StoreSet::parse(stores), copied: false }
}

fn done(task: &Task) -> TaskOutcome {
    TaskOutcome { ticket: task.ticket, result: ItemOutcome::Indexed(indexed_in(task, ALL_STORES)) }
}

#[tokio::test]
async fn an_interrupted_lease_keeps_the_reports_and_the_rest_is_leased_again() {
    let (_folder, ledger, job) = ledger_with_job().await;
    plan(&ledger, job, page(0..5), planning(3)).await;
    let tasks = leased(&ledger, job).await;
    assert_eq!(tasks.len(), 3);
    report(&ledger, job, vec![done(&tasks[0])]).await;
    assert_eq!(give_back(&ledger, job, "another").await, 0);
    assert_eq!(give_back(&ledger, job, "w").await, 1);
    let again = leased(&ledger, job).await;
    assert_eq!(again.iter().map(|task| task.ticket).collect::<Vec<_>>(), [tasks[1].ticket, tasks[2].ticket]);
    assert_eq!(leased(&ledger, job).await.len(), 2);
    assert!(matches!(lease(&ledger, job, "w", None).await, Leased::NothingYet));
    fixture::complete(&ledger, job, planning(3), true).await;
    assert!(matches!(lease(&ledger, job, "w", None).await, Leased::NothingLeft));
}

#[tokio::test]
async fn a_report_that_arrives_twice_counts_once() {
    let (_folder, ledger, job) = ledger_with_job().await;
    plan(&ledger, job, page(0..2), planning(10)).await;
    let tasks = leased(&ledger, job).await;
    let failure = ItemFailure {
        uri: tasks[1].image.uri.clone(),
        class: FailureClass::Truncated,
        message: "cut".into(),
        attempts: 1,
    };
    let outcomes = vec![done(&tasks[0]), TaskOutcome { ticket: tasks[1].ticket, result: ItemOutcome::Failed(failure) }];
    for _ in 0..2 {
        let counts = report(&ledger, job, outcomes.clone()).await;
        assert_eq!((counts.done, counts.failed, counts.left()), (1, 1, 0));
    }
    assert_eq!(ledger.read(move |db| failures::page(db, job, 0, 10)).await.unwrap().total, 1);
}

#[tokio::test]
async fn only_new_and_changed_objects_are_planned_up_to_the_limit() {
    let (_folder, ledger, job) = ledger_with_job().await;
    plan(&ledger, job, page(0..3), planning(10)).await;
    let tasks = leased(&ledger, job).await;
    report(&ledger, job, tasks.iter().map(done).collect()).await;

    let mut changed = page(0..6);
    changed.images[1].etag = Some("other".into());
    assert!(plan(&ledger, job, changed.clone(), Planning { max_items: Some(5), ..planning(10) }).await.over_limit > 0);
    let uris: Vec<_> = leased(&ledger, job).await.into_iter().map(|task| task.image.uri.key().to_owned()).collect();
    assert_eq!(uris, ["1.jpg", "3.jpg"], "two of five places were left");
    let first = ImageUri::new("b", "0.jpg");
    ledger.write(move |tx| objects::forget(tx, &collection(), &first)).await.unwrap();
    plan(&ledger, job, page(2..3), Planning { space: "another space".into(), ..planning(10) }).await;
    assert_eq!(leased(&ledger, job).await.len(), 1, "another space needs another vector");
}

#[tokio::test]
async fn the_ledger_records_which_store_lags() {
    let (_folder, ledger, job) = ledger_with_job().await;
    plan(&ledger, job, page(0..3), planning(10)).await;
    let tasks = leased(&ledger, job).await;
    assert!(tasks.iter().all(|task| task.stored_in.is_empty()), "a new item is in no store");
    let lags =
        TaskOutcome { ticket: tasks[1].ticket, result: ItemOutcome::PartlyStored(indexed_in(&tasks[1], "embedded")) };
    let counts = report(&ledger, job, vec![done(&tasks[0]), lags]).await;
    assert_eq!((counts.done, counts.left()), (1, 2), "an item that one store lacks is not done");

    // After a restart of the process the item is still there, with the stores that have it.
    give_back(&ledger, job, "w").await;
    let again = leased(&ledger, job).await;
    let had: Vec<_> = again.iter().map(|task| (task.ticket, task.stored_in.to_string())).collect();
    assert_eq!(had, [(tasks[1].ticket, "embedded".into()), (tasks[2].ticket, String::new())]);
    // The next job plans it as a lagging item, too.
    plan(&ledger, job, page(0..2), planning(10)).await;
    let next = leased(&ledger, job).await;
    assert_eq!((next.len(), next[0].stored_in.to_string()), (1, "embedded".into()));
    assert_eq!(ledger.read_in_steps(forget::count_in_store(collection(), "embedded")).await.unwrap(), 2);
    assert_eq!(ledger.read_in_steps(forget::count_in_store(collection(), "qdrant")).await.unwrap(), 1);
}

#[tokio::test]
async fn a_store_that_was_created_again_holds_no_objects() {
    let (_folder, ledger, job) = ledger_with_job().await;
    plan(&ledger, job, page(0..4), planning(2)).await;
    let tasks = leased(&ledger, job).await;
    report(&ledger, job, tasks.iter().map(done).collect()).await;
    let second = leased(&ledger, job).await;
    let lags =
        TaskOutcome { ticket: second[0].ticket, result: ItemOutcome::PartlyStored(indexed_in(&second[0], "qdrant")) };
    report(&ledger, job, vec![lags]).await;

    ledger.in_steps(forget::forget_store(collection(), "qdrant")).await.unwrap();
    let known = all_objects(&ledger).await;
    assert_eq!(known.iter().map(|known| known.stores.to_string()).collect::<Vec<_>>(), ["embedded", "embedded"]);
    give_back(&ledger, job, "w").await;
    assert!(
        leased(&ledger, job).await.iter().all(|task| task.stored_in.is_empty()),
        "nor does the store have leased items"
    );

    let lost: HashSet<_> = [tasks[0].image.uri.id()].into();
    let others = forget::forget_all_except(collection(), "embedded", Part { number: 0, of: 1 }, lost.clone());
    assert_eq!(ledger.in_steps(others).await.unwrap(), 1);
    assert_eq!(ledger.in_steps(forget::forget_ids(collection(), "embedded", lost)).await.unwrap(), 1);
    assert!(all_objects(&ledger).await.is_empty());
}

/// Stores rows of a metadata file: a key and its taxon.
async fn put_rows(ledger: &Ledger, job: JobId, rows: &[(&str, &str)]) {
    let row = |(key, taxon): &(&str, &str)| MetadataRow {
        key: (*key).to_owned(),
        columns: [("taxon".to_owned(), (*taxon).to_owned())].into(),
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    let count = rows.len() as u64;
    ledger.in_steps(metadata::forget(job)).await.unwrap();
    let put = move |tx: &Transaction<'_>| {
        metadata::put(tx, job, "b", &rows)?;
        metadata::set_read(tx, job)
    };
    ledger.write(put).await.unwrap();
    assert_eq!(ledger.read_in_steps(metadata::count(job)).await.unwrap(), count);
    assert!(ledger.read(move |db| metadata::is_read(db, job)).await.unwrap());
}

#[tokio::test]
async fn a_changed_row_is_a_change_and_a_copy_keeps_its_row() {
    let (_folder, ledger, job) = ledger_with_job().await;
    let with_file = || Planning { metadata: true, ..planning(10) };
    put_rows(&ledger, job, &[("0.jpg", "x"), ("1.jpg", "x")]).await;
    plan(&ledger, job, page(0..3), with_file()).await;
    let tasks = leased(&ledger, job).await;
    let taxa: Vec<_> = tasks.iter().map(|task| task.metadata.get("taxon").map(String::as_str)).collect();
    assert_eq!(taxa, [Some("x"), Some("x"), None]);
    let lags =
        TaskOutcome { ticket: tasks[1].ticket, result: ItemOutcome::PartlyStored(indexed_in(&tasks[1], "embedded")) };
    report(&ledger, job, vec![done(&tasks[0]), lags, done(&tasks[2])]).await;

    // A lagging item is copied with the row that it has, by any job.
    plan(&ledger, job, page(0..3), planning(10)).await;
    let lagging = leased(&ledger, job).await;
    assert_eq!((lagging.len(), lagging[0].stored_in.to_string()), (1, "embedded".into()));
    let copied = Indexed { copied: true, ..indexed_in(&lagging[0], ALL_STORES) };
    let copied = TaskOutcome { ticket: lagging[0].ticket, result: ItemOutcome::Indexed(copied) };
    report(&ledger, job, vec![copied]).await;
    plan(&ledger, job, page(0..3), with_file()).await;
    assert!(matches!(lease(&ledger, job, "w", None).await, Leased::NothingYet), "no row has changed");

    put_rows(&ledger, job, &[("0.jpg", "y"), ("1.jpg", "x"), ("2.jpg", "new")]).await;
    plan(&ledger, job, page(0..3), with_file()).await;
    let changed = leased(&ledger, job).await;
    let keys: Vec<_> = changed.iter().map(|task| (task.image.uri.key(), task.stored_in.to_string())).collect();
    assert_eq!(keys, [("0.jpg", String::new()), ("2.jpg", String::new())], "created again in every store");

    ledger.in_steps(jobs::clear(job)).await.unwrap();
    plan(&ledger, job, page(0..1), planning(10)).await;
    ledger.in_steps(forget::forget_store(collection(), "embedded")).await.unwrap();
    ledger.in_steps(forget::forget_store(collection(), "qdrant")).await.unwrap();
    plan(&ledger, job, page(0..1), planning(10)).await;
    assert!(leased(&ledger, job).await[0].metadata.is_empty(), "rows are removed with their job");
}
