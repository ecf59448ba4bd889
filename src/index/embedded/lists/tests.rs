//! The approximate index of a collection: its construction beside other writes, and its searches.

#![expect(clippy::cast_precision_loss, reason = "small numbers")]

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use crate::domain::{CollectionName, Embedding, Filter, ImageId, Probe, SearchEffort, SearchQuery, Space};
use crate::index::embedded::collection::Collection;
use crate::index::embedded::folder::Folder;
use crate::index::embedded::rows::Row;
use crate::index::embedded::threads::ScanThreads;
use crate::index::shared::example_record;

const DIMENSION: usize = 32;

/// Ids and scores.
type Found = Vec<(ImageId, f32)>;

struct Fixture {
    folder: Folder,
    writer: Connection,
    collection: Arc<Collection>,
}

impl Fixture {
    fn open(path: &Path) -> Self {
        let folder = Folder::open(path).unwrap();
        let mut writer = folder.sqlite.reader().unwrap();
        let name = CollectionName::parse("c").unwrap();
        let probes = vec![Probe { name: "p".into(), vector: vec![1.0; DIMENSION] }];
        let space = Space { model: "m".into(), dimension: DIMENSION, preprocessing: "none".into(), probes };
        folder.ensure(&mut writer, name.clone(), space).unwrap();
        let collection = folder.find(&name).unwrap();
        Self { folder, writer, collection }
    }

    /// Opens a collection of 20,000 records with an index.
    fn with_lists(path: &Path) -> Self {
        let mut fixture = Self::open(path);
        for start in (0..20_000).step_by(2_000) {
            fixture.upsert(start..start + 2_000, 0);
        }
        while fixture.build_step() {}
        fixture
    }

    fn upsert(&mut self, numbers: impl Iterator<Item = u32>, edition: u32) {
        let mut rows: Vec<Row> = numbers.map(|number| row(number, edition)).collect();
        self.collection.encode(&mut rows).unwrap();
        self.collection.upsert(&mut self.writer, rows).unwrap();
    }

    /// Returns whether there is more to do.
    fn build_step(&mut self) -> bool {
        self.collection.build_lists(&mut self.writer).unwrap();
        self.collection.needs_lists()
    }

    fn search(&self, query: &Embedding, effort: SearchEffort, folder: Option<&str>) -> Found {
        let mut filter = Filter::default();
        filter.folders.any_of.extend(folder.map(str::to_owned));
        let query = SearchQuery { embedding: query.clone(), limit: 10, offset: 0, filter, effort };
        let hits = self.collection.search(&query, &ScanThreads::default()).unwrap();
        hits.into_iter().map(|hit| (hit.id, hit.score)).collect()
    }

    /// Returns which part of the best ten the search finds. Their scores must be exact.
    fn recall(&self, folder: Option<&str>) -> f32 {
        let (mut found, mut total) = (0.0, 0.0);
        for number in 0..30 {
            let query = row(1_000_000 + number, 0).embedding;
            let exact = self.search(&query, SearchEffort::Exact, folder);
            let hits = self.search(&query, SearchEffort::Default, folder);
            assert!(hits.iter().all(|hit| exact.contains(hit) || hit.1 <= exact[9].1), "a score is not exact");
            found += exact.iter().filter(|hit| hits.contains(hit)).count() as f32;
            total += exact.len() as f32;
        }
        found / total
    }
}

/// A record with a random vector. One of sixteen is in the folder `few`.
fn row(number: u32, edition: u32) -> Row {
    let mut state = (u64::from(number) << 20) + (u64::from(edition) << 8) + 77;
    let vector = (0..DIMENSION).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    });
    let mut record = example_record(&format!("{number}.jpg"), vector.collect());
    if number.is_multiple_of(16) {
        record.payload.s3_folders = vec!["few".to_owned()];
    }
    Row::new(&record).unwrap()
}

