//! Limits the memory by the bytes in flight, not by the number of keys: five million keys use as much as five thousand.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::telemetry::metrics::{families, gauge};

/// Two budgets of bytes. A task takes from `encoded` before it fetches, then from `decoded` before it decodes, and
/// never in the other order; a task that holds both waits only for a core. So the tasks cannot deadlock.
#[derive(Debug)]
pub struct MemoryBudget {
    encoded: ByteBudget,
    decoded: ByteBudget,
}

/// A number of bytes that callers take and give back.
#[derive(Debug)]
pub struct ByteBudget {
    permits: Arc<Semaphore>,
    whole: u32,
    /// For a caller that needs more bytes than it has taken, when none are left: one caller at a time.
    beyond: Arc<Semaphore>,
}

/// Bytes that were taken from a budget; they are given back when this is dropped.
#[derive(Debug)]
#[must_use = "the bytes are given back when this is dropped"]
pub struct BudgetPermit {
    permit: Option<OwnedSemaphorePermit>,
    /// The permit to hold more bytes than the budget has.
    beyond: Option<OwnedSemaphorePermit>,
}

impl BudgetPermit {
    /// Keeps `bytes` and gives back the rest.
    pub fn keep(&mut self, bytes: u64) {
        let keep = usize::try_from(bytes.div_ceil(BLOCK).max(1)).unwrap_or(usize::MAX);
        let more = self.permit.as_ref().map_or(0, |permit| permit.num_permits().saturating_sub(keep));
        drop(self.permit.as_mut().and_then(|permit| permit.split(more)));
    }
}

/// Permits are counted in blocks of bytes, because a semaphore counts at most 2^29 on small machines.
const BLOCK: u64 = 4096;
const BLOCK_BYTES: f64 = 4096.0;

impl MemoryBudget {
    /// Returns a budget of this many bytes: a quarter for files as they were fetched, the rest for pixels.
    pub fn new(bytes: u64) -> Self {
        let (encoded, decoded) = (ByteBudget::new(bytes / 4), ByteBudget::new(bytes - bytes / 4));
        Self { encoded, decoded }
    }

    /// Waits until this many bytes of files are available, and takes them.
    pub async fn take_encoded(&self, bytes: u64) -> BudgetPermit {
        self.encoded.take(bytes).await
    }

    /// Increases the bytes taken for a file to `bytes`.
    pub async fn grow_encoded(&self, permit: &mut BudgetPermit, bytes: u64) {
        self.encoded.grow(permit, bytes).await;
    }

    /// Waits until this many bytes of pixels are available, and takes them.
    pub async fn take_decoded(&self, bytes: u64) -> BudgetPermit {
        self.decoded.take(bytes).await
    }

    /// Publishes in `/metrics` how many bytes are taken.
    pub fn observe(&self) {
        for (kind, budget) in [("encoded", &self.encoded), ("decoded", &self.decoded)] {
            let (used, whole) = budget.fill();
            gauge!(families::PIPELINE_MEMORY, "kind" => kind).set(used);
            gauge!(families::PIPELINE_MEMORY_LIMIT, "kind" => kind).set(whole);
        }
    }
}

impl ByteBudget {
    /// Returns a budget with all bytes available.
    pub fn new(bytes: u64) -> Self {
        let whole = u32::try_from((bytes / BLOCK).max(1)).unwrap_or(u32::MAX >> 3).min(u32::MAX >> 3);
        Self { permits: Arc::new(Semaphore::new(whole as usize)), whole, beyond: Arc::new(Semaphore::new(1)) }
    }

    /// Waits until this many bytes are available, and takes them. A request for more than the whole budget takes all of
    /// it, so it runs alone.
    pub async fn take(&self, bytes: u64) -> BudgetPermit {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX).clamp(1, self.whole);
        // The semaphore is never closed.
        BudgetPermit { permit: self.permits.clone().acquire_many_owned(blocks).await.ok(), beyond: None }
    }

    /// Increases a permit to `bytes`. The caller holds bytes already, so waiting for other callers could be a deadlock: if
    /// there are not enough bytes, one caller at a time exceeds the budget.
    pub async fn grow(&self, permit: &mut BudgetPermit, bytes: u64) {
        if permit.beyond.is_some() {
            return;
        }
        let wanted = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX).clamp(1, self.whole);
        let held = permit.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = wanted.saturating_sub(u32::try_from(held).unwrap_or(u32::MAX));
        // The semaphores are never closed.
        tokio::select! {
            biased;
            Ok(more) = self.permits.clone().acquire_many_owned(more) => match &mut permit.permit {
                Some(permit) => permit.merge(more),
                None => permit.permit = Some(more),
            },
            Ok(beyond) = self.beyond.clone().acquire_owned() => permit.beyond = Some(beyond),
            else => {}
        }
    }

    /// Returns the bytes that are taken at the moment, and the bytes of the whole budget.
    pub fn fill(&self) -> (f64, f64) {
        let whole = f64::from(self.whole) * BLOCK_BYTES;
        let left = u32::try_from(self.permits.available_permits()).unwrap_or(self.whole);
        (whole - f64::from(left) * BLOCK_BYTES, whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_budget_is_never_exceeded_and_a_huge_request_runs_alone() {
        let budget = MemoryBudget::new(4 * 1024 * 1024);
        let half = budget.take_encoded(512 * 1024).await;
        let other_half = budget.take_encoded(512 * 1024).await;
        let mut huge = Box::pin(budget.take_encoded(1 << 40));
        assert!(futures::poll!(&mut huge).is_pending());
        drop((half, other_half));
        let huge = huge.await;
        assert!(futures::poll!(Box::pin(budget.take_encoded(1))).is_pending());
        drop(huge);
        let _one = budget.take_encoded(1).await;
    }

    #[tokio::test]
    async fn a_file_that_is_larger_than_expected_does_not_deadlock() {
        let budget = MemoryBudget::new(4 * 1024 * 1024);
        let mut one = budget.take_encoded(256 * 1024).await;
        budget.grow_encoded(&mut one, 512 * 1024).await;
        let mut two = budget.take_encoded(512 * 1024).await;
        assert!(futures::poll!(Box::pin(budget.take_encoded(1))).is_pending(), "the additional bytes are counted");
        budget.grow_encoded(&mut one, 1024 * 1024).await;
        assert!(futures::poll!(Box::pin(budget.grow_encoded(&mut two, 1024 * 1024))).is_pending(), "one at a time");
        drop(one);
        budget.grow_encoded(&mut two, 1024 * 1024).await;
        assert!(futures::poll!(Box::pin(budget.take_encoded(1))).is_pending());
        two.keep(4096);
        let _rest = budget.take_encoded(1020 * 1024).await;
    }

    #[tokio::test]
    async fn a_file_that_is_smaller_than_expected_gives_back_the_rest() {
        let budget = ByteBudget::new(1024 * 1024);
        let mut permit = budget.take(1024 * 1024).await;
        assert!(futures::poll!(Box::pin(budget.take(1))).is_pending());
        permit.keep(512 * 1024);
        let half = budget.take(512 * 1024).await;
        assert!(futures::poll!(Box::pin(budget.take(1))).is_pending());
        drop(permit);
        drop((half, budget.take(512 * 1024).await));
    }
}
