//! The slot of each id at one moment. It is in memory, so that SQLite needs no table by id: ids are random, and a row at a
//! random place of a large table costs a page of the disk for each record that is written.

use std::sync::Arc;

use crate::domain::ImageId;

/// The first bits of an id select its shard. Versions share the shards that did not change between them; five million ids
/// are shards of 24 kB.
const SHARD_BITS: u32 = 12;

/// Ids in their order, with their slots.
type Shard = Vec<(ImageId, u32)>;

/// A map from ids to slots, sorted by id. Cloning copies pointers.
#[derive(Clone, Debug)]
pub(super) struct IdMap(Vec<Arc<Shard>>);

impl Default for IdMap {
    fn default() -> Self {
        Self(vec![Arc::default(); 1 << SHARD_BITS])
    }
}

impl IdMap {
    /// Creates the map of these ids. Calls `duplicate` with the lower slot if an id has two.
    pub(super) fn new(ids: impl Iterator<Item = (ImageId, u32)> + Clone, mut duplicate: impl FnMut(u32)) -> Self {
        // With their exact sizes: shards that grow leave holes in the memory of the process.
        let mut sizes = vec![0; 1 << SHARD_BITS];
        for (id, _) in ids.clone() {
            sizes[shard(id)] += 1;
        }
        let mut shards: Vec<Shard> = sizes.into_iter().map(Shard::with_capacity).collect();
        for (id, slot) in ids {
            shards[shard(id)].push((id, slot));
        }
        for shard in &mut shards {
            shard.sort_unstable();
            // Keeps the last entry of an id, which has the highest slot.
            shard.dedup_by(|next, kept| {
                let is_same = next.0 == kept.0;
                if is_same {
                    duplicate(kept.1);
                    *kept = *next;
                }
                is_same
            });
        }
        Self(shards.into_iter().map(Arc::new).collect())
    }

    /// Returns the slot of an id.
    pub(super) fn get(&self, id: ImageId) -> Option<u32> {
        let shard = &self.0[shard(id)];
        find(shard, id).ok().map(|at| shard[at].1)
    }

    /// Sets the slot of an id.
    pub(super) fn insert(&mut self, id: ImageId, slot: u32) {
        let shard = Arc::make_mut(&mut self.0[shard(id)]);
        match find(shard, id) {
            Ok(at) => shard[at].1 = slot,
            Err(at) => shard.insert(at, (id, slot)),
        }
    }

    /// Removes an id, if it is in this slot.
    pub(super) fn remove(&mut self, id: ImageId, slot: u32) {
        let shard = &mut self.0[shard(id)];
        if let Ok(at) = find(shard, id)
            && shard[at].1 == slot
        {
            Arc::make_mut(shard).remove(at);
        }
    }

    /// Iterates over the ids after an id with their slots, in the order of the ids.
    pub(super) fn after(&self, after: Option<ImageId>) -> impl Iterator<Item = (ImageId, u32)> {
        let first = after.map_or(0, shard);
        let is_after = move |id: ImageId| after.is_none_or(|after| id > after);
        self.0[first..].iter().flat_map(move |shard| {
            let from = shard.partition_point(|(id, _)| !is_after(*id));
            shard[from..].iter().copied()
        })
    }
}

fn shard(id: ImageId) -> usize {
    let [first, second, ..] = *id.0.as_bytes();
    usize::from(u16::from_be_bytes([first, second]) >> (u16::BITS - SHARD_BITS))
}

fn find(shard: &Shard, id: ImageId) -> Result<usize, usize> {
    shard.binary_search_by_key(&id, |(id, _)| *id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_sorted_map(
            changes in prop::collection::vec((0..60_u128, 0..9_u32, any::<bool>()), 0..200),
            after in prop::option::of(0..60_u128),
        ) {
            // Some ids are in the same shard.
            let id = |number: u128| ImageId(Uuid::from_u128((number / 3) << 121 | number));
            let (mut map, mut expected) = (IdMap::default(), BTreeMap::new());
            for (number, slot, is_set) in changes {
                if is_set {
                    map.insert(id(number), slot);
                    expected.insert(id(number), slot);
                } else {
                    map.remove(id(number), slot);
                    if expected.get(&id(number)) == Some(&slot) {
                        expected.remove(&id(number));
                    }
                }
            }
            let (after, pairs) = (after.map(id), |map: &IdMap| map.after(None).collect::<Vec<_>>());
            prop_assert_eq!(pairs(&map), expected.iter().map(|(id, slot)| (*id, *slot)).collect::<Vec<_>>());
            let rest = expected.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
            prop_assert_eq!(map.after(after).map(|(id, _)| id).collect::<Vec<_>>(), rest.map(|(id, _)| *id).collect::<Vec<_>>());
            for number in 0..60 {
                prop_assert_eq!(map.get(id(number)), expected.get(&id(number)).copied());
            }
            let built = IdMap::new(pairs(&map).into_iter().rev(), |_| {});
            prop_assert_eq!(pairs(&built), pairs(&map));
        }
    }

    #[test]
    fn of_an_id_with_two_slots_the_higher_one_counts() {
        let [one, other] = [1, 2].map(|number| ImageId(Uuid::from_u128(number)));
        let mut lower = Vec::new();
        let map = IdMap::new([(one, 7), (other, 1), (one, 9), (one, 3)].into_iter(), |slot| lower.push(slot));
        assert_eq!((map.get(one), map.get(other), lower), (Some(9), Some(1), vec![3, 7]));
    }
}
