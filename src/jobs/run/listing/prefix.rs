//! Finds the Unicode normal form of a job's prefix that the bucket uses. A prefix in another form would match no key.

use futures::StreamExt;

use crate::domain::normal_form::other_forms;
use crate::domain::{JobRecord, JobSpec};
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::sync;
use crate::ledger::planning::listing;
use crate::ledger::{Ledger, objects};
use crate::source::{ImageSource, Scope};

/// If the prefix as typed has no keys and another normal form of it has some, returns the job with that form, and a
/// line for its log.
///
/// # Errors
/// [`JobFailure::Ledger`]
pub(crate) async fn resolve(
    ledger: &Ledger,
    source: &dyn ImageSource,
    job: &JobRecord,
) -> Result<Option<(JobRecord, String)>, JobFailure> {
    let typed = &job.spec.prefix;
    let forms = other_forms(typed);
    if forms.is_empty() {
        return Ok(None);
    }
    let job_with = |prefix: String| JobRecord { spec: JobSpec { prefix, ..job.spec.clone() }, ..job.clone() };
    let id = job.id;
    if let (Some(last), _) = ledger.read(move |db| listing::progress(db, id)).await? {
        // A continued job keeps the form that it started with.
        let form = forms.into_iter().find(|(_, form)| last.starts_with(form) && !last.starts_with(typed));
        return Ok(form.map(|(name, form)| (job_with(form), log_line(typed, name))));
    }
    if has_keys(source, job, typed).await {
        return Ok(None);
    }
    // If there are records under the prefix as typed, `sync` must remove them.
    if let Some(owned_prefix) = sync::owned_prefix(&job.spec) {
        let collection = job.spec.collection.clone();
        if ledger.read(move |db| objects::has_prefix(db, &collection, &owned_prefix)).await? {
            return Ok(None);
        }
    }
    for (name, form) in forms {
        if has_keys(source, job, &form).await {
            return Ok(Some((job_with(form), log_line(typed, name))));
        }
    }
    Ok(None)
}

fn log_line(typed: &str, form: &str) -> String {
    let typed = format!("`{}`", super::keys::shown(typed));
    format!("no key begins with the prefix {typed} as typed; some keys begin with its {form} form, which is used")
}

/// Returns `false` on an error: the job's own listing will fail with the same error and report it.
async fn has_keys(source: &dyn ImageSource, job: &JobRecord, prefix: &str) -> bool {
    let scope = Scope { bucket: job.spec.bucket.clone(), prefix: prefix.to_owned(), start_after: None };
    let first = source.list(&scope).next().await;
    first.is_some_and(|first| first.is_ok_and(|image| image.uri.key().starts_with(prefix)))
}
