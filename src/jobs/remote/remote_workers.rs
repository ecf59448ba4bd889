//! The remote workers of a job: their names, the time of their last request and their rate.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::jobs::run::progress::Samples;
use crate::ledger::Held;
use crate::lock::lock;
use crate::pipeline::{StagesReport, TimingTotals, Timings};
use crate::resilience::Waiting;

/// Maximum number of workers of one job.
pub(crate) const MAX_WORKERS: usize = 1_000;

/// If a job has [`MAX_WORKERS`], workers that sent no request for this long are removed.
const REMOVE_AFTER: Duration = Duration::from_mins(10);

/// The dependency name in the status of a job that waits for a worker.
pub(crate) const WORKERS: &str = "workers";

/// A remote worker of a job, as the API shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerView {
    /// Its name, which it chooses itself.
    pub name: String,
    /// The machine that it runs on, if the worker reported it.
    pub node: Option<String>,
    /// Number of images that it holds under lease.
    pub leased: u64,
    /// Number of images that it reported since the service or the worker started.
    pub done: u64,
    /// Images per second over the last 30 seconds.
    pub images_per_second: f64,
    /// The time of its last request.
    pub last_seen: SystemTime,
}

#[derive(Debug)]
struct Member {
    node: Option<String>,
    done: u64,
    samples: Samples,
    last_seen: SystemTime,
    last_request: Instant,
    waiting: Option<Waiting>,
    /// The last lease that it was granted since it joined. The reply with this lease may be lost or still on its way.
    granted: Option<Held>,
}

#[derive(Debug)]
pub(crate) struct RemoteWorkers {
    members: Mutex<BTreeMap<String, Member>>,
    timings: Mutex<TimingTotals>,
    /// Since when there are no workers.
    empty_since: Mutex<SystemTime>,
    /// How many workers were refused since one last joined, and the reason of the last refusal.
    refused: Mutex<Option<(u64, String)>>,
}

/// The delay between the lease attempts of two waiting workers. Each attempt is a transaction of the ledger.
const LEASE_ATTEMPT_INTERVAL: Duration = Duration::from_millis(10);

impl RemoteWorkers {
    pub(crate) fn new() -> Self {
        Self {
            members: Mutex::default(),
            timings: Mutex::default(),
            empty_since: Mutex::new(SystemTime::now()),
            refused: Mutex::default(),
        }
    }

    /// Adds a worker. Returns `false` if the job has the maximum number of workers.
    pub(crate) fn join(&self, name: &str, node: Option<String>) -> bool {
        let mut members = lock(&self.members);
        if members.len() >= MAX_WORKERS && !members.contains_key(name) {
            members.retain(|_, member| member.last_request.elapsed() < REMOVE_AFTER);
            if members.len() >= MAX_WORKERS {
                return false;
            }
        }
        let (samples, last_seen, last_request) = (Samples::new(0), SystemTime::now(), Instant::now());
        let new = Member { node, done: 0, samples, last_seen, last_request, waiting: None, granted: None };
        members.insert(name.to_owned(), new);
        *lock(&self.refused) = None;
        true
    }

    /// Records that a worker was refused, with the reason.
    pub(crate) fn refuse(&self, reason: &str) {
        let mut refused = lock(&self.refused);
        let times = refused.as_ref().map_or(0, |(times, _)| *times);
        *refused = Some((times.saturating_add(1), reason.to_owned()));
    }

    /// Returns a sentence with the reason of the last refusal; `None` if no worker was refused since one last joined.
    pub(crate) fn refusal(&self) -> Option<String> {
        match lock(&self.refused).as_ref()? {
            (1, reason) => Some(format!("a worker was refused: {reason}")),
            (times, reason) => Some(format!("workers were refused {times} times; the last reason: {reason}")),
        }
    }

    /// Records a lease that was granted to a worker. Until the worker reports this lease as held, the reply may be
    /// lost.
    pub(crate) fn grant(&self, name: &str, lease: Held) {
        if let Some(member) = lock(&self.members).get_mut(name) {
            member.granted = Some(lease);
        }
    }

