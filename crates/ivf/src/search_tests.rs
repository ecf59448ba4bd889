//! Compares searches with a comparison of all vectors.

use std::sync::Arc;

use super::*;
use crate::list::List;
use crate::test_table::{LENGTH, Random, Request, Table, exact, insert, normalise, recall, table};
use crate::{Positions, Restore, StoredCode, Vectors};

#[test]
fn searches_find_the_nearest_with_their_exact_scores() {
    let (table, mut index, mut positions) = (table(150_000), Index::new(LENGTH), Positions::default());
    insert(&mut index, &mut positions, &table, 0..150_000);
    assert!(index.count() == 150_000 && index.lists() > 2 * MIN_LISTS, "{} lists", index.lists());
    let mut random = Random(5);
    let (mut sum, mut filtered) = (0.0, 0.0);
    for number in 0..40_u32 {
        // Half of the queries are not like any vector, as those of texts.
        let query = if number % 2 == 0 { random.unit(LENGTH) } else { table.0[number as usize].clone() };
        let effort = Effort::from_level(Effort::DEFAULT_LEVEL);
        let request = Request { table: &table, query: &query, allowed: &|_| true };
        let found = index.search(&query, 10, effort, 1 + number as usize % 2, &request);
        assert!(found.is_sorted() && found.len() == 10);
        sum += recall(&found, &exact(&request, 0..150_000, 10));
        let request = Request { allowed: &|slot| slot % 7 == 3, ..request };
        let found = index.search(&query, 10, effort.for_share(1.0 / 7.0), 1, &request);
        assert!(found.iter().all(|hit| hit.1 % 7 == 3) && found.len() == 10);
        filtered += recall(&found, &exact(&request, 0..150_000, 10));
        // With the highest effort, every list is visited and every vector is compared.
        let request = Request { allowed: &|_| true, ..request };
        let all = index.search(&query, 500, Effort::from_level(10_000), 2, &request);
        assert_eq!(all, exact(&request, 0..150_000, 500));
    }
    let (query, allowed) = (random.unit(LENGTH), &|_| true);
    let request = Request { table: &table, query: &query, allowed };
    // Without a share of the lists, only the bound decides.
    let visited = [2.0, 8.0, 10.0].map(|list_deviations| {
        let effort = Effort { list_deviations, min_share: 0.0, ..Effort::from_level(Effort::DEFAULT_LEVEL) };
        index.begin_search(&query, 10, effort, &request).lists.bounds.len()
    });
    assert!(visited.is_sorted_by(|less, more| less < more) && visited[0] == MIN_LISTS, "{visited:?} lists");
    assert!(sum / 40.0 > 0.98 && filtered / 40.0 > 0.98, "recall {} and {}", sum / 40.0, filtered / 40.0);
}

#[test]
fn the_effort_of_a_filter_depends_on_its_share() {
    let effort = Effort::from_level(450);
    assert_eq!(effort.for_share(1.0), effort);
    let twelfth = effort.for_share(1.0 / 12.0);
    assert!((twelfth.list_deviations - 4.21).abs() < 0.01, "{twelfth:?}");
    assert_eq!((twelfth.min_share, twelfth.estimate_deviations), (effort.min_share, effort.estimate_deviations));
    assert!(Effort::from_level(10).for_share(0.0).list_deviations < 1e-6);
}

#[test]
fn a_vector_unlike_all_others_is_found_by_itself() {
    // As an unusual image in a collection of similar ones: the products of centroids do not lead to it.
    let (mut random, count) = (Random(3), 120_000_u32);
    let mut vectors = table(count as usize).0;
    let unlike: Vec<u32> = (0..40).map(|number| number * 2_930).collect();
    let mean = random.unit(LENGTH);
    for (slot, vector) in (0..count).zip(&mut vectors) {
        let share = if unlike.contains(&slot) { 0.0 } else { 1.5 };
        vector.iter_mut().zip(&mean).for_each(|(x, mean)| *x += share * mean);
        normalise(vector);
    }
    for slot in &unlike {
        vectors[*slot as usize] = random.unit(LENGTH);
    }
    let (table, mut index, mut positions) = (Table(vectors), Index::new(LENGTH), Positions::default());
    insert(&mut index, &mut positions, &table, 0..count);
    assert!(index.lists() > 2 * MIN_LISTS, "{} lists", index.lists());
    let effort = Effort::from_level(100);
    let missed = unlike.iter().filter(|slot| {
        let query = table.vector(**slot);
        let request = Request { table: &table, query, allowed: &|_| true };
        index.search(query, 1, effort, 1, &request).first().is_none_or(|hit| hit.1 != **slot)
    });
    assert_eq!(missed.count(), 0);
}

#[test]
fn removed_and_replaced_slots_are_consistent_and_clones_do_not_change() {
    let (table, mut index, mut positions) = (table(6_000), Index::new(LENGTH), Positions::default());
    insert(&mut index, &mut positions, &table, 0..4_000);
    let before = index.clone();
    for slot in (0..4_000).filter(|slot| slot % 3 == 0) {
        index.remove(&mut positions, slot);
    }
    index.remove(&mut positions, 0);
    index.remove(&mut positions, 9_999);
    insert(&mut index, &mut positions, &table, 4_000..6_000);
    let present: Vec<u32> = (0..6_000).filter(|slot| *slot >= 4_000 || slot % 3 != 0).collect();
    let slots = |index: &Index| {
        let mut slots: Vec<u32> = index.lists.iter().flat_map(|list| list.codes.slots()).collect();
        slots.sort_unstable();
        slots
    };
    assert_eq!(slots(&index), present);
    assert_eq!(index.count(), present.len());
    assert_eq!(slots(&before), (0..4_000).collect::<Vec<u32>>());
    let query = table.0[17].clone();
    let request = Request { table: &table, query: &query, allowed: &|_| true };
    let found = index.search(&query, 20, Effort::from_level(10_000), 1, &request);
    assert_eq!(found, exact(&request, present.into_iter(), 20));
    assert_eq!(before.search(&query, 20, Effort::from_level(10_000), 1, &request), exact(&request, 0..4_000, 20));
}

