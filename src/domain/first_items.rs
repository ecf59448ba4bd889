//! The lowest of many items.

use std::collections::BinaryHeap;

/// The lowest of the items that are offered, in a heap of at most `limit` items.
#[derive(Debug)]
pub(crate) struct FirstItems<T> {
    limit: usize,
    /// The highest is on top.
    heap: BinaryHeap<T>,
    has_more: bool,
}

impl<T: Ord> FirstItems<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::new(), has_more: false }
    }

    /// Keeps the item if it is among the lowest.
    pub(crate) fn offer(&mut self, item: T) {
        if self.heap.len() < self.limit {
            return self.heap.push(item);
        }
        self.has_more = true;
        if let Some(mut highest) = self.heap.peek_mut()
            && item < *highest
        {
            *highest = item;
        }
    }

    /// Whether more items were offered than are kept.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    pub(crate) fn into_sorted(self) -> Vec<T> {
        self.heap.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_items_are_kept_in_order() {
        let mut first = FirstItems::new(3);
        for item in [5, 1, 4] {
            first.offer(item);
        }
        assert!(!first.has_more());
        for item in [2, 9, 3] {
            first.offer(item);
        }
        assert!(first.has_more());
        assert_eq!(first.into_sorted(), [1, 2, 3]);
    }
}
