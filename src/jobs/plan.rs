//! List, sort out, cut into batches. The listing is never held: each page goes into the ledger with the key that it ends
//! at, so that an interrupted job lists on from there.

use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::ledger::{Ledger, Page, Planning};
use super::trouble::JobTrouble;
use crate::domain::image::has_image_extension;
use crate::domain::{ImageRef, JobRecord};
use crate::source::{ImageSource, Scope};

/// What planning needs to know of the service.
#[derive(Clone)]
pub(super) struct Planner {
    pub(super) ledger: Ledger,
    pub(super) source: Arc<dyn ImageSource>,
    pub(super) planning: Planning,
    pub(super) thumbnail_prefix: String,
    /// No image may have more bytes.
    pub(super) most_bytes: u64,
    /// Told after each page: there may be work to lease.
    pub(super) planned: Arc<Notify>,
}

/// Keys of one ledger transaction, as many as S3 gives in one page.
pub(super) const PAGE: usize = 1000;

impl Planner {
    /// Lists the job's scope to its end, or until `stop`.
    pub(super) async fn plan(&self, job: &JobRecord, stop: &CancellationToken) -> Result<(), JobTrouble> {
        let (start_after, complete) = self.ledger.listing(job.id).await?;
        if complete {
            return Ok(());
        }
        if let Some(of) = job.spec.retry_of {
            return self.plan_again(job, of, stop).await;
        }
        let mut excluded = Excluded::default();
        let mut last = start_after.clone().unwrap_or_default();
        let scope = Scope { bucket: job.spec.bucket.clone(), prefix: job.spec.prefix.clone(), start_after };
        let listing = self.source.list(&scope).take_until(stop.cancelled()).ready_chunks(PAGE);
        let mut pages = Box::pin(listing);
        let mut room = true;
        let mut next = pages.next().await;
        while let Some(listed) = next {
            let mut page = Page::default();
            let mut broken = None;
            for image in listed {
                match image {
                    Ok(image) => {
                        self.in_order(&mut last, &image)?;
                        self.sort_out(job, image, &mut page, &mut excluded);
                    }
                    Err(error) => broken = Some(error),
                }
            }
            page.listed_through = (page.listed > 0).then(|| last.clone());
            // The bucket makes the next page while the ledger takes this one.
            let planned = self.ledger.plan(job.id, page, self.planning.clone());
            let (planned, following) = tokio::join!(planned, pages.next());
            (room, next) = (planned?, following);
            self.planned.notify_waiters();
            if let Some(error) = broken {
                return Err(JobTrouble::Listing(error));
            }
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

    /// Notes the key in `last`. Where keys tell what has vanished, they must come in their order.
    fn in_order(&self, last: &mut String, image: &ImageRef) -> Result<(), JobTrouble> {
        let key = image.uri.key();
        if self.planning.owns.is_some() && !last.is_empty() && last.as_str() >= key {
            return Err(JobTrouble::Unordered { before: std::mem::take(last), key: key.to_owned() });
        }
        last.clear();
        last.push_str(key);
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
            self.named.push(shown(key));
        }
    }

    fn line(&self) -> Option<String> {
        let more = self.count.saturating_sub(self.named.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = self.named.join(", ");
        (self.count > 0).then(|| format!("excluded {} keys (exclude, S3_EXCLUDE): {named}{more}", self.count))
    }
}

/// A key as a log line shows it: on one line, and not longer than it must be.
pub(super) fn shown(key: &str) -> String {
    format!("`{}`", key.chars().take(200).flat_map(char::escape_debug).collect::<String>())
}
