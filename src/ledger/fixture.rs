//! Test data for the tests of the ledger.

use crate::domain::{
    CollectionName, Excludes, Executor, JobCounts, JobId, JobRecord, JobSpec, JobState, StoreSet, Timestamp,
};
use crate::ledger::leases::report::Reported;
use crate::ledger::leases::{self, Leased};
use crate::ledger::planning::{Page, Planned, Planning};
use crate::ledger::{Ledger, ObjectRow, Report, jobs};

/// Returns the collection of [`job`].
pub(crate) fn collection() -> CollectionName {
    CollectionName::parse("c").unwrap()
}

/// Returns a new job over a whole bucket.
pub(crate) fn job(executor: Executor) -> JobRecord {
    JobRecord {
        id: JobId::fresh(),
        spec: JobSpec {
            bucket: "b".into(),
            prefix: String::new(),
            collection: collection(),
            max_items: None,
            any_extension: false,
            max_failures: None,
            metadata_key: None,
            sync: false,
            dry_run: false,
            max_delete_percent: JobSpec::MAX_DELETE_PERCENT,
            retry_of: None,
            exclude: None,
            continues: None,
            taken: 0,
            refresh: None,
            mirror: None,
            rebuild: None,
            executor,
        },
        state: JobState::Pending,
        message: None,
        submitted_at: Timestamp::now(),
        started_at: None,
        finished_at: None,
        paused_at: None,
        counts: JobCounts::default(),
        plan: None,
    }
}

/// Returns how the job is planned, for one store.
pub(crate) fn planning(lease_size: usize) -> Planning {
    Planning {
        collection: collection(),
        space: "s".into(),
        stores: StoreSet::parse("embedded"),
        lease_size,
        max_items: None,
        metadata: false,
        owned_prefix: None,
        exclude: Excludes::default(),
        dry_run: None,
        source_generation: None,
    }
}

/// Enqueues a job and begins it.
pub(crate) async fn begin(ledger: &Ledger, job: &JobRecord) {
    let job = job.clone();
    let begun = ledger.write(move |tx| Ok(jobs::enqueue(tx, &job, 1)? && jobs::begin(tx, job.id)?));
    assert!(begun.await.unwrap());
}

pub(crate) async fn plan(ledger: &Ledger, job: JobId, page: Page, planning: Planning) -> Planned {
    ledger.in_steps(super::planning::plan(job, page, planning)).await.unwrap()
}

pub(crate) async fn complete(ledger: &Ledger, job: JobId, planning: Planning, ended: bool) {
    ledger.in_steps(super::planning::complete(job, planning, ended)).await.unwrap();
}

pub(crate) async fn lease(ledger: &Ledger, job: JobId, worker: &'static str, until: Option<i64>) -> Leased {
    ledger.write(move |tx| leases::lease(tx, job, worker, until)).await.unwrap()
}

pub(crate) async fn give_back(ledger: &Ledger, job: JobId, worker: &'static str) -> usize {
    ledger.write(move |tx| leases::give_back(tx, job, worker)).await.unwrap()
}

/// Returns how many images each worker holds.
pub(crate) async fn held(ledger: &Ledger, job: JobId) -> Vec<(String, u64)> {
    ledger.read(move |db| leases::held(db, job)).await.unwrap()
}

pub(crate) async fn report(ledger: &Ledger, job: JobId, worker: &'static str, reports: Vec<Report>) -> Reported {
    let reported = ledger.write(move |tx| leases::report::report(tx, job, &collection(), "s", worker, reports, None));
    reported.await.unwrap()
}

/// Records objects of [`collection`].
pub(crate) async fn record(ledger: &Ledger, objects: Vec<ObjectRow>) {
    ledger.write(move |tx| super::objects::put_all(tx, &collection(), objects)).await.unwrap();
}

/// Returns all objects of [`collection`].
pub(crate) async fn all_objects(ledger: &Ledger) -> Vec<ObjectRow> {
    ledger.read(|db| super::objects::page(db, &collection(), None, u32::MAX)).await.unwrap()
}
