//! The metrics of mirrors. Their number is bounded by the number of mirrors.

use std::time::Duration;

use crate::domain::{MirrorName, MirrorState};
use crate::ledger::events::{self as pending, KeyOwner};
use crate::ledger::mirrors;
use crate::mirrors::Mirrors;
use crate::telemetry::metrics::{counter, families, gauge, histogram};

/// How long a scrape waits for the ledger.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(2);

/// What was done with an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum EventOutcome {
    /// Its key waits to be compared with the bucket.
    Accepted,
    /// Its key was waiting already.
    Coalesced,
    /// It is not about a key of the mirror, or its kind does not matter.
    Ignored,
    /// Its key was not recorded: too many keys wait, or the mirror is not active. The prefix is listed instead.
    Dropped,
}

impl EventOutcome {
    const ALL: [Self; 4] = [Self::Accepted, Self::Coalesced, Self::Ignored, Self::Dropped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Coalesced => "coalesced",
            Self::Ignored => "ignored",
            Self::Dropped => "dropped",
        }
    }
}

/// What a comparison of a key with the bucket had as its result.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyOutcome {
    Indexed,
    Removed,
    Unchanged,
    Failed,
    Retried,
}

impl KeyOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Indexed => "indexed",
            Self::Removed => "removed",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Retried => "retried",
        }
    }
}

/// Creates the series of a mirror. A rate would miss the first event of a counter that appears with this event.
pub(super) fn create_series(mirror: &MirrorName) {
    for outcome in EventOutcome::ALL {
        counter!(families::EVENTS, "mirror" => mirror.to_string(), "outcome" => outcome.as_str()).increment(0);
    }
}

/// Counts events of a mirror.
pub(super) fn events(mirror: &MirrorName, outcome: EventOutcome, count: u64) {
    if count > 0 {
        counter!(families::EVENTS, "mirror" => mirror.to_string(), "outcome" => outcome.as_str()).increment(count);
    }
}

/// Counts a key that was compared with the bucket.
pub(super) fn key(owner: &KeyOwner, outcome: KeyOutcome) {
    counter!(families::EVENT_KEYS, "mirror" => owner.label(), "outcome" => outcome.as_str()).increment(1);
}

/// Records the time between the last change of an object and the time when searches find it.
pub(super) fn lag(owner: &KeyOwner, seconds: f64) {
    histogram!(families::MIRROR_LAG, "mirror" => owner.label()).record(seconds);
}

impl Mirrors {
    /// Updates the gauges for `/metrics`. If the ledger does not answer, the numbers of mirrors are NaN.
    pub async fn observe(&self) {
        let read = self.0.ledger.read(|db| {
            let count = |mirror: crate::domain::Mirror| Ok((pending::count(db, &mirror.name)?, mirror));
            let mirrors: Vec<_> = mirrors::list(db)?.into_iter().map(count).collect::<rusqlite::Result<_>>()?;
            Ok((mirrors, pending::count_uploads(db)?))
        });
        let (all, uploads) = match tokio::time::timeout(LEDGER_TIMEOUT, read).await {
            Ok(Ok((all, uploads))) => (Some(all), Some(uploads)),
            Ok(Err(_)) | Err(_) => (None, None),
        };
        let set = |owner: String, waiting: u64| {
            let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
            gauge!(families::EVENT_KEYS_WAITING, "mirror" => owner).set(f64::from(waiting));
        };
        for (waiting, mirror) in all.iter().flatten() {
            create_series(&mirror.name);
            set(mirror.name.to_string(), *waiting);
        }
        if let Some(uploads) = uploads {
            set(String::new(), uploads);
        }
        for state in MirrorState::ALL {
            let count = all.as_ref().map(|all| all.iter().filter(|(_, mirror)| mirror.state == state).count());
            let count = count.map_or(f64::NAN, |count| f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
            gauge!(families::MIRRORS, "state" => state.as_str()).set(count);
        }
    }
}
