//! What a pool has under lease.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::jobs::ledger::{Batch, Held, Report};
use crate::pipeline::{ItemOutcome, TaskOutcome};

/// Items under lease; an item goes when its report was taken.
#[derive(Debug, Default)]
pub(super) struct Holdings(Mutex<HashMap<i64, Item>>);

#[derive(Clone, Copy, Debug)]
struct Item {
    /// The lease that it is under.
    held: Held,
    /// Its report is on its way.
    told: bool,
}

impl Holdings {
    pub(super) fn add(&self, batch: &Batch) {
        let held = Held { batch: batch.id, attempt: batch.attempt };
        self.items().extend(batch.tasks.iter().map(|task| (task.ticket, Item { held, told: false })));
    }

    /// Each lease once, in order.
    pub(super) fn leases(&self) -> Vec<Held> {
        let mut leases: Vec<Held> = self.items().values().map(|item| item.held).collect();
        leases.sort_unstable_by_key(|held| (held.batch, held.attempt));
        leases.dedup();
        leases
    }

    /// Outcomes as reports, one for each lease, in the order in which they came.
    pub(super) fn reports(&self, outcomes: Vec<TaskOutcome>) -> Vec<Report> {
        let items = self.items();
        let mut reports: Vec<Report> = Vec::new();
        for outcome in outcomes {
            // What is not held was reported before.
            let Some(Item { held, .. }) = items.get(&outcome.ticket) else { continue };
            match reports.iter_mut().find(|report| report.batch == held.batch && report.attempt == held.attempt) {
                Some(report) => report.outcomes.push(outcome),
                None => {
                    reports.push(Report { batch: held.batch, attempt: held.attempt, outcomes: vec![outcome] });
                }
            }
        }
        reports
    }

    /// Reports of these are on their way.
    pub(super) fn tell(&self, tickets: &[i64]) {
        let mut items = self.items();
        for ticket in tickets {
            items.entry(*ticket).and_modify(|item| item.told = true);
        }
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
        !batches.is_empty() && self.items().values().any(|item| batches.contains(&item.held.batch))
    }

    /// Whether anything of these batches is in hand that was not told yet.
    pub(super) fn has_untold(&self, batches: &[i64]) -> bool {
        let untold = |item: &Item| !item.told && batches.contains(&item.held.batch);
        !batches.is_empty() && self.items().values().any(untold)
    }

    fn items(&self) -> MutexGuard<'_, HashMap<i64, Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tickets of what is done with; what lags is not.
pub(super) fn finished(outcomes: &[TaskOutcome]) -> Vec<i64> {
    let done = |outcome: &&TaskOutcome| match outcome.fate {
        ItemOutcome::Indexed(_) | ItemOutcome::Failed(_) => true,
        ItemOutcome::Lags(_) => false,
    };
    outcomes.iter().filter(done).map(|outcome| outcome.ticket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FailureClass, ImageRef, ImageUri, ItemFailure, StoreSet};
    use crate::pipeline::Task;

    #[test]
    fn what_was_told_is_no_loss_when_its_batch_is_gone() {
        let image = |ticket: i64| {
            let uri = ImageUri::new("b", &format!("{ticket}.jpg"));
            ImageRef { uri, etag: None, size_bytes: 1, modified: None }
        };
        let task = |ticket| Task {
            ticket,
            image: image(ticket),
            have: StoreSet::default(),
            possible_copy: None,
            metadata: std::collections::BTreeMap::new(),
        };
        let holdings = Holdings::default();
        holdings.add(&Batch { id: 7, attempt: 1, tasks: vec![task(1), task(2)] });
        let failure = |ticket| {
            let (uri, class) = (image(ticket).uri, FailureClass::Truncated);
            TaskOutcome {
                ticket,
                fate: ItemOutcome::Failed(ItemFailure { uri, class, message: String::new(), attempts: 1 }),
            }
        };
        holdings.tell(&finished(&[failure(1)]));
        assert!(holdings.has_untold(&[7]) && !holdings.has_untold(&[8]), "the second was done by another");
        holdings.tell(&finished(&[failure(2)]));
        assert!(!holdings.has_untold(&[7]) && holdings.has_any(&[7]), "both reports are on their way");
    }
}
