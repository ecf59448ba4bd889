//! The sets that are in memory must be those that SQLite returns, at every moment that a reader can see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use rusqlite::Connection;

use super::predicate::Predicate;
use super::test_records::{EDITIONS, moment, predicates, row};
use super::{Attributes, Item, Key, SlotSet, TextColumn, TextField};
use crate::domain::{FacetField, FacetQuery, Filter, ImageFormat, ImageId, MetaValue, ValueRange};
use crate::index::embedded::collection::Collection;
use crate::index::embedded::rows::meta_term;
use crate::index::embedded::snapshot::Snapshot;
use crate::index::embedded::tests::open;

fn stored(snapshot: &Snapshot, predicate: &Predicate) -> Option<SlotSet> {
    match snapshot.filters.get(Key::Slots(predicate)) {
        Some(Item::Slots(_, slots)) => Some(slots.clone()),
        _ => None,
    }
}

/// Compares every set in memory with what SQLite returns. Returns the number of sets.
fn check(collection: &Collection, snapshot: &Snapshot) -> usize {
    let in_memory = predicates().into_iter().filter_map(|predicate| Some((stored(snapshot, &predicate)?, predicate)));
    let compare = |(set, predicate): (SlotSet, Predicate)| {
        let selected = predicate.select(snapshot.rows().unwrap(), collection.number()).unwrap();
        assert!(set.iter().eq(selected.iter()), "{predicate:?}");
        assert_eq!(set.len(), selected.len());
    };
    let sets = in_memory.map(compare).count();
    for field in fields() {
        if let Some(Item::Texts(column)) = snapshot.filters.get(Key::Texts(&field)) {
            let odd: SlotSet = snapshot.version.occupied().map(|(slot, _)| slot).filter(|slot| slot % 2 == 1).collect();
            for allowed in [None, Some(&odd)] {
                assert_eq!(counts(column, allowed), selected_counts(snapshot, &field, allowed), "{field:?}");
            }
        }
    }
    sets
}

fn fields() -> [TextField; 6] {
    [
        TextField::Format,
        TextField::cameras(),
        TextField::months(),
        TextField::folders(),
        TextField::meta("n"),
        TextField::meta("kind"),
    ]
}

fn counts(column: &TextColumn, allowed: Option<&SlotSet>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    column.count(allowed, |value, count| {
        if count > 0 {
            assert_eq!(counts.insert(value.to_owned(), count), None, "{value} is counted twice");
        }
    });
    counts
}

/// Counts the values in SQLite.
fn selected_counts(snapshot: &Snapshot, field: &TextField, allowed: Option<&SlotSet>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let count = |value: &str, slot| {
        if allowed.is_none_or(|allowed| allowed.contains(slot)) {
            *counts.entry(value.to_owned()).or_insert(0) += 1;
        }
        true
    };
    field.each((snapshot.rows().unwrap(), 1), count).unwrap();
    counts
}

fn use_all(collection: &Collection) {
    let snapshot = collection.snapshot().unwrap();
    for predicate in predicates() {
        collection.slots(&snapshot, predicate).unwrap();
    }
    for field in fields() {
        collection.texts(&collection.snapshot().unwrap(), &field).unwrap();
    }
}

#[derive(Clone, Debug)]
enum Step {
    Upsert(Vec<(u32, u32)>),
    Delete(Vec<u32>),
    Use(usize),
    Count(usize),
    Hold,
    Release,
    Sync,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::collection::btree_map(0..30_u32, 0..EDITIONS, 1..8).prop_map(|rows| Step::Upsert(rows.into_iter().collect())),
        2 => prop::collection::vec(0..30_u32, 1..6).prop_map(Step::Delete),
        2 => (0..predicates().len()).prop_map(Step::Use),
        1 => (0..fields().len()).prop_map(Step::Count),
        1 => Just(Step::Hold),
        1 => Just(Step::Release),
        1 => Just(Step::Sync),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn sets_in_memory_are_those_of_sqlite_at_the_moment_of_each_reader(steps in steps()) {
        let path = tempfile::tempdir().unwrap();
        let (folder, mut writer, collection) = open(path.path());
        let mut held = Vec::new();
        for step in steps {
            match step {
                Step::Upsert(rows) => {
                    let rows = rows.into_iter().map(|(key, edition)| row(key, edition)).collect();
                    collection.upsert(&mut writer, rows).unwrap();
                }
                Step::Delete(keys) => {
                    let ids: Vec<ImageId> = keys.into_iter().map(|key| row(key, 0).id).collect();
                    collection.delete(&mut writer, &ids).unwrap();
                }
                Step::Use(at) => {
                    let snapshot = collection.snapshot().unwrap();
                    collection.slots(&snapshot, predicates().swap_remove(at)).unwrap();
                    let now = collection.snapshot().unwrap();
                    prop_assert!(stored(&now, &predicates()[at]).is_some());
                }
                Step::Count(at) => {
                    let snapshot = collection.snapshot().unwrap();
                    let column = collection.texts(&snapshot, &fields()[at]).unwrap().unwrap();
                    prop_assert_eq!(counts(&column, None), selected_counts(&snapshot, &fields()[at], None));
                }
                Step::Hold => held.push(collection.snapshot().unwrap()),
                Step::Release => drop(held.pop()),
                // Emptied slots are used again after it.
                Step::Sync => folder.record_writes(&writer, usize::MAX / 4),
            }
            check(&collection, &collection.snapshot().unwrap());
        }
        for snapshot in &held {
            check(&collection, snapshot);
        }
    }
}

