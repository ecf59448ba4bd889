//! Tests of what the module documentation of `collection.rs` claims: snapshots stay consistent while a writer works.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};

use rusqlite::Connection;

use super::browse::{DATED, EARLIER, SAME_TAKEN, SAME_TIME, TAKEN_EARLIER, key_sql, newest_sql, taken_sql};
use super::collection::Collection;
use super::folder::Folder;
use super::rows::{self, Row};
use super::snapshot::Snapshot;
use crate::domain::{
    BrowseQuery, CollectionName, Embedding, Filter, ImageId, PageStart, Probe, Space, TakenAt, Timestamp, parse_times,
};
use crate::index::shared::example_record;

const NUMBER: i64 = 1;

pub(super) fn open(folder: &Path) -> (Folder, Connection, Arc<Collection>) {
    let folder = Folder::open(folder).unwrap();
    let mut writer = folder.sqlite.reader().unwrap();
    let probes = vec![Probe { name: "p".into(), vector: vec![1.0, 0.0] }];
    let space = Space { model: "m".into(), dimension: 2, preprocessing: "none".into(), probes };
    let name = CollectionName::parse("c").unwrap();
    folder.ensure(&mut writer, name.clone(), space).unwrap();
    let collection = folder.find(&name).unwrap();
    (folder, writer, collection)
}

/// Returns record `n`, whose vector and payload both contain the edition.
pub(super) fn row(n: u32, edition: u32) -> Row {
    let mut record = example_record(&format!("{n}.jpg"), direction(edition).to_vec());
    record.payload.width = edition;
    // Every third record has no time, and two have the same.
    let taken_at = Timestamp::from_unix_seconds(i64::from(edition / 2)).and_then(|moment| TakenAt::new(moment, None));
    record.payload.exif.taken_at = taken_at.filter(|_| !edition.is_multiple_of(3));
    Row::new(&record).unwrap()
}

fn direction(edition: u32) -> [f32; 2] {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let angle = edition as f32 * 1e-4;
    [angle.cos(), angle.sin()]
}

/// Checks that the version and the rows agree on the slot of each record. Returns the slots.
fn slots(snapshot: &Snapshot) -> Vec<u32> {
    let mut slots = Vec::new();
    for (first, block) in snapshot.version.blocks() {
        for (slot, occupant) in (first..).zip(block) {
            let Some(id) = occupant else { continue };
            let sql = format!("SELECT id FROM slots_{NUMBER} WHERE slot = ?1");
            let in_rows = snapshot.rows().unwrap().query_row(&sql, (slot,), |row| rows::id(row, 0)).unwrap();
            assert_eq!(
                (in_rows, snapshot.version.ids().get(*id)),
                (*id, Some(slot)),
                "the version and the rows are from different moments"
            );
            slots.push(slot);
        }
    }
    slots
}

#[test]
fn a_snapshot_does_not_change_while_records_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, mut writer, collection) = open(folder.path());
    let editions = |edition| (0..50).map(|n| row(n, edition)).collect::<Vec<_>>();
    collection.upsert(&mut writer, editions(0)).unwrap();
    let held = collection.snapshot().unwrap();
    let round = |writer: &mut Connection, edition| {
        collection.upsert(writer, editions(edition)).unwrap();
        folder.record_writes(writer, usize::MAX / 4);
    };
    for edition in 1..20 {
        round(&mut writer, edition);
    }
    let old = slots(&held);
    assert_eq!(old.len(), 50);
    for slot in old {
        assert_eq!(rows::payload(held.rows().unwrap(), NUMBER, slot).unwrap().width, 0);
        assert_eq!(held.version.map().vector(slot), direction(0));
    }
    let ids: Vec<ImageId> = editions(0).iter().map(|row| row.id).collect();
    assert!(collection.get(&ids).unwrap().iter().all(|record| record.payload.width == 19));

    // After the snapshot is dropped, its slots are reused and the file needs no more of them.
    drop(held);
    (20..23).for_each(|edition| round(&mut writer, edition));
    let highest = |snapshot: &Snapshot| slots(snapshot).into_iter().max();
    let before = highest(&collection.snapshot().unwrap());
    (23..60).for_each(|edition| round(&mut writer, edition));
    assert!(highest(&collection.snapshot().unwrap()).max(before) < Some(50 * 24), "emptied slots are not reused");
}

