//! The items that a pool holds under lease.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::sync::Notify;

use crate::ledger::{Batch, Held, Report};
use crate::lock::lock;
use crate::pipeline::{ItemOutcome, TaskOutcome};

/// Items under lease. An item is removed when the service has accepted its report.
#[derive(Debug, Default)]
pub(crate) struct HeldLeases {
    items: Mutex<HashMap<i64, Item>>,
    /// Notified when items are removed.
    removed: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    /// The lease of the item.
    held: Held,
    /// Whether its report is being sent.
    is_reporting: bool,
}

impl HeldLeases {
    pub(crate) fn add(&self, batch: &Batch) {
        let held = Held { batch: batch.id, attempt: batch.attempt };
        lock(&self.items).extend(batch.tasks.iter().map(|task| (task.ticket, Item { held, is_reporting: false })));
    }

    /// Waits until fewer than `max` items are held.
    pub(super) async fn wait_below(&self, max: usize) {
        loop {
            // Subscribed before the check, so that a removal in between is not missed.
            let removed = self.removed.notified();
            if lock(&self.items).len() < max {
                return;
            }
            removed.await;
        }
    }

    /// Returns each lease once, in ascending order.
    pub(crate) fn leases(&self) -> Vec<Held> {
        let mut leases: Vec<Held> = lock(&self.items).values().map(|item| item.held).collect();
        leases.sort_unstable_by_key(|held| (held.batch, held.attempt));
        leases.dedup();
        leases
    }

    /// Groups outcomes into reports, one for each lease, in the order of the outcomes.
    pub(crate) fn reports(&self, outcomes: Vec<TaskOutcome>) -> Vec<Report> {
        let items = lock(&self.items);
        let mut reports: Vec<Report> = Vec::new();
        for outcome in outcomes {
            // An item that is not held was reported before.
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

    /// Marks items whose reports are being sent.
    pub(crate) fn mark_reporting(&self, tickets: &[i64]) {
        let mut items = lock(&self.items);
        for ticket in tickets {
            items.entry(*ticket).and_modify(|item| item.is_reporting = true);
        }
    }

    /// Removes items whose reports were accepted.
    pub(crate) fn remove(&self, tickets: &[i64]) {
        let mut items = lock(&self.items);
        for ticket in tickets {
            items.remove(ticket);
        }
        drop(items);
        self.removed.notify_waiters();
    }

    /// Returns whether any item of these batches is held.
    pub(crate) fn has_any(&self, batches: &[i64]) -> bool {
        !batches.is_empty() && lock(&self.items).values().any(|item| batches.contains(&item.held.batch))
    }

    /// Returns whether any item of these batches is held whose report is not being sent.
    pub(crate) fn has_unreported(&self, batches: &[i64]) -> bool {
        let is_unreported = |item: &Item| !item.is_reporting && batches.contains(&item.held.batch);
        !batches.is_empty() && lock(&self.items).values().any(is_unreported)
    }
}

/// Returns the tickets of finished items. An item that is only partly stored is not finished.
pub(crate) fn finished(outcomes: &[TaskOutcome]) -> Vec<i64> {
    let is_finished = |outcome: &&TaskOutcome| match outcome.result {
        ItemOutcome::Indexed(_) | ItemOutcome::Failed(_) => true,
        ItemOutcome::PartlyStored(_) => false,
    };
    outcomes.iter().filter(is_finished).map(|outcome| outcome.ticket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FailureClass, ImageRef, ImageUri, ItemFailure, StoreSet};
    use crate::pipeline::Task;

    #[test]
    fn an_item_that_is_being_reported_is_not_lost_with_its_batch() {
        let image = |ticket: i64| {
            let uri = ImageUri::new("b", &format!("{ticket}.jpg"));
            ImageRef { uri, etag: None, size_bytes: 1, modified: None }
        };
        let task = |ticket| Task {
            ticket,
            image: image(ticket),
            stored_in: StoreSet::default(),
            possible_copy: None,
            refresh: false,
            metadata: std::collections::BTreeMap::new(),
        };
        let held_leases = HeldLeases::default();
        held_leases.add(&Batch { id: 7, attempt: 1, tasks: vec![task(1), task(2)] });
        let failure = |ticket| {
            let (uri, class) = (image(ticket).uri, FailureClass::Truncated);
            TaskOutcome {
                ticket,
                result: ItemOutcome::Failed(ItemFailure { uri, class, message: String::new(), attempts: 1 }),
            }
        };
        held_leases.mark_reporting(&finished(&[failure(1)]));
        assert!(
            held_leases.has_unreported(&[7]) && !held_leases.has_unreported(&[8]),
            "another worker has done the second item"
        );
        held_leases.mark_reporting(&finished(&[failure(2)]));
        assert!(!held_leases.has_unreported(&[7]) && held_leases.has_any(&[7]), "both reports are being sent");
    }
}
