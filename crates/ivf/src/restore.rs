//! Makes an index from stored codes.

use std::sync::Arc;

use crate::code::StoredCode;
use crate::index::Index;
use crate::positions::Positions;

/// An index that is read from stored centroids and codes.
#[derive(Debug)]
pub struct Restore {
    index: Index,
    /// The position of the list with each number.
    positions: Vec<Option<usize>>,
}

impl Restore {
    /// Begins with the centroids of all lists in the order of their numbers; `None` for those that cannot be read.
    pub fn new(length: usize, centroids: Vec<Option<Vec<f32>>>) -> Self {
        let mut index = Index::new(length);
        let mut positions = vec![None; centroids.len()];
        for (number, centroid) in (0..).zip(centroids) {
            index.next_number = number;
            if let Some(centroid) = centroid {
                positions[number as usize] = Some(index.lists.len());
                index.set_list(index.lists.len(), centroid);
            }
        }
        index.next_number = u32::try_from(positions.len()).unwrap_or(u32::MAX);
        Self { index, positions }
    }

    /// Adds stored codes on several threads. `list` returns the number of the list of a code, and `read` the code, or `None` if
    /// it is damaged. Returns the slots of damaged codes and of codes whose list does not exist.
    pub fn add<'a, T: Sync>(
        &mut self,
        threads: usize,
        codes: &'a [T],
        list: impl Fn(&T) -> u32 + Sync,
        read: impl Fn(&'a T) -> (u32, Option<StoredCode<'a>>) + Sync,
    ) -> Vec<u32> {
        let (positions, per_thread) = (&self.positions, self.index.lists.len().div_ceil(threads.max(1)).max(1));
        let position = |code: &T| positions.get(list(code) as usize).copied().flatten();
        let damaged = std::thread::scope(|scope| {
            let parts = self.index.lists.chunks_mut(per_thread).enumerate().map(|(part, lists)| {
                let (position, read) = (&position, &read);
                scope.spawn(move || {
                    let (first, mut damaged) = (part * per_thread, Vec::new());
                    for code in codes {
                        let Some(at) = position(code).and_then(|at| at.checked_sub(first)) else { continue };
                        let Some(list) = lists.get_mut(at) else { continue };
                        match read(code) {
                            (slot, Some(code)) => Arc::make_mut(list).push(slot, code.scale, &code.row),
                            (slot, None) => damaged.push(slot),
                        }
                    }
                    damaged
                })
            });
            let parts: Vec<_> = parts.collect();
            let joined =
                parts.into_iter().map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.flatten().collect::<Vec<u32>>()
        });
        let without_list = codes.iter().filter(|code| position(code).is_none()).map(|code| read(code).0);
        damaged.into_iter().chain(without_list).collect()
    }

    /// Returns the index without its empty lists, and where its codes are.
    pub fn finish(self) -> (Index, Positions) {
        let (stored, mut positions) = (self.index, Positions::default());
        let mut index =
            Index { lists: Vec::new(), centroids: crate::block::Codes::new(stored.length), count: 0, ..stored.clone() };
        for list in stored.lists.into_iter().filter(|list| list.codes.count() > 0) {
            let position = index.lists.len();
            for (at, slot) in list.codes.slots().enumerate() {
                positions.set(slot, position, at);
                index.count += 1;
            }
            index.add_list(list);
        }
        (index, positions)
    }
}