#[test]
fn an_index_is_built_beside_writes_and_finds_what_the_exact_search_finds() {
    let path = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::open(path.path());
    for start in (0..22_000).step_by(2_000) {
        fixture.upsert(start..start + 2_000, 0);
    }
    assert!(fixture.collection.needs_lists());
    let mut steps = 0;
    while fixture.build_step() {
        // The construction must see what it has passed and what is ahead.
        fixture.upsert([steps, 21_000 + steps, 30_000 + steps].into_iter(), 1);
        let deleted = row(5_000 + steps, 0).id;
        fixture.collection.delete(&mut fixture.writer, &[deleted]).unwrap();
        steps += 1;
    }
    assert!(steps > 10 && !fixture.collection.needs_lists());
    // Changes of the finished index, with splits.
    fixture.upsert(40_000..42_500, 0);
    fixture.upsert(7_000..7_300, 2);
    let version = fixture.collection.version().unwrap();
    let lists = version.lists().unwrap();
    assert_eq!(lists.count(), version.count());
    assert_eq!(version.count(), 22_000 + 2_500);
    assert!(lists.lists() > 20, "{}", lists.lists());
    for folder in [None, Some("few")] {
        let recall = fixture.recall(folder);
        assert!(recall > 0.97, "{folder:?}: {recall}");
    }
    for (number, edition) in [(3, 1), (21_004, 1), (30_005, 1), (7_100, 2), (42_000, 0)] {
        let expected = row(number, edition);
        let best = fixture.search(&expected.embedding, SearchEffort::Default, None)[0];
        assert!(best.0 == expected.id && best.1 > 0.9999, "record {number}: {best:?}");
    }
    let deleted = row(5_003, 0);
    assert!(fixture.search(&deleted.embedding, SearchEffort::Default, None)[0].0 != deleted.id);
}

/// Returns the best ten of some queries, and the slot of each record.
fn state(fixture: &Fixture) -> (Vec<Found>, Vec<(u32, ImageId)>) {
    let query = |number: u32| fixture.search(&row(2_000_000 + number, 0).embedding, SearchEffort::Default, None);
    let version = fixture.collection.version().unwrap();
    let occupied = |slot| version.occupant(slot).map(|id| (slot, id));
    ((0..20).map(query).collect(), (0..version.slots()).filter_map(occupied).collect())
}

#[test]
fn the_next_start_reads_the_index_and_what_changed_since_the_last_sync() {
    let path = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::with_lists(path.path());
    fixture.folder.record_writes(&fixture.writer, 10_000);
    // These are not synced: new records with splits, replaced and deleted ones.
    fixture.upsert(30_000..33_000, 0);
    fixture.upsert(500..900, 1);
    fixture.collection.delete(&mut fixture.writer, &[row(17, 0).id, row(30_017, 0).id]).unwrap();
    let before = state(&fixture);
    drop(fixture);
    let fixture = Fixture::open(path.path());
    assert!(fixture.collection.version().unwrap().lists().is_some(), "the index was not read");
    let after = state(&fixture);
    assert_eq!(after.1, before.1);
    assert_eq!(after.1.len(), 22_998);
    let different = before.0.iter().zip(&after.0).filter(|(before, after)| before != after).count();
    // The codes of changed slots are computed again, perhaps in other lists.
    assert!(different <= 2, "{different} of 20 queries have other hits");
    // Rows that are not on the disk after a power loss are found by their checksums, and the index is built again.
    drop(fixture);
    let file = std::fs::OpenOptions::new().write(true).open(path.path().join("1.lists")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"damaged", 1_000).unwrap();
    let mut fixture = Fixture::open(path.path());
    assert!(fixture.collection.needs_lists());
    assert_eq!(state(&fixture).1, before.1);
    while fixture.build_step() {}
    assert_eq!(fixture.collection.version().unwrap().lists().unwrap().count(), 22_998);
}

#[test]
fn changes_that_an_earlier_version_recorded_are_read() {
    let path = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::with_lists(path.path());
    fixture.folder.record_writes(&fixture.writer, 10_000);
    fixture.upsert(30_000..30_100, 0);
    fixture.collection.delete(&mut fixture.writer, &[row(17, 0).id]).unwrap();
    let before = state(&fixture);
    // The table and one of the triggers of the earlier version.
    fixture
        .writer
        .execute_batch(
            "CREATE TABLE changes_1 (slot INTEGER PRIMARY KEY, id BLOB, checksum INTEGER) STRICT;
             INSERT INTO changes_1 SELECT slot, id, checksum FROM slots_1
                 WHERE EXISTS (SELECT 1 FROM changed_1 WHERE slot BETWEEN first AND last);
             INSERT INTO changes_1 SELECT first, NULL, NULL FROM changed_1 WHERE first NOT IN (SELECT slot FROM slots_1);
             DROP TABLE changed_1;
             CREATE TRIGGER changes_removed_1 AFTER DELETE ON slots_1 BEGIN
                 INSERT OR REPLACE INTO changes_1 VALUES (old.slot, NULL, NULL);
             END;",
        )
        .unwrap();
    drop(fixture);
    let mut fixture = Fixture::open(path.path());
    assert!(fixture.collection.version().unwrap().lists().is_some(), "the index was not read");
    assert_eq!(state(&fixture).1, before.1);
    fixture.collection.delete(&mut fixture.writer, &[row(18, 0).id]).unwrap();
    drop(fixture);
    let fixture = Fixture::open(path.path());
    assert_eq!(fixture.collection.version().unwrap().lists().unwrap().count(), 20_098);
}