    /// Returns the last lease that a worker was granted, if the worker does not report it as held.
    pub(crate) fn unanswered(&self, name: &str, held: &[Held]) -> Option<Held> {
        lock(&self.members).get(name)?.granted.filter(|granted| !held.contains(granted))
    }

    /// Returns how long a worker waits after new work is announced, so that not all workers ask for it at once.
    pub(crate) fn lease_delay(&self, name: &str) -> Duration {
        let before = lock(&self.members).keys().take_while(|other| other.as_str() < name).count();
        LEASE_ATTEMPT_INTERVAL * u32::try_from(before).unwrap_or(u32::MAX)
    }

    /// Records a request of a worker that has done `done` more images. Returns `false` if the worker is unknown.
    pub(crate) fn record_request(&self, name: &str, done: u64) -> bool {
        let mut members = lock(&self.members);
        let Some(member) = members.get_mut(name) else { return false };
        member.done += done;
        member.samples.count(member.done);
        (member.last_seen, member.last_request) = (SystemTime::now(), Instant::now());
        true
    }

    /// Records what a worker waits for.
    pub(crate) fn waits(&self, name: &str, waiting: Option<Waiting>) {
        if let Some(member) = lock(&self.members).get_mut(name) {
            member.waiting = waiting;
        }
    }

    /// Adds what a worker measured since its last report.
    pub(crate) fn add_timings(&self, name: &str, timings: &Timings) {
        if lock(&self.members).contains_key(name) {
            lock(&self.timings).add(name, timings);
        }
    }

    /// Returns the time per stage of all workers, including those that have left.
    pub(crate) fn stages(&self) -> StagesReport {
        lock(&self.timings).report(true)
    }

    /// Returns what the job waits for: workers, if none sent a request within `timeout`; or the dependency that has
    /// been missing longest, if every worker that sent a request within `timeout` waits for one.
    pub(crate) fn waiting_on(&self, timeout: Duration) -> Option<Waiting> {
        self.missing(timeout).or_else(|| {
            let members = lock(&self.members);
            let active = members.values().filter(|member| member.last_request.elapsed() < timeout);
            let all: Option<Vec<&Waiting>> = active.map(|member| member.waiting.as_ref()).collect();
            all?.into_iter().min_by_key(|waiting| waiting.since).cloned()
        })
    }

    /// Removes a worker that has left.
    pub(crate) fn leave(&self, name: &str) {
        let mut members = lock(&self.members);
        if members.remove(name).is_some() && members.is_empty() {
            *lock(&self.empty_since) = SystemTime::now();
        }
    }

    pub(crate) fn view(&self, held: &[(String, u64)]) -> Vec<WorkerView> {
        let leased = |name: &str| held.iter().find(|(holder, _)| holder == name).map_or(0, |(_, images)| *images);
        let to_view = |(name, member): (&String, &Member)| WorkerView {
            name: name.clone(),
            node: member.node.clone(),
            leased: leased(name),
            done: member.done,
            images_per_second: member.samples.rate(),
            last_seen: member.last_seen,
        };
        lock(&self.members).iter().map(to_view).collect()
    }

    /// Returns that the job waits for workers, if no worker sent a request within `timeout`.
    fn missing(&self, timeout: Duration) -> Option<Waiting> {
        let members = lock(&self.members);
        if members.values().any(|member| member.last_request.elapsed() < timeout) {
            return None;
        }
        let since = members.values().map(|member| member.last_seen).max();
        let mut message = match since {
            Some(_) => {
                "its workers send no requests; the job continues when one of them does, or when another worker joins"
            }
            None => "no worker has joined yet; start one with `glimpse worker`",
        }
        .to_owned();
        if let Some(refusal) = self.refusal() {
            message = format!("{message}; {refusal}");
        }
        let since = since.unwrap_or_else(|| *lock(&self.empty_since));
        // There is no next try: workers join by themselves.
        Some(Waiting { dependency: WORKERS.to_owned(), since, next_try: None, message, full: false })
    }
}
