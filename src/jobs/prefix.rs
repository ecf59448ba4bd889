//! The prefix of a job as the bucket has it: typed in another Unicode normal form it would match nothing.

use futures::StreamExt;

use super::ledger::Ledger;
use super::sync;
use super::trouble::JobTrouble;
use crate::domain::normal_form::other_forms;
use crate::domain::{JobRecord, JobSpec};
use crate::source::{ImageSource, Scope};

/// The job with the normal form of its prefix that has keys, if the one that was typed has none; and a line for its log.
///
/// # Errors
/// [`JobTrouble::Ledger`]
pub(super) async fn resolve(
    ledger: &Ledger,
    source: &dyn ImageSource,
    job: &JobRecord,
) -> Result<Option<(JobRecord, String)>, JobTrouble> {
    let typed = &job.spec.prefix;
    let forms = other_forms(typed);
    if forms.is_empty() {
        return Ok(None);
    }
    let with = |prefix: String| JobRecord { spec: JobSpec { prefix, ..job.spec.clone() }, ..job.clone() };
    if let (Some(last), _) = ledger.listing(job.id).await? {
        // It goes on with the form that it began with.
        let form = forms.into_iter().find(|(_, form)| last.starts_with(form) && !last.starts_with(typed));
        return Ok(form.map(|(name, form)| (with(form), said(typed, name))));
    }
    if has_keys(source, job, typed).await {
        return Ok(None);
    }
    // Records under the prefix as it was typed are what `sync` is to remove.
    if let Some(owns) = sync::owns(&job.spec)
        && ledger.has_objects(job.spec.collection.clone(), owns).await?
    {
        return Ok(None);
    }
    for (name, form) in forms {
        if has_keys(source, job, &form).await {
            return Ok(Some((with(form), said(typed, name))));
        }
    }
    Ok(None)
}

fn said(typed: &str, form: &str) -> String {
    let typed = format!("`{}`", super::keys::shown(typed));
    format!("no key begins with the prefix {typed} as it was typed; keys begin with its {form} form, which is used")
}

/// An error counts as no keys: the listing of the job itself meets it again, and says so.
async fn has_keys(source: &dyn ImageSource, job: &JobRecord, prefix: &str) -> bool {
    let scope = Scope { bucket: job.spec.bucket.clone(), prefix: prefix.to_owned(), start_after: None };
    matches!(source.list(&scope).next().await, Some(Ok(_)))
}