#[test]
fn a_snapshot_has_rows_and_vectors_of_the_same_moment() {
    let folder = tempfile::tempdir().unwrap();
    let (_folder, mut writer, collection) = open(folder.path());
    collection.upsert(&mut writer, vec![row(0, 0), row(1, 0)]).unwrap();
    let (done, ready) = (AtomicBool::new(false), Barrier::new(3));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                ready.wait();
                while !done.load(Ordering::Relaxed) {
                    let snapshot = collection.snapshot().unwrap();
                    for slot in slots(&snapshot) {
                        let edition = rows::payload(snapshot.rows().unwrap(), NUMBER, slot).unwrap().width;
                        let expected = Embedding::normalised(direction(edition).to_vec(), 2).unwrap();
                        assert_eq!(snapshot.version.map().vector(slot), expected.as_slice());
                    }
                }
            });
        }
        ready.wait();
        for edition in 1..3_000 {
            collection.upsert(&mut writer, vec![row(edition % 2, edition)]).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Returns the steps of a query as SQLite plans them.
fn plan(connection: &Connection, sql: &str) -> String {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let parameters = explain.parameter_count();
    let steps = explain.query_map(rusqlite::params_from_iter(vec![""; parameters]), |row| row.get::<_, String>(3));
    steps.unwrap().collect::<Result<Vec<_>, _>>().unwrap().join(", ")
}

#[test]
fn an_old_collection_gets_the_indexes_that_pages_read() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, mut writer, collection) = open(folder.path());
    collection.upsert(&mut writer, (0..20).map(|n| row(n, n)).collect()).unwrap();
    let damage = format!("UPDATE payloads_{NUMBER} SET payload = '{{' WHERE slot = 3");
    writer.execute_batch(&damage).unwrap();
    let page = |start| {
        let page = collection.browse(&BrowseQuery { filter: Filter::default(), start, limit: 7 }).unwrap();
        page.images.into_iter().map(|image| image.payload.s3_key).collect::<Vec<_>>()
    };
    let starts = [PageStart::Newest { after: None }, PageStart::Taken { after: None }, PageStart::Key { after: None }];
    let newest = [SAME_TIME, EARLIER].map(|condition| newest_sql(NUMBER, condition));
    let taken = [DATED, SAME_TAKEN, TAKEN_EARLIER].map(|condition| taken_sql(NUMBER, condition));
    let queries = [&newest[..], &taken, &[key_sql(NUMBER)]].concat();
    let pages = || starts.clone().map(page);
    let plans = |writer: &Connection| queries.iter().map(|sql| plan(writer, sql)).collect::<Vec<_>>();
    let expected = (pages(), plans(&writer));
    let names = ["recent_1", "recent_1", "dated_1", "dated_1", "dated_1", "keys_1"];
    for (plan, name) in expected.1.iter().zip(names) {
        assert!(plan.contains("COVERING INDEX") && plan.contains(name) && !plan.contains("TEMP B-TREE"), "{plan}");
    }

    assert!(!folder.needs_maintenance());
    writer
        .execute_batch(&format!(
            "DROP INDEX recent_{NUMBER}; DROP INDEX dated_{NUMBER}; DROP INDEX keys_{NUMBER};
             CREATE INDEX newest_{NUMBER} ON slots_{NUMBER} (indexed_at DESC, id, slot);
             CREATE INDEX taken_{NUMBER} ON slots_{NUMBER} (taken_at DESC, id, slot);"
        ))
        .unwrap();
    assert_eq!(pages(), expected.0, "without the indexes");
    assert!(folder.needs_maintenance());
    while folder.add_index(&mut writer).unwrap() {}
    assert_eq!((pages(), plans(&writer)), expected);
    let old = "SELECT count(*) FROM sqlite_master WHERE name GLOB 'newest_*' OR name GLOB 'taken_*'";
    assert_eq!(writer.query_row(old, (), |row| row.get::<_, u32>(0)).unwrap(), 0);
}

