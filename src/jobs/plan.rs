//! List, sort out, cut into batches. The listing is never held: each page goes into the ledger with the token of the next,
//! so that an interrupted job lists on from there, whatever the order of the keys is.

use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::keys::{Keys, shown};
use super::ledger::{Cursor, Ledger, Page, Planning};
use super::trouble::JobTrouble;
use crate::domain::image::has_image_extension;
use crate::domain::{ImageRef, JobRecord};
use crate::source::{ImageSource, ListedPage, NextPage, Scope};

/// What planning needs to know of the service.
#[derive(Clone)]
pub(super) struct Planner {
    pub(super) ledger: Ledger,
    pub(super) source: Arc<dyn ImageSource>,
    pub(super) planning: Planning,
    pub(super) thumbnail_prefix: String,
    /// No image may have more bytes.
    pub(super) max_bytes: u64,
    /// Told after each page: there may be work to lease.
    pub(super) planned: Arc<Notify>,
}

/// Keys that are named one by one in a job's log.
const MAX_NAMED: usize = 20;

/// Keys of one ledger transaction, as many as S3 gives in one page.
pub(super) const PAGE: usize = 1000;

impl Planner {
    /// Lists the job's scope to its end, or until `stop`.
    pub(super) async fn plan(&self, job: &JobRecord, stop: &CancellationToken) -> Result<(), JobTrouble> {
        let (listed_through, complete) = self.ledger.listing(job.id).await?;
        if complete {
            return Ok(());
        }
        if let Some(of) = job.spec.retry_of {
            return self.plan_again(job, of, stop).await;
        }
        let (cursor, again) = self.ledger.cursor(job.id).await?.unzip();
        let mut keys = Keys::new(self.planning.owns.is_some(), listed_through.clone(), again == Some(true));
        let start_after = listed_through.filter(|_| cursor.is_none());
        let scope = Scope { bucket: job.spec.bucket.clone(), prefix: job.spec.prefix.clone(), start_after };
        let pages = match cursor {
            None | Some(Cursor::First | Cursor::Unmoved) => self.source.pages(&scope, None),
            Some(Cursor::At(token)) => self.source.pages(&scope, Some(token)),
            Some(Cursor::End) => futures::stream::empty().boxed(),
        };
        let mut pages = Box::pin(pages.take_until(stop.cancelled()));
        let (mut room, mut named, mut excluded) = (true, 0, Excluded::default());
        let mut next = pages.next().await;
        while let Some(listed) = next {
            let listed = listed.map_err(JobTrouble::Listing)?;
            self.name(job, &listed.unreadable, &mut named).await?;
            let page = self.page(job, listed, &mut keys, &mut excluded)?;
            // The bucket makes the next page while the ledger takes this one.
            let planned = self.ledger.plan(job.id, page, self.planning.clone());
            let (planned, following) = tokio::join!(planned, pages.next());
            (room, next) = (planned?, following);
            self.planned.notify_waiters();
            if !room {
                break;
            }
        }
        drop(pages);
        if let Some(line) = excluded.line() {
            self.ledger.log(job.id, line).await?;
        }
        if !room || !stop.is_cancelled() {
            self.ledger.planned(job.id, self.planning.clone(), room).await?;
        }
        self.planned.notify_waiters();
        Ok(())
    }

    /// A page as the ledger takes it.
    fn page(
        &self,
        job: &JobRecord,
        listed: ListedPage,
        keys: &mut Keys,
        excluded: &mut Excluded,
    ) -> Result<Page, JobTrouble> {
        let unreadable = listed.unreadable.len() as u64;
        let mut page = Page { listed: unreadable, skipped: unreadable, unreadable, ..Page::default() };
        for image in listed.images {
            if keys.is_new(image.uri.key())? {
                self.sort_out(job, image, &mut page, excluded);
            }
        }
        keys.turn();
        page.archived = listed.archived.into_iter().collect();
        page.listed_through = keys.last().filter(|_| page.listed > 0);
        page.next = match listed.next {
            NextPage::Token(token) => Some(Cursor::At(token)),
            NextPage::End => Some(Cursor::End),
            NextPage::AfterLastKey => None,
        };
        Ok(page)
    }

    /// Names keys that are skipped because they are not UTF-8, the first of a run.
    async fn name(&self, job: &JobRecord, keys: &[String], named: &mut usize) -> Result<(), JobTrouble> {
        let lines: Vec<String> = keys
            .iter()
            .take(MAX_NAMED.saturating_sub(*named))
            .map(|key| format!("skipped a key that is not UTF-8: `{}`", shown(key)))
            .collect();
        *named += lines.len();
        for line in &lines {
            tracing::warn!(job.id = %job.id, s3.bucket = job.spec.bucket, "{line}");
        }
        if !lines.is_empty() {
            self.ledger.log_all(job.id, lines).await?;
        }
        Ok(())
    }

    fn sort_out(&self, job: &JobRecord, image: ImageRef, page: &mut Page, excluded: &mut Excluded) {
        let key = image.uri.key();
        page.listed += 1;
        if self.planning.exclude.matches(key) {
            // Not among the `others`: under `sync` its record is removed.
            page.skipped += 1;
            excluded.add(key);
            return;
        }
        let folder = key.ends_with('/');
        let thumbnail = !self.thumbnail_prefix.is_empty() && key.starts_with(&self.thumbnail_prefix);
        if folder || thumbnail || !(job.spec.any_extension || has_image_extension(key)) {
            page.skipped += 1;
            page.others.extend(self.planning.owns.is_some().then_some(image.uri));
        } else {
            page.images.push(image);
        }
    }
}

/// Keys that were excluded, for one line of the job's log.
#[derive(Default)]
struct Excluded {
    count: u64,
    /// The first of them.
    named: Vec<String>,
}

impl Excluded {
    /// Keys that the line names.
    const NAMED: usize = 5;

    fn add(&mut self, key: &str) {
        self.count += 1;
        if self.named.len() < Self::NAMED {
            self.named.push(format!("`{}`", shown(key)));
        }
    }

    fn line(&self) -> Option<String> {
        let more = self.count.saturating_sub(self.named.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = self.named.join(", ");
        (self.count > 0).then(|| format!("excluded {} keys (exclude, S3_EXCLUDE): {named}{more}", self.count))
    }
}
