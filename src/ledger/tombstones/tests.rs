use std::ops::ControlFlow;

use super::*;
use crate::domain::{Executor, Indexed, ItemOutcome, StoreSet, Task, TaskOutcome};
use crate::ledger::events::{self, Claim};
use crate::ledger::fixture::{self, all_objects, collection, lease, plan};
use crate::ledger::leases::Leased;
use crate::ledger::leases::report::tests::ledger_with_job;
use crate::ledger::objects::forget;
use crate::ledger::planning::Page;
use crate::ledger::{Batch, Ledger, Report, jobs};

fn uri(key: u32) -> ImageUri {
    ImageUri::new("b", &format!("{key}.jpg"))
}

fn page_of(keys: &[u32], etag: &str) -> Page {
    let image = |key: &u32| ImageRef { uri: uri(*key), etag: Some(etag.to_owned()), size_bytes: 10, modified: None };
    Page { listed: keys.len() as u64, images: keys.iter().map(image).collect(), ..Page::default() }
}

/// Removes the image permanently, as if the stores had removed its record.
async fn remove(ledger: &Ledger, key: u32) {
    let remove = move |tx: &Transaction<'_>| {
        assert!(put(tx, &collection(), &uri(key))?);
        removed(tx, &collection(), &pending(tx, &collection(), Some(&uri(key)), 1)?)
    };
    ledger.write(remove).await.unwrap();
    assert_eq!(pending_keys(ledger).await, Vec::<String>::new());
}

async fn pending_keys(ledger: &Ledger) -> Vec<String> {
    let pending = ledger.read(|db| pending(db, &collection(), None, 100)).await.unwrap();
    pending.into_iter().map(|removal| removal.uri.key().to_owned()).collect()
}

async fn leased(ledger: &Ledger, job: JobId) -> Batch {
    match lease(ledger, job, "w", None).await {
        Leased::Batch(batch) => batch,
        other => panic!("{other:?}"),
    }
}

fn indexed() -> Indexed {
    Indexed { etag: Some("e".to_owned()), size_bytes: 10, stores: StoreSet::parse("embedded"), copied: false }
}

fn keys(tasks: &[Task]) -> Vec<&str> {
    tasks.iter().map(|task| task.image.uri.key()).collect()
}

#[tokio::test]
async fn a_plan_skips_every_version_of_a_removed_image() {
    let (_folder, ledger, job) = ledger_with_job().await;
    remove(&ledger, 1).await;
    for etag in ["e", "f"] {
        let planned = plan(&ledger, job, page_of(&[0, 1, 2], etag), fixture::planning(10)).await;
        assert_eq!((planned.skipped, planned.unchanged), (1, 0));
        assert_eq!(keys(&leased(&ledger, job).await.tasks), ["0.jpg", "2.jpg"]);
    }
    let counts = ledger.job(job).await.unwrap().unwrap().counts;
    assert_eq!((counts.listed, counts.skipped, counts.left()), (6, 2, 4));
    // Of another collection.
    let other = CollectionName::parse("other").unwrap();
    assert!(!ledger.read(move |db| exists(db, &other, &uri(1))).await.unwrap());
}

#[tokio::test]
async fn a_dry_run_does_not_plan_a_removed_image() {
    let (_folder, ledger, job) = ledger_with_job().await;
    remove(&ledger, 1).await;
    let planning = crate::ledger::planning::Planning { dry_run: Some(StoreSet::default()), ..fixture::planning(10) };
    plan(&ledger, job, page_of(&[0, 1], "e"), planning).await;
    let job = ledger.job(job).await.unwrap().unwrap();
    assert_eq!((job.plan.unwrap().new, job.counts.skipped), (1, 1));
}

#[tokio::test]
async fn a_removed_image_is_not_leased() {
    let (_folder, ledger, job) = ledger_with_job().await;
    plan(&ledger, job, page_of(&[0, 1, 2, 3], "e"), fixture::planning(2)).await;
    for key in [0, 1, 3] {
        remove(&ledger, key).await;
    }
    let batch = leased(&ledger, job).await;
    assert_eq!(keys(&batch.tasks), ["2.jpg"], "the first batch has no image left");
    let counts = ledger.job(job).await.unwrap().unwrap().counts;
    assert_eq!((counts.skipped, counts.left()), (3, 1));
    assert!(matches!(lease(&ledger, job, "w", None).await, Leased::NothingYet), "the listing is not complete");
}

#[tokio::test]
async fn a_report_does_not_bring_a_removed_image_back_and_has_its_record_removed() {
    let (_folder, ledger, job) = ledger_with_job().await;
    plan(&ledger, job, page_of(&[0, 1, 2], "e"), fixture::planning(3)).await;
    let batch = leased(&ledger, job).await;
    remove(&ledger, 0).await;
    remove(&ledger, 1).await;
    let outcome = |task: &Task, result| TaskOutcome { ticket: task.ticket, result };
    let outcomes = vec![
        outcome(&batch.tasks[0], ItemOutcome::Indexed(indexed())),
        outcome(&batch.tasks[1], ItemOutcome::PartlyStored(indexed())),
        outcome(&batch.tasks[2], ItemOutcome::Indexed(indexed())),
    ];
    let report = Report { batch: batch.id, attempt: batch.attempt, outcomes };
    let reported = fixture::report(&ledger, job, "w", vec![report]).await;
    assert_eq!((reported.done, reported.skipped, reported.counts.left()), (1, 2, 0));
    assert_eq!(all_objects(&ledger).await.len(), 1);
    assert_eq!(pending_keys(&ledger).await, ["0.jpg", "1.jpg"]);
}

