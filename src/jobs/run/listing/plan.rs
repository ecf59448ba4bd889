//! Lists keys, filters them and makes batches. The listing is never held in memory: each page goes into the ledger with
//! the token of the next page, so that an interrupted job continues there, whatever the order of the keys is.

use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::image::has_image_extension;
use crate::domain::{ImageRef, ImageUri, JobRecord};
use crate::index::Stores;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::keys::{Keys, shown};
use crate::jobs::service::tally;
use crate::ledger::planning::listing::{self, Cursor};
use crate::ledger::planning::{self, Page, Planning};
use crate::ledger::{Ledger, logs};
use crate::source::{ImageSource, ListedPage, NextPage, Scope, SourceError};

/// The parts of the service that planning needs.
#[derive(Clone)]
pub(crate) struct Planner {
    pub(crate) ledger: Ledger,
    pub(crate) source: Arc<dyn ImageSource>,
    pub(crate) stores: Stores,
    pub(crate) planning: Planning,
    pub(crate) thumbnail_prefix: String,
    /// Maximum bytes of an image.
    pub(crate) max_bytes: u64,
    /// Notified after each page, since there may be work to lease.
    pub(crate) planned: Arc<Notify>,
}

/// Maximum number of unreadable keys that the job's log lists one by one.
const MAX_LOGGED_KEYS: usize = 20;

/// Keys of one ledger transaction: the page size of S3.
pub(crate) const PAGE: usize = 1000;

impl Planner {
    /// Lists the job's scope until its end or until `stop`.
    pub(crate) async fn plan(&self, job: &JobRecord, stop: &CancellationToken) -> Result<(), JobFailure> {
        let id = job.id;
        let (listed_through, complete) = self.ledger.read(move |db| listing::progress(db, id)).await?;
        if complete {
            return Ok(());
        }
        if let Some(of) = job.spec.retry_of {
            return self.plan_retry(job, of, stop).await;
        }
        let (cursor, again) = self.ledger.read(move |db| listing::cursor(db, id)).await?.unzip();
        let mut keys = Keys::new(self.planning.owned_prefix.is_some(), listed_through.clone(), again == Some(true));
        let start_after = listed_through.filter(|_| cursor.is_none());
        let scope = Scope { bucket: job.spec.bucket.clone(), prefix: job.spec.prefix.clone(), start_after };
        let pages = match cursor {
            None | Some(Cursor::First | Cursor::Unmoved) => self.source.pages(&scope, None),
            Some(Cursor::At(token)) => self.source.pages(&scope, Some(token)),
            Some(Cursor::End) => futures::stream::empty().boxed(),
        };
        let mut pages = Box::pin(pages.take_until(stop.cancelled()));
        let (mut below_max_items, mut logged, mut excluded) = (true, 0, Excluded::default());
        let mut next = pages.next().await;
        while let Some(listed) = next {
            let listed = listed.map_err(JobFailure::Listing)?;
            self.log_unreadable(job, &listed.unreadable, &mut logged).await?;
            let mut page = self.to_ledger_page(job, listed, &mut keys, &mut excluded)?;
            if job.spec.refresh.is_some() {
                page.outdated = Some(self.outdated(&page.images).await?);
            }
            // Fetches the next page while the ledger stores this one.
            let planned = self.ledger.in_steps(planning::plan(id, page, self.planning.clone()));
            let (planned, following) = tokio::join!(planned, pages.next());
            let planned = planned?;
            tally::planned(&planned);
            (below_max_items, next) = (planned.over_limit == 0, following);
            self.planned.notify_waiters();
            if !below_max_items {
                break;
            }
        }
        drop(pages);
        if let Some(line) = excluded.line() {
            self.ledger.log(job.id, line).await?;
        }
        if !below_max_items || !stop.is_cancelled() {
            self.ledger.in_steps(planning::complete(id, self.planning.clone(), below_max_items)).await?;
        }
        self.planned.notify_waiters();
        Ok(())
    }

    /// Converts a listed page into a page for the ledger.
    fn to_ledger_page(
        &self,
        job: &JobRecord,
        listed: ListedPage,
        keys: &mut Keys,
        excluded: &mut Excluded,
    ) -> Result<Page, JobFailure> {
        let unreadable = listed.unreadable.len() as u64;
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
        Ok(page)
    }

    /// Logs the first [`MAX_LOGGED_KEYS`] entries of a run that are skipped because they cannot be read.
    async fn log_unreadable(&self, job: &JobRecord, keys: &[String], logged: &mut usize) -> Result<(), JobFailure> {
        let lines: Vec<String> = keys
            .iter()
            .take(MAX_LOGGED_KEYS.saturating_sub(*logged))
            .map(|key| format!("skipped an entry of the listing that cannot be read: `{}`", shown(key)))
            .collect();
        *logged += lines.len();
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
#[derive(Default)]
struct Excluded {
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

    fn line(&self) -> Option<String> {
        let more = self.count.saturating_sub(self.examples.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let examples = self.examples.join(", ");
        (self.count > 0).then(|| format!("excluded {} keys (exclude, S3_EXCLUDE): {examples}{more}", self.count))
    }
}
