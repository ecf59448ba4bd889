//! Makes an index from stored codes.

use std::sync::Arc;

use crate::block::{PACKED_HEAD, RUN};
use crate::centers::Center;
use crate::code::StoredCode;
use crate::index::Index;
use crate::list::List;
use crate::positions::Positions;

/// An index that is read from stored centroids and codes.
#[derive(Debug)]
pub struct Restore {
    index: Index,
    /// The codes of each list that do not fill a run yet.
    pending: Vec<Pending>,
    /// The position of the list with each number.
    positions: Vec<Option<usize>>,
}

/// The codes of one list that do not fill a run yet.
#[derive(Clone, Debug)]
struct Pending {
    bytes: Vec<u8>,
    filled: usize,
}

impl Pending {
    fn new(length: usize) -> Self {
        Self { bytes: vec![0; RUN * (PACKED_HEAD + length / 4)], filled: 0 }
    }

    fn push(&mut self, list: &mut Arc<List>, slot: u32, code: &StoredCode<'_>) {
        let packed = &mut self.bytes[self.filled..][..PACKED_HEAD + code.row.len()];
        packed[..4].copy_from_slice(&slot.to_le_bytes());
        packed[4..PACKED_HEAD].copy_from_slice(&code.scale.to_le_bytes());
        packed[PACKED_HEAD..].copy_from_slice(&code.row);
        self.filled += packed.len();
        if self.filled == self.bytes.len() {
            self.flush(list);
        }
    }

    /// Moves the codes to the list.
    fn flush(&mut self, list: &mut Arc<List>) {
        if self.filled > 0 {
            Arc::make_mut(list).append(&self.bytes[..self.filled]);
            self.filled = 0;
        }
    }
}

impl Restore {
    /// Begins with the centroids of all lists in the order of their numbers; `None` for those that cannot be read.
    pub fn new(length: usize, centroids: Vec<Option<Vec<f32>>>) -> Self {
        let mut index = Index::new(length);
        let mut positions = vec![None; centroids.len()];
        let centers = Arc::make_mut(&mut index.centers);
        centers.next_number = u32::try_from(centroids.len()).unwrap_or(u32::MAX);
        for (number, centroid) in (0..).zip(centroids) {
            if let Some(centroid) = centroid {
                positions[number as usize] = Some(index.lists.len());
                let center = Center::new(&centers.rotation, number, centroid);
                index.lists.push(Arc::new(List::new(Arc::new(center))));
            }
        }
        let pending = vec![Pending::new(length); index.lists.len()];
        Self { index, pending, positions }
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
            let lists = self.index.lists.chunks_mut(per_thread).zip(self.pending.chunks_mut(per_thread));
            let parts = lists.enumerate().map(|(part, (lists, pending))| {
                let (position, read) = (&position, &read);
                scope.spawn(move || {
                    let (first, mut damaged) = (part * per_thread, Vec::new());
                    for code in codes {
                        let Some(at) = position(code).and_then(|at| at.checked_sub(first)) else { continue };
                        let Some(list) = lists.get_mut(at) else { continue };
                        match read(code) {
                            (slot, Some(code)) => pending[at].push(list, slot, &code),
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
        let Self { mut index, pending, .. } = self;
        let mut positions = Positions::default();
        for (mut list, mut pending) in std::mem::take(&mut index.lists).into_iter().zip(pending) {
            pending.flush(&mut list);
            let at = index.lists.len();
            for (place, slot) in list.codes.slots().enumerate() {
                positions.set(slot, at, place);
            }
            index.count += list.codes.count();
            if list.codes.count() > 0 {
                index.add_list(list);
            }
        }
        (index, positions)
    }
}
