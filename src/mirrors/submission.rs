//! The job of a run.

use crate::domain::{Mirror, MirrorName, MirrorSpec};
use crate::jobs::Submission;

/// Returns the submission of a run.
pub(super) fn submission(name: &MirrorName, spec: &MirrorSpec) -> Submission {
    Submission {
        bucket: Some(spec.bucket.clone()),
        prefix: spec.prefix.clone(),
        collection: spec.collection.to_string(),
        metadata_key: spec.metadata_key.clone(),
        executor: spec.executor,
        sync: spec.sync,
        max_delete_percent: spec.max_delete_percent,
        exclude: spec.exclude.clone(),
        mirror: Some(name.clone()),
        ..Submission::default()
    }
}

/// Returns the submission of a run of this mirror.
pub(super) fn of_mirror(mirror: &Mirror) -> Submission {
    submission(&mirror.name, &mirror.spec)
}