#[tokio::test]
async fn an_item_that_leaves_the_work_without_a_report_may_have_been_written() {
    let (_folder, ledger, job) = ledger_with_job().await;
    plan(&ledger, job, page_of(&[0, 1], "e"), fixture::planning(2)).await;
    leased(&ledger, job).await;
    remove(&ledger, 0).await;
    ledger.in_steps(jobs::clear(job)).await.unwrap();
    assert_eq!(pending_keys(&ledger).await, ["0.jpg"]);
}

#[tokio::test]
async fn a_write_during_the_removal_of_the_record_is_not_lost() {
    let (_folder, ledger, _) = ledger_with_job().await;
    ledger.write(|tx| put(tx, &collection(), &uri(0))).await.unwrap();
    let removals = ledger.read(|db| pending(db, &collection(), None, 10)).await.unwrap();
    assert!(ledger.write(|tx| repeat_removal(tx, &collection(), &uri(0))).await.unwrap());
    ledger.write(move |tx| removed(tx, &collection(), &removals)).await.unwrap();
    assert_eq!(pending_keys(&ledger).await, ["0.jpg"]);
    assert!(!ledger.write(|tx| repeat_removal(tx, &collection(), &uri(1))).await.unwrap());
}

#[tokio::test]
async fn an_upload_of_a_removed_image_is_refused_until_it_is_restored() {
    let (_folder, ledger, _) = ledger_with_job().await;
    remove(&ledger, 0).await;
    let claim = |tx: &Transaction<'_>| events::claim(tx, &collection(), &uri(0), 1, 10);
    assert!(matches!(ledger.write(claim).await.unwrap(), Claim::Removed));
    assert!(ledger.write(|tx| revoke(tx, &collection(), &uri(0))).await.unwrap());
    assert!(matches!(ledger.write(claim).await.unwrap(), Claim::Claimed { .. }));
    assert!(!ledger.write(|tx| revoke(tx, &collection(), &uri(0))).await.unwrap());
}

#[tokio::test]
async fn the_pages_have_every_removed_image_once_the_last_one_first() {
    let (_folder, ledger, _) = ledger_with_job().await;
    for key in 0..5 {
        remove(&ledger, key).await;
    }
    // A repeated removal is the same row.
    remove(&ledger, 0).await;
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = ledger.read(move |db| page(db, &collection(), after, 2)).await.unwrap();
        assert_eq!(page.total, 5);
        found.extend(page.tombstones.iter().map(|tombstone| tombstone.uri.key().to_owned()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, ["4.jpg", "3.jpg", "2.jpg", "1.jpg", "0.jpg"]);
    let found = ledger.read(|db| find(db, &collection(), uri(3).id())).await.unwrap().unwrap();
    assert_eq!((found.uri, found.is_pending), (uri(3), false));
}

#[tokio::test]
async fn the_number_of_removed_images_of_a_collection_is_limited() {
    let (_folder, ledger, _) = ledger_with_job().await;
    remove(&ledger, 0).await;
    let fill = |tx: &Transaction<'_>| {
        tx.execute(
            "INSERT INTO tombstones(collection, uri, image, removed_at)
             WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             SELECT 'c', 's3://b/x/' || i, i, '2026-01-01T00:00:00Z' FROM n",
            [MAX_TOMBSTONES],
        )
    };
    ledger.write(fill).await.unwrap();
    assert!(!ledger.write(|tx| put(tx, &collection(), &uri(1))).await.unwrap());
    assert!(ledger.write(|tx| put(tx, &collection(), &uri(0))).await.unwrap(), "it is there already");
    let other = CollectionName::parse("other").unwrap();
    assert!(ledger.write(move |tx| put(tx, &other, &uri(1))).await.unwrap());
    assert_eq!(ledger.read(|db| count_below(db, &collection(), "s3://b/x/")).await.unwrap(), MAX_TOMBSTONES - 1);

    // A removal of the collection forgets all of them, in steps.
    assert!(ledger.write(|tx| forget::begin_drop(tx, &collection())).await.unwrap());
    let forget = |tx: &Transaction<'_>| {
        Ok(if forget::forget_some(tx, &collection())? { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    };
    ledger.in_steps(forget).await.unwrap();
    assert_eq!(ledger.read(|db| page(db, &collection(), None, 1)).await.unwrap().total, 0);
    assert!(ledger.write(|tx| put(tx, &collection(), &uri(1))).await.unwrap());
}

#[tokio::test]
async fn a_retry_of_a_removed_image_has_nothing_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let job = fixture::job(Executor::Local);
    fixture::begin(&ledger, &job).await;
    remove(&ledger, 1).await;
    // A retry lists images in any order.
    plan(&ledger, job.id, page_of(&[2, 1, 0], "e"), fixture::planning(10)).await;
    assert_eq!(keys(&leased(&ledger, job.id).await.tasks), ["0.jpg", "2.jpg"]);
}
