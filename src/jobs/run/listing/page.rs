//! Converts a listed page into a page for the ledger: filters its keys, and logs those that are skipped.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::domain::image_format::has_image_extension;
use crate::domain::{ImageRef, ImageUri, JobRecord};
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::keys::{Keys, shown};
use crate::jobs::run::listing::plan::Planner;
use crate::ledger::logs;
use crate::ledger::planning::Page;
use crate::ledger::planning::listing::Cursor;
use crate::source::{ListedPage, NextPage, SourceError};

/// Maximum number of unreadable keys that the job's log lists one by one.
const MAX_LOGGED_KEYS: usize = 20;

impl Planner {
    /// Converts a listed page into a page for the ledger. Logs the first [`MAX_LOGGED_KEYS`] entries of a run that are
    /// skipped because they cannot be read; `logged` is their number.
    pub(super) async fn to_ledger_page(
        &self,
        job: &JobRecord,
        listed: ListedPage,
        keys: &mut Keys,
        excluded: &mut Excluded,
        logged: &AtomicUsize,
    ) -> Result<Page, JobFailure> {
        self.wait_for_space().await;
        let unreadable = listed.unreadable.len() as u64;
        if unreadable > 0 {
            self.log_unreadable(job, &listed, logged).await?;
        }
        let mut page = Page { listed: unreadable, skipped: unreadable, unreadable, ..Page::default() };
        for image in listed.images {
            let (key, prefix) = (image.uri.key(), &job.spec.prefix);
            if !key.starts_with(prefix) {
                return Err(JobFailure::OutsidePrefix { key: shown(key), prefix: shown(prefix) });
            }
            if keys.is_new(image.uri.key())? {
                self.filter(job, image, &mut page, excluded);
            }
        }
        keys.end_page();
        let in_archive =
            |(uri, class): (ImageUri, String)| (uri.clone(), SourceError::Archived { uri, class }.to_string());
        page.archived = listed.archived.into_iter().map(in_archive).collect();
        page.listed_through = keys.last().filter(|_| page.listed > 0);
        page.next = match listed.next {
            NextPage::Token(token) => Some(Cursor::At(token)),
            NextPage::End => Some(Cursor::End),
            NextPage::AfterLastKey => None,
        };
        if job.spec.refresh.is_some() {
            page.outdated = Some(self.outdated(&page.images).await?);
        }
        Ok(page)
    }

    async fn log_unreadable(
        &self,
        job: &JobRecord,
        listed: &ListedPage,
        logged: &AtomicUsize,
    ) -> Result<(), JobFailure> {
        let before = logged.fetch_add(listed.unreadable.len(), Ordering::Relaxed);
        let lines: Vec<String> = listed
            .unreadable
            .iter()
            .take(MAX_LOGGED_KEYS.saturating_sub(before))
            .map(|key| format!("skipped an entry of the listing that cannot be read: `{}`", shown(&key.text)))
            .collect();
        for line in &lines {
            tracing::warn!(job.id = %job.id, s3.bucket = job.spec.bucket, "{line}");
        }
        if !lines.is_empty() {
            let id = job.id;
            self.ledger.write(move |tx| logs::add(tx, id, &lines)).await?;
        }
        Ok(())
    }

    fn filter(&self, job: &JobRecord, image: ImageRef, page: &mut Page, excluded: &mut Excluded) {
        let key = image.uri.key();
        page.listed += 1;
        if self.planning.exclude.matches(key) {
            // Not added to `others`, so that `sync` removes its record.
            page.skipped += 1;
            excluded.add(key);
            return;
        }
        let folder = key.ends_with('/');
        let thumbnail = !self.thumbnail_prefix.is_empty() && key.starts_with(&self.thumbnail_prefix);
        if folder || thumbnail || !(job.spec.any_extension || has_image_extension(key)) {
            page.skipped += 1;
            page.others.extend(self.planning.owned_prefix.is_some().then_some(image.uri));
        } else {
            page.images.push(image);
        }
    }
}

/// Counts excluded keys, for one line of the job's log.
#[derive(Debug, Default)]
pub(super) struct Excluded {
    count: u64,
    /// The first of the keys.
    examples: Vec<String>,
}

impl Excluded {
    /// Maximum keys that the line shows.
    const MAX_EXAMPLES: usize = 5;

    fn add(&mut self, key: &str) {
        self.count += 1;
        if self.examples.len() < Self::MAX_EXAMPLES {
            self.examples.push(format!("`{}`", shown(key)));
        }
    }

    /// Adds the excluded keys of another part of the listing.
    pub(super) fn merge(&mut self, other: Self) {
        self.count += other.count;
        let missing = Self::MAX_EXAMPLES - self.examples.len();
        self.examples.extend(other.examples.into_iter().take(missing));
    }

    pub(super) fn line(&self) -> Option<String> {
        let more = self.count.saturating_sub(self.examples.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let examples = self.examples.join(", ");
        (self.count > 0).then(|| format!("excluded {} keys (exclude, S3_EXCLUDE): {examples}{more}", self.count))
    }
}