#[test]
fn a_folder_of_an_earlier_version_is_brought_up_to_date() {
    let path = tempfile::tempdir().unwrap();
    let (index, mut writer, collection) = open(path.path());
    collection.upsert(&mut writer, (0..50).map(|n| row(n, n)).collect()).unwrap();
    collection.delete(&mut writer, &[row(7, 7).id]).unwrap();
    let ids: Vec<ImageId> = (0..50).map(|n| row(n, n).id).collect();
    let before = collection.get(&ids).unwrap();
    writer
        .execute_batch(&format!(
            "CREATE TABLE records_{NUMBER} (id BLOB PRIMARY KEY, slot INTEGER NOT NULL, checksum INTEGER NOT NULL,
                 format TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, indexed_at TEXT NOT NULL)
                 STRICT, WITHOUT ROWID;
             INSERT INTO records_{NUMBER} SELECT id, slot, checksum, format, width, height, indexed_at FROM slots_{NUMBER};
             DROP TABLE slots_{NUMBER}; CREATE INDEX newest_{NUMBER} ON records_{NUMBER} (indexed_at DESC, id, slot);
             CREATE TABLE changes_{NUMBER} (slot INTEGER PRIMARY KEY, id BLOB, checksum INTEGER) STRICT;
             CREATE TRIGGER changes_replaced_{NUMBER} BEFORE INSERT ON records_{NUMBER} BEGIN
                 INSERT OR REPLACE INTO changes_{NUMBER} SELECT slot, NULL, NULL FROM records_{NUMBER} WHERE id = new.id;
             END;"
        ))
        .unwrap();
    drop((index, writer, collection));

    let (index, mut writer, collection) = open(path.path());
    assert_eq!(collection.get(&ids).unwrap(), before);
    assert_eq!(before.len(), 49);
    assert!(index.needs_maintenance(), "the index of the newest records is missing");
    while index.add_index(&mut writer).unwrap() {}
    collection.upsert(&mut writer, vec![row(3, 100), row(99, 99)]).unwrap();
    let tables = "SELECT count(*) FROM sqlite_master WHERE name GLOB 'records_*' OR name GLOB 'changes_*'";
    assert_eq!(writer.query_row(tables, (), |row| row.get::<_, u32>(0)).unwrap(), 0);
    assert_eq!(slots(&collection.snapshot().unwrap()).len(), 50);
}

#[test]
fn a_collection_without_columns_for_facts_of_exif_gets_them() {
    let path = tempfile::tempdir().unwrap();
    let (index, mut writer, collection) = open(path.path());
    collection.upsert(&mut writer, (0..10).map(|n| row(n, 0)).collect()).unwrap();
    let columns = ["taken_at", "lat", "lon"].map(|column| format!("ALTER TABLE slots_{NUMBER} DROP COLUMN {column};"));
    writer.execute_batch(&format!("DROP INDEX dated_{NUMBER}; {}", columns.concat())).unwrap();
    drop((index, writer, collection));

    let (index, mut writer, collection) = open(path.path());
    let taken = Filter { taken: parse_times(Some("1970-01-01"), None).unwrap(), ..Filter::default() };
    let found = |filter: &Filter| {
        let start = PageStart::Taken { after: None };
        let page = collection.browse(&BrowseQuery { filter: filter.clone(), start, limit: 20 }).unwrap();
        page.images.len()
    };
    assert_eq!([found(&Filter::default()), found(&taken)], [10, 0]);
    while index.add_index(&mut writer).unwrap() {}
    collection.upsert(&mut writer, vec![row(3, 100), row(99, 101)]).unwrap();
    assert_eq!([found(&Filter::default()), found(&taken)], [11, 2]);
}