fn upsert_all(collection: &Collection, writer: &mut Connection, edition: u32) {
    collection.upsert(writer, (0..200).map(|key| row(key, (key + edition) % EDITIONS)).collect()).unwrap();
}

#[test]
fn a_set_of_an_older_version_is_stored_in_the_state_of_the_newest() {
    let path = tempfile::tempdir().unwrap();
    let (_folder, mut writer, collection) = open(path.path());
    upsert_all(&collection, &mut writer, 0);
    let older = collection.snapshot().unwrap();
    upsert_all(&collection, &mut writer, 7);
    collection.delete(&mut writer, &[row(5, 0).id, row(9, 0).id]).unwrap();
    for predicate in predicates() {
        let slots = collection.slots(&older, predicate.clone()).unwrap();
        let expected = predicate.select(older.rows().unwrap(), collection.number()).unwrap();
        assert!(slots.iter().eq(expected.iter()), "{predicate:?}");
    }
    assert_eq!(check(&collection, &older), 0, "a reader's sets change");
    assert_eq!(check(&collection, &collection.snapshot().unwrap()), predicates().len());

    // A reader that cannot catch up stores nothing.
    let mut damaged = collection.snapshot().unwrap();
    damaged.filters = Arc::default();
    collection.change_filters(&damaged.version, |filters| *filters = super::FilterCache::default());
    upsert_all(&collection, &mut writer, 8);
    writer.execute_batch(&format!("UPDATE payloads_{} SET payload = '{{'", collection.number())).unwrap();
    collection.slots(&damaged, Predicate::MinWidth(20)).unwrap();
    assert!(stored(&collection.snapshot().unwrap(), &Predicate::MinWidth(20)).is_none());
}

#[test]
fn readers_beside_a_writer_see_the_sets_of_their_moment() {
    let path = tempfile::tempdir().unwrap();
    let (folder, mut writer, collection) = open(path.path());
    upsert_all(&collection, &mut writer, 0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut compared = 0;
                while !done.load(Ordering::Relaxed) {
                    use_all(&collection);
                    compared += check(&collection, &collection.snapshot().unwrap());
                    // The next reader needs each set again.
                    let version = collection.version().unwrap();
                    collection.change_filters(&version, |filters| *filters = super::FilterCache::default());
                }
                compared
            })
        });
        for edition in 1..150 {
            upsert_all(&collection, &mut writer, edition);
            collection.delete(&mut writer, &[row(edition, 0).id]).unwrap();
            folder.record_writes(&writer, 200);
        }
        done.store(true, Ordering::Relaxed);
        let compared: usize = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        assert!(compared > 0, "no set was stored");
    });
}

#[test]
fn a_restart_begins_without_sets() {
    let path = tempfile::tempdir().unwrap();
    let (folder, mut writer, collection) = open(path.path());
    upsert_all(&collection, &mut writer, 0);
    use_all(&collection);
    drop((collection, writer, folder));
    let (_folder, mut writer, collection) = open(path.path());
    assert_eq!(check(&collection, &collection.snapshot().unwrap()), 0);
    use_all(&collection);
    upsert_all(&collection, &mut writer, 11);
    assert_eq!(check(&collection, &collection.snapshot().unwrap()), predicates().len());
}

#[test]
fn the_attributes_of_a_row_are_those_of_its_payload() {
    let row = row(3, 12);
    let terms: Vec<&str> = row.attributes.terms.iter().map(String::as_str).collect();
    let of_exif = ["camera:camera 0", "month:01", "month:1970-01"];
    assert_eq!(terms, [&["/a/", "/a/0/", "=1:n12", "=4:kindkind 4"][..], &of_exif].concat());
    let Attributes { format, width, height, indexed_at, .. } = row.attributes;
    assert_eq!((format, width, height, indexed_at), (ImageFormat::Jpeg, 12, 88, moment(12)));
}

#[test]
fn a_field_with_too_many_values_is_read_from_sqlite() {
    let path = tempfile::tempdir().unwrap();
    let (_folder, mut writer, collection) = open(path.path());
    upsert_all(&collection, &mut writer, 0);
    let field = TextField::meta("n");
    let snapshot = collection.snapshot().unwrap();
    let source = (snapshot.rows().unwrap(), collection.number());
    assert!(TextColumn::read(&field, source, |_| true, 4_000).unwrap().is_none());
    assert!(TextColumn::read(&field, source, |_| true, 40_000).unwrap().is_some());

    let range = Predicate::Range {
        prefix: meta_term("n", ""),
        range: MetaValue::Numbers(ValueRange { min: Some(10.0), max: None }),
    };
    let filter = Filter { min_width: Some(30), ..Filter::default() };
    let query = FacetQuery { field: FacetField::Meta("n".to_owned()), filter, limit: 100 };
    let answers = || {
        let slots = collection.slots(&collection.snapshot().unwrap(), range.clone()).unwrap();
        (slots.iter().collect::<Vec<_>>(), collection.facets(&query).unwrap())
    };
    let expected = answers();
    assert_eq!((expected.0.len(), expected.1.values.len()), (160, 30));
    let too_large = Item::TooLarge(field);
    collection.change_filters(&snapshot.version, |filters| {
        *filters = super::FilterCache::default();
        filters.insert(too_large, snapshot.version.slots());
    });
    assert_eq!(answers(), expected);
}
