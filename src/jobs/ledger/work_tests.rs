//! Leases, reports and plans of the ledger.

use super::*;
use crate::domain::{Executor, FailureClass, JobRecord, JobSpec, JobState, Timestamp};
use crate::pipeline::Indexed;

fn collection() -> CollectionName {
    CollectionName::parse("c").unwrap()
}

async fn ledger_with_job() -> (tempfile::TempDir, Ledger, JobId) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let job = JobRecord {
        id: JobId::fresh(),
        spec: JobSpec {
            bucket: "b".into(),
            prefix: String::new(),
            collection: collection(),
            max_items: None,
            any_extension: false,
            max_failures: None,
            executor: Executor::Local,
        },
        state: JobState::Pending,
        message: None,
        submitted_at: Timestamp::now(),
        started_at: None,
        finished_at: None,
        counts: JobCounts::default(),
    };
    assert!(ledger.enqueue(&job, 1).await.unwrap());
    assert!(ledger.begin(job.id).await.unwrap());
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
    Page { listed_through, listed: u64::from(keys.end - keys.start), skipped: 0, images: keys.map(image).collect() }
}

async fn leased(ledger: &Ledger, job: JobId) -> Vec<Task> {
    match ledger.lease(job, "w").await.unwrap() {
        Leased::Batch(tasks) => tasks,
        other => panic!("{other:?}"),
    }
}

fn done(task: &Task) -> Outcome {
    let indexed = Indexed { etag: task.image.etag.clone(), size_bytes: task.image.size_bytes };
    Outcome { ticket: task.ticket, result: Ok(indexed) }
}

#[tokio::test]
async fn an_interrupted_lease_keeps_what_was_reported_and_gives_the_rest_again() {
    let (_folder, ledger, job) = ledger_with_job().await;
    assert!(ledger.plan(job, collection(), "s".into(), page(0..5), 3, None).await.unwrap());
    let tasks = leased(&ledger, job).await;
    assert_eq!(tasks.len(), 3);
    ledger.report(job, collection(), "s".into(), vec![done(&tasks[0])]).await.unwrap();
    assert_eq!(ledger.end_leases("another").await.unwrap(), 0);
    assert_eq!(ledger.end_leases("w").await.unwrap(), 1);
    let again = leased(&ledger, job).await;
    assert_eq!(again.iter().map(|task| task.ticket).collect::<Vec<_>>(), [tasks[1].ticket, tasks[2].ticket]);
    assert_eq!(leased(&ledger, job).await.len(), 2);
    assert!(matches!(ledger.lease(job, "w").await.unwrap(), Leased::NothingYet));
    ledger.planned(job).await.unwrap();
    assert!(matches!(ledger.lease(job, "w").await.unwrap(), Leased::NothingLeft));
}

#[tokio::test]
async fn a_report_that_comes_twice_counts_once() {
    let (_folder, ledger, job) = ledger_with_job().await;
    ledger.plan(job, collection(), "s".into(), page(0..2), 10, None).await.unwrap();
    let tasks = leased(&ledger, job).await;
    let failure = ItemFailure {
        uri: tasks[1].image.uri.clone(),
        class: FailureClass::Truncated,
        message: "cut".into(),
        attempts: 1,
    };
    let outcomes = vec![done(&tasks[0]), Outcome { ticket: tasks[1].ticket, result: Err(failure) }];
    for _ in 0..2 {
        let counts = ledger.report(job, collection(), "s".into(), outcomes.clone()).await.unwrap();
        assert_eq!((counts.done, counts.failed, counts.left()), (1, 1, 0));
    }
    assert_eq!(ledger.failures(job, 0, 10).await.unwrap().total, 1);
}

#[tokio::test]
async fn only_new_and_changed_objects_are_planned_and_only_so_many() {
    let (_folder, ledger, job) = ledger_with_job().await;
    ledger.plan(job, collection(), "s".into(), page(0..3), 10, None).await.unwrap();
    let tasks = leased(&ledger, job).await;
    ledger.report(job, collection(), "s".into(), tasks.iter().map(done).collect()).await.unwrap();

    let mut changed = page(0..6);
    changed.images[1].etag = Some("other".into());
    assert!(!ledger.plan(job, collection(), "s".into(), changed.clone(), 10, Some(5)).await.unwrap());
    let uris: Vec<_> = leased(&ledger, job).await.into_iter().map(|task| task.image.uri.key().to_owned()).collect();
    assert_eq!(uris, ["1.jpg", "3.jpg"], "two of five places were left");
    ledger.forget(collection(), ImageUri::new("b", "0.jpg")).await.unwrap();
    ledger.plan(job, collection(), "another space".into(), page(2..3), 10, None).await.unwrap();
    assert_eq!(leased(&ledger, job).await.len(), 1, "another space is another vector");
}
