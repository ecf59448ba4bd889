//! The index: its lists, and how they change.

use std::sync::Arc;

use crate::block::BLOCK;
use crate::centers::{Center, Centers, Encoder};
use crate::code::{ESTIMATE_DEVIATION, Entry, Query, StoredHead, encode};
use crate::kernel::{dot, sums};
use crate::list::List;
use crate::positions::Positions;
use crate::split::two_means;
use crate::{LENGTH_UNIT, Vectors};

/// A list with more vectors is split.
const MAX_LIST: usize = 1_000;
/// The smaller half of a split has at least this part of the list.
const MIN_SHARE: usize = 8;
/// The lists around a list that is split, from which vectors may move to its halves.
const LISTS_AROUND: usize = 32;

/// An inverted file of codes. Clones are cheap and share what does not change.
#[derive(Clone, Debug)]
pub struct Index {
    pub(crate) centers: Arc<Centers>,
    pub(crate) lists: Vec<Arc<List>>,
    /// The radius of each list; side by side, because each search reads them.
    pub(crate) radii: Vec<f32>,
    pub(crate) count: usize,
}

/// The two lists that replace one.
#[derive(Debug)]
pub struct Split {
    list: usize,
    /// The number of the list that is replaced.
    number: u32,
    centroids: [Vec<f32>; 2],
    /// The slots and codes of each.
    entries: [Vec<(u32, Entry)>; 2],
    /// Slots of other lists that are nearer to one of the new centroids, with its number (0 or 1).
    moved: Vec<(u32, usize, Entry)>,
}

impl Split {
    /// Returns the slots in the list.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().flatten().map(|(slot, _)| *slot).chain(self.moved.iter().map(|(slot, ..)| *slot))
    }
}

impl Index {
    /// Creates an empty index for vectors of `length` numbers, a multiple of [`LENGTH_UNIT`].
    ///
    /// # Panics
    /// If the length is zero or not such a multiple.
    pub fn new(length: usize) -> Self {
        assert!(length > 0 && length.is_multiple_of(LENGTH_UNIT), "vectors of {length} numbers");
        Self { centers: Arc::new(Centers::new(length)), lists: Vec::new(), radii: Vec::new(), count: 0 }
    }

    /// Returns the number of vectors.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the number of lists.
    pub fn lists(&self) -> usize {
        self.lists.len()
    }

    /// Finds the list for a vector and computes its code; see [`Encoder`].
    pub fn encode(&self, vector: &[f32]) -> Entry {
        self.encoder().encode(vector)
    }

    /// Returns what computes codes without a reference to the index.
    pub fn encoder(&self) -> Encoder {
        Encoder(Arc::clone(&self.centers))
    }

    /// Adds the vector in a slot. The slot must not be in the index. Computes the code again if the list of `entry` was
    /// split since [`encode`](Self::encode).
    pub fn insert(&mut self, positions: &mut Positions, slot: u32, entry: &Entry, vectors: &impl Vectors) {
        if self.lists.is_empty() {
            self.set_list(0, vectors.vector(slot).to_vec());
        }
        if self.lists.get(entry.list).is_some_and(|list| list.center.number == entry.number) {
            self.push(positions, slot, entry);
        } else {
            let entry = self.encode(vectors.vector(slot));
            self.push(positions, slot, &entry);
        }
        self.count += 1;
    }

    /// Removes a slot. Does nothing if it is not in the index.
    pub fn remove(&mut self, positions: &mut Positions, slot: u32) {
        let Some((list, at)) = positions.get(slot) else { return };
        if let Some(moved) = Arc::make_mut(&mut self.lists[list]).codes.swap_remove(at) {
            positions.set(moved, list, at);
        }
        positions.clear(slot);
        self.count -= 1;
    }

    /// Returns the list of a slot if it is too long.
    pub fn list_to_split(&self, positions: &Positions, slot: u32) -> Option<usize> {
        let (list, _) = positions.get(slot)?;
        (self.lists[list].codes.count() > MAX_LIST).then_some(list)
    }

    /// Computes how a list is split. This is the expensive part of a split.
    pub fn plan_split(&self, list: usize, vectors: &impl Vectors) -> Split {
        let found = &self.lists[list];
        let slots: Vec<u32> = found.codes.slots().collect();
        let centroids = two_means(&slots, vectors);
        let rotation = &self.centers.rotation;
        let halves = centroids.each_ref().map(|centroid| Center::new(rotation, 0, centroid.clone()));
        let margin = |slot: &u32| {
            let [first, second] = halves.each_ref().map(|half| half.closeness(vectors.vector(*slot)));
            (second - first, *slot)
        };
        let mut margins: Vec<(f32, u32)> = slots.iter().map(margin).collect();
        margins.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut middle = margins.partition_point(|(margin, _)| *margin <= 0.0);
        if middle.min(margins.len() - middle) < margins.len() / MIN_SHARE {
            // Equal vectors and outliers: the list must become shorter in any case.
            middle = margins.len() / 2;
        }
        let mut entries = [Vec::new(), Vec::new()];
        for (at, (_, slot)) in margins.into_iter().enumerate() {
            let side = usize::from(at >= middle);
            let (scale, row) = encode(&rotation.rotated(vectors.vector(slot)), &halves[side].rotated);
            entries[side].push((slot, Entry { list, number: 0, scale, row }));
        }
        let moved = self.nearer_slots(list, &halves, vectors);
        Split { list, number: found.center.number, centroids, entries, moved }
    }

