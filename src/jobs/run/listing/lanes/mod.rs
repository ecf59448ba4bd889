//! Lists a bucket in several lanes: each lane lists one range of keys and compares it with the ledger. If lanes have
//! nothing to do, the ranges with the most keys left are divided.
//!
//! A range ends with a key that exists, and its lane must reach that key: so the lanes together pass every key, as one
//! lane would, and a bucket whose order is not that of the bytes is noticed.

mod alphabet;
#[cfg(test)]
mod fake_bucket;
mod lane;
mod search;
mod state;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::search::{Probes, find_keys};
use self::state::{Division, OwnedTurn, State};
use crate::domain::JobRecord;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::page::Excluded;
use crate::jobs::run::listing::plan::Planner;
use crate::ledger::planning::ranges;
use crate::lock::lock;
use crate::resilience::spawn_owned;

/// How long no range is divided after a request for it failed: the lanes wait for the service by themselves.
const FAILURE_PAUSE: Duration = Duration::from_secs(10);

/// A listing in several lanes.
struct Lanes {
    planner: Planner,
    job: JobRecord,
    stop: CancellationToken,
    state: Mutex<State>,
    /// Notified when a lane has listed a page.
    progress: Notify,
    excluded: Mutex<Excluded>,
    /// Number of unreadable keys that were logged.
    logged: AtomicUsize,
}

/// Lists the ranges of a job until all are complete or until `stop`.
pub(super) async fn list_ranges(
    planner: &Planner,
    job: &JobRecord,
    stop: &CancellationToken,
) -> Result<(), JobFailure> {
    run_lanes(planner, job, stop).await.map_err(|failure| match failure {
        // `sync` requires the order in any case, and the message of the failure says so.
        JobFailure::Unordered { before, key } if !job.spec.sync => JobFailure::UnorderedLanes { before, key },
        failure => failure,
    })
}

async fn run_lanes(planner: &Planner, job: &JobRecord, stop: &CancellationToken) -> Result<(), JobFailure> {
    let id = job.id;
    let ranges = planner.ledger.read(move |db| ranges::list(db, id)).await?;
    let number = planner.lanes.number.get();
    planner.ledger.log(id, format!("lists the rest in {number} lanes (S3_LIST_LANES)")).await?;
    let lanes = Arc::new(Lanes {
        planner: planner.clone(),
        job: job.clone(),
        stop: stop.child_token(),
        state: Mutex::new(State::new(ranges, &job.spec.prefix, planner.lanes.min_keys_left)),
        progress: Notify::new(),
        excluded: Mutex::default(),
        logged: AtomicUsize::new(0),
    });
    let (mut running, mut divisions) = (FuturesUnordered::new(), FuturesUnordered::new());
    // Number of requests that the divisions send at the same time.
    let mut probing = 0;
    let outcome = loop {
        while running.len() + probing < number
            && !stop.is_cancelled()
            && let Some((range, turn)) = lanes.state().begin_next()
        {
            running.push(spawn_owned(lanes.clone().list(range, turn)));
        }
        if running.is_empty() {
            break Ok(());
        }
        let idle = number.saturating_sub(running.len() + probing);
        let begun = if stop.is_cancelled() { Vec::new() } else { lanes.state().begin_divisions(idle) };
        for division in begun {
            probing += division.width;
            divisions.push(lanes.clone().divide(division));
        }
        tokio::select! {
            Some(done) = running.next() => if let Err(failure) = done { break Err(failure) },
            Some(width) = divisions.next() => match width {
                Ok(width) => probing -= width,
                Err(failure) => break Err(failure),
            },
            () = lanes.progress.notified(), if idle > 0 => {}
        }
    };
    // All lanes end first, so that none of them records a page while another run continues the listing.
    lanes.stop.cancel();
    while running.next().await.is_some() || divisions.next().await.is_some() {}
    outcome?;
    let excluded = lock(&lanes.excluded).line();
    if let Some(line) = excluded {
        planner.ledger.log(id, line).await?;
    }
    Ok(())
}

impl Lanes {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn probes(&self) -> Probes<'_> {
        Probes { source: self.planner.source.as_ref(), bucket: &self.job.spec.bucket, prefix: &self.job.spec.prefix }
    }

    /// Divides a range. Returns the number of requests that it sent at the same time.
    async fn divide(self: Arc<Self>, division: Division) -> Result<usize, JobFailure> {
        let divided = self.clone().divide_range(&division).await;
        self.state().end_division(&division.rest.after);
        divided.map(|()| division.width)
    }

    async fn divide_range(self: Arc<Self>, division: &Division) -> Result<(), JobFailure> {
        let Division { rest, width, turn } = division;
        let alphabet = self.state().alphabet.clone();
        let found = tokio::select! {
            found = find_keys(self.probes(), rest, &alphabet, *width) => found,
            () = self.stop.cancelled() => return Ok(()),
        };
        let found = match found {
            Err(JobFailure::Listing(error)) => {
                tracing::warn!(job.id = %self.job.id, %error, "a range of keys could not be divided");
                tokio::select! {
                    () = tokio::time::sleep(FAILURE_PAUSE) => {}
                    () = self.stop.cancelled() => {}
                }
                return Ok(());
            }
            found => found?,
        };
        let turn = turn.clone().lock_owned().await;
        let after = rest.after.clone();
        let Some(keys) = self.state().divisible_at(&after, found.keys, found.limit) else { return Ok(()) };
        #[expect(clippy::disallowed_methods, reason = "it only waits for the ledger")]
        let split = tokio::spawn(self.split(after, keys, turn));
        split.await.unwrap_or(Err(JobFailure::Panicked))
    }

    /// Splits a range, in the ledger and for its lane. This is a task of its own, because both must know the new end: if
    /// the job is stopped in between, the lane would record keys after the end that the ledger has.
    async fn split(self: Arc<Self>, after: String, keys: Vec<String>, turn: OwnedTurn) -> Result<(), JobFailure> {
        let (id, range) = (self.job.id, after.clone());
        let new = self.planner.ledger.write(move |tx| ranges::split(tx, id, &range, &keys)).await?;
        self.state().add(&after, new);
        drop(turn);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
