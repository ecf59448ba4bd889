//! What a pool has under lease.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::jobs::ledger::{Batch, Held, Report};
use crate::pipeline::{Fate, Outcome};

/// Items under lease and the leases that they are under; an item goes when its report was taken.
#[derive(Debug, Default)]
pub(super) struct Holdings(Mutex<HashMap<i64, Held>>);

impl Holdings {
    pub(super) fn add(&self, batch: &Batch) {
        let held = Held { batch: batch.id, attempt: batch.attempt };
        self.items().extend(batch.tasks.iter().map(|task| (task.ticket, held)));
    }

    /// Each lease once, in order.
    pub(super) fn leases(&self) -> Vec<Held> {
        let mut leases: Vec<Held> = self.items().values().copied().collect();
        leases.sort_unstable_by_key(|held| (held.batch, held.attempt));
        leases.dedup();
        leases
    }

    /// Outcomes as reports, one for each lease, in the order in which they came.
    pub(super) fn reports(&self, outcomes: Vec<Outcome>) -> Vec<Report> {
        let items = self.items();
        let mut reports: Vec<Report> = Vec::new();
        for outcome in outcomes {
            // What is not held was reported before.
            let Some(held) = items.get(&outcome.ticket) else { continue };
            match reports.iter_mut().find(|report| report.batch == held.batch && report.attempt == held.attempt) {
                Some(report) => report.outcomes.push(outcome),
                None => {
                    reports.push(Report { batch: held.batch, attempt: held.attempt, outcomes: vec![outcome] });
                }
            }
        }
        reports
    }

    /// Reports were taken: their items are done with.
    pub(super) fn remove(&self, tickets: &[i64]) {
        let mut items = self.items();
        for ticket in tickets {
            items.remove(ticket);
        }
    }

    /// Whether any of these batches is held.
    pub(super) fn has_any(&self, batches: &[i64]) -> bool {
        !batches.is_empty() && self.items().values().any(|held| batches.contains(&held.batch))
    }

    fn items(&self) -> MutexGuard<'_, HashMap<i64, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tickets of what is done with; what lags is not.
pub(super) fn finished(outcomes: &[Outcome]) -> Vec<i64> {
    let done = |outcome: &&Outcome| match outcome.fate {
        Fate::Indexed(_) | Fate::Failed(_) => true,
        Fate::Lags(_) => false,
    };
    outcomes.iter().filter(done).map(|outcome| outcome.ticket).collect()
}
