//! What the tests of leases begin with.

use crate::domain::{CollectionName, Executor, JobCounts, JobId, JobRecord, JobSpec, JobState, Timestamp};

/// The collection of [`job`].
pub(in crate::jobs) fn collection() -> CollectionName {
    CollectionName::parse("c").unwrap()
}

/// A new job over a whole bucket.
pub(in crate::jobs) fn job(executor: Executor) -> JobRecord {
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
            executor,
        },
        state: JobState::Pending,
        message: None,
        submitted_at: Timestamp::now(),
        started_at: None,
        finished_at: None,
        counts: JobCounts::default(),
    }
}