#[test]
fn equal_vectors_are_found_and_do_not_stop_the_splits() {
    let one = Random(9).unit(LENGTH);
    let (table, mut index, mut positions) = (Table(vec![one.clone(); 3_000]), Index::new(LENGTH), Positions::default());
    insert(&mut index, &mut positions, &table, 0..3_000);
    assert!(index.lists.iter().all(|list| list.codes.count() <= 1_001));
    let request = Request { table: &table, query: &one, allowed: &|_| true };
    let found = index.search(&one, 2_000, Effort::from_level(Effort::DEFAULT_LEVEL), 1, &request);
    assert_eq!(found.len(), 2_000);
    // Zero vectors have neither a direction nor a scale.
    let zeros = Table(vec![vec![0.0; LENGTH]; 1_200]);
    let (mut index, mut positions) = (Index::new(LENGTH), Positions::default());
    insert(&mut index, &mut positions, &zeros, 0..1_200);
    let request = Request { table: &zeros, query: &one, allowed: &|_| true };
    assert_eq!(index.search(&one, 5, Effort::from_level(500), 1, &request).len(), 5);
}

#[test]
fn a_code_of_a_list_that_was_split_is_computed_again() {
    let (table, mut index, mut positions) = (table(2_000), Index::new(LENGTH), Positions::default());
    insert(&mut index, &mut positions, &table, 0..900);
    let stale = index.encode(table.vector(1_999));
    insert(&mut index, &mut positions, &table, 900..1_990);
    assert!(index.lists() > 1);
    index.insert(&mut positions, 1_999, &stale, &table);
    let list = index.nearest(table.vector(1_999));
    assert!(list.codes.slots().any(|slot| slot == 1_999), "not in the list of its centroid");
}

#[test]
fn an_index_is_restored_from_its_codes() {
    let (table, mut index, mut positions) = (table(5_000), Index::new(LENGTH), Positions::default());
    insert(&mut index, &mut positions, &table, 0..5_000);
    let mut centroids = vec![None; index.next_number() as usize];
    for (number, centroid) in index.centroids_from(0) {
        centroids[number as usize] = Some(centroid.to_vec());
    }
    let codes: Vec<_> = (0..5_000).map(|slot| (slot, index.code(&positions, slot).unwrap())).collect();
    let read = |at: &'_ (u32, StoredCode<'_>)| at.1.list;
    let mut restore = Restore::new(LENGTH, centroids);
    let mut damaged = Vec::new();
    for part in codes.chunks(1_700) {
        damaged.extend(restore.add(2, part, read, |(slot, code)| (*slot, (*slot != 77).then(|| code.clone()))));
    }
    let missing = [(5_001, StoredCode { list: 9_999, scale: 1.0, row: vec![0; LENGTH / 4].into() })];
    damaged.extend(restore.add(2, &missing, read, |(slot, code)| (*slot, Some(code.clone()))));
    assert_eq!(damaged, [77, 5_001]);
    let (restored, mut restored_positions) = restore.finish();
    assert_eq!(
        (restored.count(), restored.lists(), restored.next_number()),
        (4_999, index.lists(), index.next_number())
    );
    assert_eq!(restored.code(&restored_positions, 4_321), index.code(&positions, 4_321));
    let query = Random(4).unit(LENGTH);
    let request = Request { table: &table, query: &query, allowed: &|slot| slot != 77 };
    let effort = Effort::from_level(Effort::DEFAULT_LEVEL);
    assert_eq!(restored.search(&query, 50, effort, 1, &request), index.search(&query, 50, effort, 1, &request));
    let mut restored = restored;
    insert(&mut restored, &mut restored_positions, &table, [77]);
    assert_eq!(restored.count(), 5_000);
}

#[test]
fn nothing_waits_for_a_helper_that_comes_late() {
    let (table, mut index, mut positions) = (table(3_000), Index::new(LENGTH), Positions::default());
    insert(&mut index, &mut positions, &table, 0..3_000);
    let query = Random(5).unit(LENGTH);
    let request = Request { table: &table, query: &query, allowed: &|_| true };
    let search = index.begin_search(&query, 10, Effort::from_level(10_000), &request);
    // A helper that comes early visits all lists.
    search.help();
    assert_eq!(search.run(), exact(&request, 0..3_000, 10));
    search.help();
    assert_eq!(search.useful_helpers(), 0);
}

impl Index {
    fn search<C: Candidates>(&self, query: &[f32], keep: usize, effort: Effort, threads: usize, c: &C) -> Vec<C::Hit> {
        let search = self.begin_search(query, keep, effort, c);
        std::thread::scope(|scope| {
            (1..threads).for_each(|_| drop(scope.spawn(|| search.help())));
            search.run()
        })
    }

    fn nearest(&self, vector: &[f32]) -> Arc<List> {
        let closeness = |list: &Arc<List>| list.center.closeness(vector);
        let nearest = self.lists.iter().max_by(|a, b| closeness(a).total_cmp(&closeness(b)));
        Arc::clone(nearest.expect("there are lists"))
    }

    fn code(&self, positions: &Positions, slot: u32) -> Option<StoredCode<'static>> {
        let mut row = vec![0; LENGTH / 4];
        let head = self.copy_code(positions, slot, &mut row)?;
        Some(StoredCode { list: head.list, scale: head.scale, row: row.into() })
    }
}
