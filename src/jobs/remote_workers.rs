//! The workers of a job elsewhere, as the service sees them: who they are, when they were last heard of, how fast they are.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::ledger::Held;
use super::progress::Samples;
use super::worker_timings::WorkerTimings;
use crate::pipeline::{StagesReport, Timings};
use crate::resilience::Waiting;

/// Workers that one job may have.
pub const MAX_WORKERS: usize = 1_000;

/// Where there is no room, a worker that was not heard of for so long makes some.
const FORGOTTEN: Duration = Duration::from_mins(10);

/// What a job waits for that has no worker, in the place of a dependency's name.
pub const WORKERS: &str = "workers";

/// A worker of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerView {
    /// As it calls itself.
    pub name: String,
    /// The machine that it is on, where that was said.
    pub node: Option<String>,
    /// Images that it holds under lease.
    pub leased: u64,
    /// Images that it reported since the service or the worker began.
    pub done: u64,
    /// Over the last half minute.
    pub images_per_second: f64,
    /// When it was last heard of.
    pub last_seen: SystemTime,
}

#[derive(Debug)]
struct Member {
    node: Option<String>,
    done: u64,
    samples: Samples,
    last_seen: SystemTime,
    heard: Instant,
    waiting: Option<Waiting>,
    /// The last lease that it was granted since it joined: the reply that says so may still be on its way.
    granted: Option<Held>,
}

#[derive(Debug)]
pub(super) struct RemoteWorkers {
    members: Mutex<BTreeMap<String, Member>>,
    timings: Mutex<WorkerTimings>,
    /// Since when there is nobody.
    nobody_since: Mutex<SystemTime>,
    /// Why the last worker was refused, and how often any was, since one joined.
    refused: Mutex<Option<(u64, String)>>,
}

/// Between two looks for work of all workers that wait for some: a look is a transaction of the ledger.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

impl RemoteWorkers {
    pub(super) fn new() -> Self {
        Self {
            members: Mutex::default(),
            timings: Mutex::default(),
            nobody_since: Mutex::new(SystemTime::now()),
            refused: Mutex::default(),
        }
    }

    /// Takes a worker in; says whether there is room for it.
    pub(super) fn join(&self, name: &str, node: Option<String>) -> bool {
        let mut members = self.members();
        if members.len() >= MAX_WORKERS && !members.contains_key(name) {
            members.retain(|_, member| member.heard.elapsed() < FORGOTTEN);
            if members.len() >= MAX_WORKERS {
                return false;
            }
        }
        let (samples, last_seen, heard) = (Samples::new(0), SystemTime::now(), Instant::now());
        let new = Member { node, done: 0, samples, last_seen, heard, waiting: None, granted: None };
        members.insert(name.to_owned(), new);
        self.timings().begin(name);
        *self.refused() = None;
        true
    }

    /// A worker was refused for that reason.
    pub(super) fn refuse(&self, reason: &str) {
        let mut refused = self.refused();
        let times = refused.as_ref().map_or(0, |(times, _)| *times);
        *refused = Some((times.saturating_add(1), reason.to_owned()));
    }

    /// Why workers were refused, in a sentence; `None` if none was since one joined.
    pub(super) fn refusal(&self) -> Option<String> {
        match self.refused().as_ref()? {
            (1, reason) => Some(format!("a worker was refused: {reason}")),
            (times, reason) => Some(format!("workers were refused {times} times, last because {reason}")),
        }
    }

    /// A lease is granted to a worker: until it names that lease itself, the reply may be lost.
    pub(super) fn grant(&self, name: &str, lease: Held) {
        if let Some(member) = self.members().get_mut(name) {
            member.granted = Some(lease);
        }
    }

    /// The last lease that a worker was granted, if it does not name it among those that it holds.
    pub(super) fn unanswered(&self, name: &str, held: &[Held]) -> Option<Held> {
        self.members().get(name)?.granted.filter(|granted| !held.contains(granted))
    }

    /// How long a worker waits between being told of new work and asking for it, so that many do not ask at once.
    pub(super) fn turn(&self, name: &str) -> Duration {
        let before = self.members().keys().take_while(|other| other.as_str() < name).count();
        BETWEEN_LOOKS * u32::try_from(before).unwrap_or(u32::MAX)
    }

    /// A worker was heard of, and has done so many more; says whether it is known.
    pub(super) fn hear(&self, name: &str, done: u64) -> bool {
        let mut members = self.members();
        let Some(member) = members.get_mut(name) else { return false };
        member.done += done;
        member.samples.count(member.done);
        (member.last_seen, member.heard) = (SystemTime::now(), Instant::now());
        true
    }

    /// A worker says what it waits for.
    pub(super) fn waits(&self, name: &str, waiting: Option<Waiting>) {
        if let Some(member) = self.members().get_mut(name) {
            member.waiting = waiting;
        }
    }

    /// A worker says where its time went since it came.
    pub(super) fn timed(&self, name: &str, timings: Timings) {
        if self.members().contains_key(name) {
            self.timings().told(name, timings);
        }
    }

    /// Where the time of all goes, of those who have left, too.
    pub(super) fn stages(&self) -> StagesReport {
        self.timings().report()
    }

    /// What the job waits for: a dependency, where every worker that was heard of for so long waits for one; or workers.
    pub(super) fn waiting_on(&self, patience: Duration) -> Option<Waiting> {
        self.missing(patience).or_else(|| {
            let members = self.members();
            let heard = members.values().filter(|member| member.heard.elapsed() < patience);
            let all: Option<Vec<&Waiting>> = heard.map(|member| member.waiting.as_ref()).collect();
            all?.into_iter().min_by_key(|waiting| waiting.since).cloned()
        })
    }

    /// A worker has left.
    pub(super) fn leave(&self, name: &str) {
        let mut members = self.members();
        if members.remove(name).is_some() && members.is_empty() {
            *self.nobody_since() = SystemTime::now();
        }
    }

    pub(super) fn view(&self, held: &[(String, u64)]) -> Vec<WorkerView> {
        let leased = |name: &str| held.iter().find(|(holder, _)| holder == name).map_or(0, |(_, images)| *images);
        let of = |(name, member): (&String, &Member)| WorkerView {
            name: name.clone(),
            node: member.node.clone(),
            leased: leased(name),
            done: member.done,
            images_per_second: member.samples.rate(),
            last_seen: member.last_seen,
        };
        self.members().iter().map(of).collect()
    }

    /// What there is to wait for where nobody was heard of for so long.
    fn missing(&self, patience: Duration) -> Option<Waiting> {
        let members = self.members();
        if members.values().any(|member| member.heard.elapsed() < patience) {
            return None;
        }
        let since = members.values().map(|member| member.last_seen).max();
        let mut message = match since {
            Some(_) => "its workers are silent; the job goes on when one is heard of, or another comes",
            None => "no worker has come yet; start one with `glimpse worker`",
        }
        .to_owned();
        if let Some(refusal) = self.refusal() {
            message = format!("{message}; {refusal}");
        }
        let since = since.unwrap_or_else(|| *self.nobody_since());
        // Nothing is tried: workers come by themselves.
        Some(Waiting { dependency: WORKERS.to_owned(), since, next_try: None, message, full: false })
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<String, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timings(&self) -> MutexGuard<'_, WorkerTimings> {
        self.timings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> MutexGuard<'_, Option<(u64, String)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nobody_since(&self) -> MutexGuard<'_, SystemTime> {
        self.nobody_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
