//! Lists in one lane, by the tokens of the pages, which are valid in whatever order the keys come. Checks whether the
//! rest can be listed in several lanes.

use std::sync::atomic::AtomicUsize;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::domain::JobRecord;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::keys::Keys;
use crate::jobs::run::listing::page::Excluded;
use crate::jobs::run::listing::plan::Planner;
use crate::jobs::service::tally;
use crate::ledger::planning::listing::{self, Cursor};
use crate::ledger::planning::{self, ranges};
use crate::source::{ListedPage, NextPage, Scope};

/// Why the rest is not listed in several lanes if the first keys are not in order.
const NOT_IN_ORDER: &str = "the bucket does not list its keys in byte order, each once";

/// Where a listing in one lane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// At the end of the listing, or because the job was stopped.
    Here,
    /// At a key after which the listing continues in several lanes.
    BeforeLanes,
}

impl Planner {
    /// Lists the job's scope in one lane: until its end, until `stop`, or until the rest can be listed in several lanes.
    pub(super) async fn plan_in_one_lane(
        &self,
        job: &JobRecord,
        stop: &CancellationToken,
    ) -> Result<Ended, JobFailure> {
        let id = job.id;
        let (listed_through, _) = self.ledger.read(move |db| listing::progress(db, id)).await?;
        let (cursor, again) = self.ledger.read(move |db| listing::cursor(db, id)).await?.unzip();
        let ordered = self.planning.owned_prefix.is_some();
        // Nothing is known about the order of the keys that an earlier run has listed, except with `sync`.
        let mut may_divide = self.lanes.number.get() > 1
            && self.planning.max_items.is_none()
            && (ordered || (listed_through.is_none() && cursor.is_none()));
        let mut keys = Keys::new(ordered, listed_through.clone(), again == Some(true));
        let start_after = listed_through.filter(|_| cursor.is_none());
        let scope = Scope { start_after, ..whole_scope(job) };
        let pages = match cursor {
            None | Some(Cursor::First | Cursor::Unmoved) => self.source.pages(&scope, None),
            Some(Cursor::At(token)) => self.source.pages(&scope, Some(token)),
            Some(Cursor::End) => futures::stream::empty().boxed(),
        };
        let mut pages = Box::pin(pages.take_until(stop.cancelled()));
        let (mut below_max_items, mut listed_keys) = (true, 0);
        let (mut excluded, logged) = (Excluded::default(), AtomicUsize::new(0));
        let mut ended = Ended::Here;
        // Whether the service lists the keys after a given one, once that was checked.
        let mut checked: Option<Result<(), &'static str>> = None;
        let mut next = pages.next().await;
        while let Some(listed) = next {
            let listed = listed.map_err(JobFailure::Listing)?;
            let neighbours = Neighbours::find(&keys, &listed);
            let has_more = listed.next != NextPage::End;
            let page = self.to_ledger_page(job, listed, &mut keys, &mut excluded, &logged).await?;
            listed_keys += page.listed;
            may_divide &= has_more;
            let is_long = may_divide && listed_keys >= self.lanes.keys_in_one_lane;
            let planned = self.ledger.in_steps(planning::plan(id, page, self.planning.clone()));
            // Early, so that the lanes need not wait for it.
            let may_check = may_divide && checked.is_none() && listed_keys * 2 >= self.lanes.keys_in_one_lane;
            let check = async {
                match neighbours.filter(|_| may_check && keys.are_in_order()) {
                    Some(neighbours) => Some(self.check_start_after(job, neighbours).await),
                    None => None,
                }
            };
            // Fetches the next page while the ledger stores this one, unless the lanes may begin.
            let following = async { if is_long { None } else { pages.next().await } };
            let (planned, check, following) = tokio::join!(planned, check, following);
            (checked, next) = (checked.or(check), following);
            let planned = planned?;
            tally::planned(&planned);
            below_max_items = planned.over_limit == 0;
            self.planned.notify_waiters();
            if !below_max_items {
                break;
            }
            if is_long {
                let refused = match checked {
                    _ if !keys.are_in_order() => Some(NOT_IN_ORDER),
                    Some(checked) => checked.err(),
                    // No page had two keys so far.
                    None => {
                        next = pages.next().await;
                        continue;
                    }
                };
                let Some(reason) = refused else {
                    ended = Ended::BeforeLanes;
                    break;
                };
                may_divide = false;
                self.log_one_lane(job, reason).await?;
                next = pages.next().await;
            }
        }
        drop(pages);
        if let Some(line) = excluded.line() {
            self.ledger.log(job.id, line).await?;
        }
        if ended == Ended::BeforeLanes {
            self.ledger.write(move |tx| ranges::begin(tx, id)).await?;
        } else if !below_max_items || !stop.is_cancelled() {
            self.ledger.in_steps(planning::complete(id, self.planning.clone(), below_max_items)).await?;
        }
        self.planned.notify_waiters();
        Ok(ended)
    }

    /// Checks whether the service lists the keys after a given one, whether that is documented or not: it is requested
    /// for two keys whose order is known from the pages. Returns why the rest cannot be listed in several lanes.
    async fn check_start_after(&self, job: &JobRecord, neighbours: Neighbours) -> Result<(), &'static str> {
        let Neighbours { before, key } = neighbours;
        let scope = Scope { start_after: Some(before), ..whole_scope(job) };
        match self.source.first(&scope, 1).await {
            Ok(found) if found.first().is_some_and(|image| image.uri.key() == key) => Ok(()),
            Ok(_) => Err("the bucket did not return the keys after a given one (start-after)"),
            Err(error) => {
                tracing::warn!(job.id = %job.id, %error, "the check of start-after failed");
                Err("the request for the keys after a given one (start-after) failed; the service's log has the error")
            }
        }
    }

    async fn log_one_lane(&self, job: &JobRecord, reason: &str) -> Result<(), JobFailure> {
        self.ledger
            .log(job.id, format!("lists in one lane, not in {} (S3_LIST_LANES): {reason}", self.lanes.number))
            .await?;
        Ok(())
    }
}

/// Returns the scope of a job: the keys with its prefix.
pub(super) fn whole_scope(job: &JobRecord) -> Scope {
    Scope { bucket: job.spec.bucket.clone(), prefix: job.spec.prefix.clone(), start_after: None }
}

/// Two keys of which the second follows the first.
struct Neighbours {
    before: String,
    key: String,
}

impl Neighbours {
    /// Returns the last two keys of a page. If it has one key, this is the second and the last one before is the first.
    fn find(keys: &Keys, listed: &ListedPage) -> Option<Self> {
        let mut last = listed.images.iter().rev().map(|image| image.uri.key().to_owned());
        let key = last.next()?;
        Some(Self { before: last.next().or_else(|| keys.last())?, key })
    }
}