#[test]
fn rows_of_moved_records_in_the_file_may_be_old() {
    let path = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::with_lists(path.path());
    for start in (20_000..26_000).step_by(250) {
        fixture.upsert(start..start + 250, 0);
        fixture.folder.record_writes(&fixture.writer, 10_000);
    }
    let moved = crate::lock::lock(&fixture.collection.writer).lists.unwritten.moved.len();
    assert!(moved > 0, "every row was written");
    let (recall, before) = (fixture.recall(None), state(&fixture));
    drop(fixture);
    let fixture = Fixture::open(path.path());
    let version = fixture.collection.version().unwrap();
    assert_eq!(version.lists().unwrap().count(), 26_000, "the index was not read");
    assert_eq!(state(&fixture).1, before.1);
    let after = fixture.recall(None);
    assert!(recall > 0.97 && after > 0.97, "{recall}, {after} with {moved} old rows");
}

#[tokio::test]
async fn vectors_that_the_start_does_not_read_are_checked_later() {
    let path = tempfile::tempdir().unwrap();
    let fixture = Fixture::with_lists(path.path());
    fixture.folder.record_writes(&fixture.writer, 10_000);
    let damaged = fixture.collection.version().unwrap().occupant(12_345).unwrap();
    drop(fixture);
    let file = std::fs::OpenOptions::new().write(true).open(path.path().join("1.vectors")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0x55; 64], 12_345 * 64 * 4).unwrap();
    let folder = Arc::new(Folder::open(path.path()).unwrap());
    assert_eq!(folder.lost.len(), 0);
    let collection = folder.find(&CollectionName::parse("c").unwrap()).unwrap();
    assert_eq!(collection.version().unwrap().occupant(12_345), Some(damaged));
    crate::index::embedded::scrub::scrub(Arc::downgrade(&folder)).await;
    assert_eq!(collection.version().unwrap().occupant(12_345), None);
    assert_eq!(collection.info().unwrap().count, 19_999);
}

#[tokio::test]
async fn files_that_are_missing_or_older_are_built_again() {
    let path = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::with_lists(path.path());
    let (lists, copy) = (path.path().join("1.lists"), path.path().join("copy"));
    std::fs::copy(&lists, &copy).unwrap();
    fixture.upsert(0..100, 1);
    fixture.folder.record_writes(&fixture.writer, 10_000);
    drop(fixture);
    std::fs::rename(&copy, &lists).unwrap();
    let folder = Arc::new(Folder::open(path.path()).unwrap());
    crate::index::embedded::scrub::scrub(Arc::downgrade(&folder)).await;
    drop(folder);
    let mut fixture = Fixture::open(path.path());
    assert!(fixture.collection.needs_lists(), "older files were used again");
    assert_eq!(fixture.collection.info().unwrap().count, 20_000);
    while fixture.build_step() {}
    drop(fixture);
    std::fs::remove_file(path.path().join("1.centroids")).unwrap();
    let fixture = Fixture::open(path.path());
    assert!(fixture.collection.needs_lists());
    assert_eq!(fixture.collection.info().unwrap().count, 20_000);
}

#[test]
fn files_that_do_not_belong_to_the_rows_are_built_again() {
    let path = tempfile::tempdir().unwrap();
    let lists = path.path().join("1.lists");
    let mut fixture = Fixture::with_lists(path.path());
    fixture.folder.record_writes(&fixture.writer, usize::MAX / 4);
    let old = std::fs::read(&lists).unwrap();
    fixture.upsert(19_500..20_500, 1);
    fixture.folder.record_writes(&fixture.writer, usize::MAX / 4);
    drop(fixture);
    let good = std::fs::read(&lists).unwrap();
    let mut empty_rows = good.clone();
    empty_rows[..good.len() / 2].fill(0);
    for damaged in [&[][..], &good[..good.len() / 3], &empty_rows, &old] {
        std::fs::write(&lists, damaged).unwrap();
        let fixture = Fixture::open(path.path());
        assert_eq!((fixture.collection.info().unwrap().count, fixture.folder.lost.len()), (20_500, 0));
        assert!(fixture.collection.needs_lists());
    }
    std::fs::write(&lists, good).unwrap();
    let fixture = Fixture::open(path.path());
    assert!(!fixture.collection.needs_lists() && fixture.collection.info().unwrap().count == 20_500);
}
