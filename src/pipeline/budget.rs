//! Memory is bounded by bytes in flight, not by the number of keys: five million keys use what five thousand do.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::telemetry::metrics::families;

/// Two purses of bytes. A task takes from `encoded` before it fetches, then from `decoded` before it decodes, and never
/// the other way round; who holds both waits for nothing but a core. So nobody can wait in a circle.
#[derive(Debug)]
pub struct MemoryBudget {
    encoded: ByteBudget,
    decoded: ByteBudget,
    /// For a file that turns out larger than what was taken for it, while nothing is left of `encoded`: one at a time.
    beyond: Arc<Semaphore>,
}

/// So many bytes, for whoever takes some.
#[derive(Debug)]
pub struct ByteBudget {
    permits: Arc<Semaphore>,
    whole: u32,
}

/// Bytes taken from a budget; given back when dropped.
#[derive(Debug)]
#[must_use = "the bytes are given back when this is dropped"]
pub struct BudgetPermit {
    permit: Option<OwnedSemaphorePermit>,
    /// The right to hold more bytes than the budget has.
    beyond: Option<OwnedSemaphorePermit>,
}

impl BudgetPermit {
    /// Gives back all but so many bytes.
    pub fn keep(&mut self, bytes: u64) {
        let keep = usize::try_from(bytes.div_ceil(BLOCK).max(1)).unwrap_or(usize::MAX);
        let more = self.permit.as_ref().map_or(0, |permit| permit.num_permits().saturating_sub(keep));
        drop(self.permit.as_mut().and_then(|permit| permit.split(more)));
    }
}

/// Permits are counted in blocks, since a semaphore counts no further than 2^29 on small machines.
const BLOCK: u64 = 4096;
const BLOCK_BYTES: f64 = 4096.0;

impl MemoryBudget {
    /// A budget of so many bytes: a quarter for files as they came, the rest for pixels.
    pub fn new(bytes: u64) -> Self {
        let (encoded, decoded) = (ByteBudget::new(bytes / 4), ByteBudget::new(bytes - bytes / 4));
        Self { encoded, decoded, beyond: Arc::new(Semaphore::new(1)) }
    }

    /// Waits until so many bytes of files may be held.
    pub async fn take_encoded(&self, bytes: u64) -> BudgetPermit {
        self.encoded.take(bytes).await
    }

    /// Grows what was taken for a file to this many bytes. A caller that grows its share holds bytes already, so waiting for others to give
    /// theirs back could be waiting in a circle: if there are not enough, one at a time goes beyond the budget.
    pub async fn grow_encoded(&self, taken: &mut BudgetPermit, bytes: u64) {
        if !self.encoded.try_grow(taken, bytes) && taken.beyond.is_none() {
            // The semaphore is never closed.
            taken.beyond = self.beyond.clone().acquire_owned().await.ok();
        }
    }

    /// Waits until so many bytes of pixels may be held.
    pub async fn take_decoded(&self, bytes: u64) -> BudgetPermit {
        self.decoded.take(bytes).await
    }

    /// Tells `/metrics` what is taken.
    pub fn observe(&self) {
        for (of, purse) in [("encoded", &self.encoded), ("decoded", &self.decoded)] {
            let (taken, whole) = purse.fill();
            families::PIPELINE_MEMORY.labels([of]).set(taken);
            families::PIPELINE_MEMORY_LIMIT.labels([of]).set(whole);
        }
    }
}

impl ByteBudget {
    /// A full one.
    pub fn new(bytes: u64) -> Self {
        let whole = u32::try_from((bytes / BLOCK).max(1)).unwrap_or(u32::MAX >> 3).min(u32::MAX >> 3);
        Self { permits: Arc::new(Semaphore::new(whole as usize)), whole }
    }

    /// Waits until so many bytes may be held. What is larger than the whole purse takes all of it, and so goes alone.
    pub async fn take(&self, bytes: u64) -> BudgetPermit {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX).clamp(1, self.whole);
        // The semaphore is never closed.
        BudgetPermit { permit: self.permits.clone().acquire_many_owned(blocks).await.ok(), beyond: None }
    }

    /// Takes more without waiting; says whether there was enough.
    fn try_grow(&self, taken: &mut BudgetPermit, bytes: u64) -> bool {
        let wanted = usize::try_from(bytes.div_ceil(BLOCK)).unwrap_or(usize::MAX);
        let held = taken.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(wanted.saturating_sub(held)).unwrap_or(u32::MAX);
        match (self.permits.clone().try_acquire_many_owned(more), &mut taken.permit) {
            (Ok(more), Some(permit)) => {
                permit.merge(more);
                true
            }
            (Ok(_), None) | (Err(_), _) => false,
        }
    }

    /// Bytes that are taken at this moment, and bytes of the whole.
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
    async fn never_more_bytes_than_the_budget_and_a_giant_goes_alone() {
        let budget = MemoryBudget::new(4 * 1024 * 1024);
        let half = budget.take_encoded(512 * 1024).await;
        let other_half = budget.take_encoded(512 * 1024).await;
        let mut giant = Box::pin(budget.take_encoded(1 << 40));
        assert!(futures::poll!(&mut giant).is_pending());
        drop((half, other_half));
        let giant = giant.await;
        assert!(futures::poll!(Box::pin(budget.take_encoded(1))).is_pending());
        drop(giant);
        let _one = budget.take_encoded(1).await;
    }

    #[tokio::test]
    async fn what_turns_out_larger_waits_for_nobody_who_may_wait_for_it() {
        let budget = MemoryBudget::new(4 * 1024 * 1024);
        let mut one = budget.take_encoded(256 * 1024).await;
        budget.grow_encoded(&mut one, 512 * 1024).await;
        let mut two = budget.take_encoded(512 * 1024).await;
        assert!(futures::poll!(Box::pin(budget.take_encoded(1))).is_pending(), "what grew is counted");
        budget.grow_encoded(&mut one, 1024 * 1024).await;
        assert!(futures::poll!(Box::pin(budget.grow_encoded(&mut two, 1024 * 1024))).is_pending(), "one at a time");
        drop(one);
        budget.grow_encoded(&mut two, 1024 * 1024).await;
        assert!(futures::poll!(Box::pin(budget.take_encoded(1))).is_pending());
        two.keep(4096);
        let _rest = budget.take_encoded(1020 * 1024).await;
    }

    #[tokio::test]
    async fn what_turns_out_smaller_gives_back_the_rest() {
        let purse = ByteBudget::new(1024 * 1024);
        let mut taken = purse.take(1024 * 1024).await;
        assert!(futures::poll!(Box::pin(purse.take(1))).is_pending());
        taken.keep(512 * 1024);
        let half = purse.take(512 * 1024).await;
        assert!(futures::poll!(Box::pin(purse.take(1))).is_pending());
        drop(taken);
        drop((half, purse.take(512 * 1024).await));
    }
}