    /// Replaces a list by two. Does nothing if the list has changed since [`plan_split`](Self::plan_split).
    pub fn apply_split(&mut self, positions: &mut Positions, split: Split) {
        let Split { list, number, centroids, entries, moved } = split;
        let second = self.lists.len();
        let planned = entries.iter().map(Vec::len).sum();
        if self.lists.get(list).is_none_or(|found| found.center.number != number || found.codes.count() != planned) {
            return;
        }
        for (at, (centroid, entries)) in [list, self.lists.len()].into_iter().zip(centroids.into_iter().zip(entries)) {
            self.set_list(at, centroid);
            for (slot, entry) in entries {
                self.push(positions, slot, &Entry { list: at, ..entry });
            }
        }
        for (slot, side, entry) in moved {
            self.remove(positions, slot);
            self.push(positions, slot, &Entry { list: [list, second][side], ..entry });
            self.count += 1;
        }
    }

    /// Returns the slots of the lists around `list` that are nearer to one of its halves than to their own centroids, with the
    /// half.
    fn nearer_slots(&self, list: usize, halves: &[Center; 2], vectors: &impl Vectors) -> Vec<(u32, usize, Entry)> {
        let mut moved = Vec::new();
        for around in self.lists_around(list) {
            let around = &self.lists[around];
            let mut found: Vec<u32> = halves.iter().flat_map(|half| estimated_nearer(around, half)).collect();
            found.sort_unstable();
            found.dedup();
            for slot in found {
                let vector = vectors.vector(slot);
                let [first, second] = halves.each_ref().map(|half| half.closeness(vector));
                if first.max(second) > around.center.closeness(vector) {
                    let side = usize::from(second > first);
                    let (scale, row) = encode(&self.centers.rotation.rotated(vector), &halves[side].rotated);
                    moved.push((slot, side, Entry { list, number: 0, scale, row }));
                }
            }
        }
        moved
    }

    /// Returns the lists with the nearest centroids.
    fn lists_around(&self, list: usize) -> Vec<usize> {
        let centers = &self.centers.all;
        let centroid = &centers[list].centroid;
        let mut all: Vec<(f32, usize)> = centers.iter().map(|other| other.closeness(centroid)).zip(0..).collect();
        all.swap_remove(list);
        if all.len() > LISTS_AROUND {
            all.select_nth_unstable_by(LISTS_AROUND, |a, b| b.0.total_cmp(&a.0));
            all.truncate(LISTS_AROUND);
        }
        all.into_iter().map(|(_, list)| list).collect()
    }

    /// Copies the code of a slot to `row`, to store it, and returns its list and its scale.
    pub fn copy_code(&self, positions: &Positions, slot: u32, row: &mut [u8]) -> Option<StoredHead> {
        let (list, at) = positions.get(slot)?;
        let list = self.lists.get(list)?;
        Some(StoredHead { list: list.center.number, scale: list.codes.copy(at, row) })
    }

    /// Returns the number that the next list gets. Numbers are consecutive.
    pub fn next_number(&self) -> u32 {
        self.centers.next_number
    }

    /// Returns the numbers and the centroids of the lists from a number on, in any order. Lists that were split meanwhile
    /// are missing.
    pub fn centroids_from(&self, number: u32) -> impl Iterator<Item = (u32, &[f32])> {
        let centers = self.centers.all.iter().filter(move |center| center.number >= number);
        centers.map(|center| (center.number, &*center.centroid))
    }

    fn push(&mut self, positions: &mut Positions, slot: u32, entry: &Entry) {
        let list = Arc::make_mut(&mut self.lists[entry.list]);
        positions.set(slot, entry.list, list.codes.count());
        list.push(slot, entry.scale, &entry.row);
        self.radii[entry.list] = list.radius();
    }

    /// Puts an empty list at a position, the next one or that of a list that it replaces.
    fn set_list(&mut self, at: usize, centroid: Vec<f32>) {
        let list = Arc::new(List::new(Arc::make_mut(&mut self.centers).set_new(at, centroid)));
        if at == self.lists.len() {
            self.radii.push(list.radius());
            self.lists.push(list);
        } else {
            self.radii[at] = list.radius();
            self.lists[at] = list;
        }
    }

    /// Appends a list with its codes.
    pub(crate) fn add_list(&mut self, list: Arc<List>) {
        Arc::make_mut(&mut self.centers).set(self.lists.len(), Arc::clone(&list.center));
        self.radii.push(list.radius());
        self.lists.push(list);
    }
}

/// Returns the slots of a list that may be nearer to `center` than to the centroid of the list. A vector `c + r` is
/// nearer to `a` if `r · (a - c)` exceeds half of the square of `a - c`; the product is estimated.
fn estimated_nearer(list: &List, center: &Center) -> Vec<u32> {
    let way: Vec<f32> = center.rotated.iter().zip(&list.center.rotated).map(|(a, b)| a - b).collect();
    let square = dot(&way, &way);
    let (query, mut products, mut slots) = (Query::from_rotated(way), [0; BLOCK], Vec::new());
    for (block, count) in list.codes.blocks() {
        sums(&block.codes, &query.words, &mut products, None);
        for ((product, scale), slot) in products.iter().zip(&block.scales).zip(&block.slots).take(count) {
            let deviation = ESTIMATE_DEVIATION * scale * square.sqrt();
            if query.estimate(*product, *scale) + deviation > square / 2.0 {
                slots.push(*slot);
            }
        }
    }
    slots
}
