//! Test data for the tests of the ledger.

use crate::domain::{
    CollectionName, Excludes, Executor, JobCounts, JobId, JobRecord, JobSpec, JobState, StoreSet, Timestamp,
};
use crate::ledger::Planning;

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
            executor,
        },
        state: JobState::Pending,
        message: None,
        submitted_at: Timestamp::now(),
        started_at: None,
        finished_at: None,
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
        owns: None,
        exclude: Excludes::default(),
        dry_run: None,
    }
}
