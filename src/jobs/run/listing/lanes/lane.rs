//! One lane: lists one range page by page and compares it with the ledger.

use std::sync::Arc;

use futures::StreamExt;

use super::Lanes;
use super::state::Turn;
use crate::domain::ImageRef;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::keys::{Keys, shown};
use crate::jobs::run::listing::one_lane::whole_scope;
use crate::jobs::run::listing::page::Excluded;
use crate::jobs::service::tally;
use crate::ledger::planning;
use crate::ledger::planning::ranges::KeyRange;
use crate::lock::lock;
use crate::source::{ListedPage, NextPage, Scope};

/// How often the end of a range is compared with the next range before the bucket counts as out of order.
const MAX_COMPARISONS: u32 = 3;

impl Lanes {
    /// Lists a range until its end or until the job is stopped.
    pub(super) async fn list(self: Arc<Self>, range: KeyRange, turn: Turn) -> Result<(), JobFailure> {
        let (planner, job) = (&self.planner, &self.job);
        let position = range.position().to_owned();
        let scope = Scope { start_after: Some(position.clone()), ..whole_scope(job) };
        let mut keys = Keys::new(true, Some(position), false);
        let mut excluded = Excluded::default();
        let mut pages = Box::pin(planner.source.pages(&scope, None).take_until(self.stop.cancelled()));
        let mut next = pages.next().await;
        let mut beyond = None;
        let mut end = range.through.clone();
        let mut is_complete = false;
        while let Some(listed) = next {
            let mut listed = listed.map_err(JobFailure::Listing)?;
            end = self.take_page(&range, &turn, &listed).await;
            beyond = end.as_deref().map(|end| cut_after(&mut listed, end)).transpose()?.flatten();
            let mut page = planner.to_ledger_page(job, listed, &mut keys, &mut excluded, &self.logged).await?;
            is_complete = page.next == Some(planning::listing::Cursor::End)
                || end.as_ref().is_some_and(|end| keys.last().as_ref() == Some(end));
            (page.range, page.next) = (Some(range.after.clone()), None);
            let planned = planner.ledger.in_steps(planning::plan(job.id, page, planner.planning.clone()));
            // Fetches the next page while the ledger stores this one.
            let following = async { if is_complete { None } else { pages.next().await } };
            let (planned, following) = tokio::join!(planned, following);
            tally::planned(&planned?);
            next = following;
            planner.planned.notify_waiters();
            self.progress.notify_one();
        }
        lock(&self.excluded).merge(excluded);
        if !is_complete {
            if self.stop.is_cancelled() {
                return Ok(());
            }
            // A source without tokens ends its listing without a last page.
            let last = ListedPage { next: NextPage::End, ..ListedPage::default() };
            end = self.take_page(&range, &turn, &last).await;
        }
        if let (Some(end), Some(last)) = (&end, keys.last())
            && last != *end
        {
            tokio::select! {
                checked = self.check_end(last, end, beyond) => checked?,
                () = self.stop.cancelled() => return Ok(()),
            }
        }
        let complete = planning::complete_range(job.id, planner.planning.clone(), range.after.clone());
        planner.ledger.in_steps(complete).await?;
        self.state().end(&range.after);
        planner.planned.notify_waiters();
        Ok(())
    }

    /// Records that the lane has received a page, unless the range is being divided at this moment: then waits for it.
    /// Returns the last key of the range.
    async fn take_page(&self, range: &KeyRange, turn: &Turn, page: &ListedPage) -> Option<String> {
        let _turn = turn.lock().await;
        self.state().take_page(&range.after, page, page.next == NextPage::End)
    }

    /// Checks a range whose end was not listed, because the object was deleted meanwhile or because the bucket lists its
    /// keys in another order. `last` is the last key of the range that was listed, `beyond` the first key after the
    /// range that was listed. The next range begins after `end`: it must begin with the same key, since otherwise keys in
    /// between are in no range.
    async fn check_end(&self, last: String, end: &str, mut beyond: Option<ImageRef>) -> Result<(), JobFailure> {
        let first_after = async |key: &str| {
            let scope = Scope { start_after: Some(key.to_owned()), ..whole_scope(&self.job) };
            self.planner.source.list(&scope).next().await.transpose().map_err(JobFailure::Listing)
        };
        let mut found = None;
        for _ in 0..MAX_COMPARISONS {
            found = first_after(end).await?;
            let is_same = match (&found, &beyond) {
                (Some(found), Some(beyond)) => found.uri == beyond.uri,
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            if is_same {
                return Ok(());
            }
            // One of them was written or deleted meanwhile.
            beyond = first_after(&last).await?;
            if beyond.as_ref().is_some_and(|image| image.uri.key() <= end) {
                return Ok(());
            }
        }
        let key = found.as_ref().map_or(end, |image| image.uri.key());
        let before = beyond.as_ref().map_or(last.as_str(), |image| image.uri.key());
        Err(JobFailure::Unordered { before: shown(before), key: shown(key) })
    }
}

/// Removes what comes after `end` from a page, which is then the last one of its range. Returns the first key after it.
/// An entry that is not UTF-8 and that is listed before that key stays, since it can belong to the range.
fn cut_after(page: &mut ListedPage, end: &str) -> Result<Option<ImageRef>, JobFailure> {
    let Some(at) = page.images.iter().position(|image| image.uri.key() > end) else { return Ok(None) };
    let beyond = page.images.split_off(at);
    if let Some(image) = beyond.iter().find(|image| image.uri.key() <= end) {
        return Err(JobFailure::Unordered { before: shown(beyond[0].uri.key()), key: shown(image.uri.key()) });
    }
    page.archived.retain(|(uri, _)| uri.key() <= end);
    page.unreadable.retain(|key| key.position <= at);
    page.next = NextPage::End;
    Ok(beyond.into_iter().next())
}
