//! The embedded index: the contract, and what only a store in the process must do: it survives a restart and `kill
//! -9`, and names what a power loss destroyed.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Stdio;

use futures::StreamExt;
use glimpse::domain::ImageRecord;
use glimpse::index::ImageIndex;
use glimpse::index::embedded::{EmbeddedIndex, OpenError};

use crate::contract::index::support::{EAST, NORTH, count, fresh, ids, keys, name, query, record, space};
use crate::support::environment::variable;
use crate::support::process::test_command;

fn open(folder: &Path) -> EmbeddedIndex {
    EmbeddedIndex::open(folder).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn passes_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    crate::contract::index::run_contract(&open(folder.path())).await;
}

#[tokio::test]
async fn all_records_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let (kept, dropped) = (fresh(&index, "kept").await, fresh(&index, "dropped").await);
    let records: Vec<_> = (0..1_500).map(|n| record(&format!("{n}.jpg"), EAST)).collect();
    index.upsert(&kept, &records).await.unwrap();
    index.upsert(&kept, &[record("7.jpg", NORTH)]).await.unwrap();
    index.delete(&kept, &[records[8].id]).await.unwrap();
    index.upsert(&dropped, &records[..3]).await.unwrap();
    index.drop_collection(&dropped).await.unwrap();
    drop(index);

    let index = open(folder.path());
    assert!(index.lost_records().is_empty());
    assert_eq!(index.collections().await.unwrap().len(), 1);
    assert_eq!((count(&index, &kept).await, ids(&index, &kept).await.len()), (1_499, 1_499));
    assert_eq!(keys(&index, &kept, &query(NORTH, 1)).await, ["7.jpg"]);
    // The number of a dropped collection is not used again; an emptied slot is.
    fresh(&index, "another").await;
    index.upsert(&kept, &[record("new.jpg", [0.0, 0.0, 1.0, 0.0])]).await.unwrap();
    assert_eq!(keys(&index, &kept, &query([0.0, 0.0, 1.0, 0.0], 1)).await, ["new.jpg"]);
    assert_eq!(vector_files(folder.path()), ["1.vectors", "3.vectors"]);
}

fn vector_files(folder: &Path) -> Vec<String> {
    let files = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = files.filter(|file| file.ends_with(".vectors")).collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_folder_in_use_cannot_be_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let refused = EmbeddedIndex::open(folder.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Locked(_)) && refused.to_string().contains("another process"), "{refused}");
    drop(first);
    open(folder.path());
}

#[tokio::test]
async fn vectors_that_were_not_written_are_found_and_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let collection = fresh(&index, "power").await;
    let records: Vec<_> = (0..10).map(|n| record(&format!("{n}.jpg"), EAST)).collect();
    index.upsert(&collection, &records).await.unwrap();
    drop(index);
    // Pages that were not written read as zeros (row 3) or as the previous content of the slot (row 5); pages at the
    // end are missing (row 9). A row has 256 bytes.
    let mut file = OpenOptions::new().write(true).open(folder.path().join("1.vectors")).unwrap();
    for (row, bytes) in [(3, [0; 4]), (5, 0.5_f32.to_ne_bytes())] {
        file.seek(SeekFrom::Start(row * 256)).unwrap();
        file.write_all(&bytes).unwrap();
    }
    file.set_len(9 * 256).unwrap();

    let index = open(folder.path());
    let mut expected: Vec<_> = [3, 5, 9].map(|row| (collection.clone(), records[row].id)).into();
    expected.sort();
    let mut lost = index.lost_records().to_vec();
    lost.sort();
    assert_eq!(lost, expected);
    assert_eq!(count(&index, &collection).await, 7);
    assert_eq!(index.search(&collection, &query(EAST, 20)).await.unwrap().len(), 7);
    assert!(index.get(&collection, &[records[3].id]).await.unwrap().is_empty());
    // They are indexed again.
    index.upsert(&collection, &records).await.unwrap();
    assert_eq!(index.search(&collection, &query(EAST, 20)).await.unwrap().len(), 10);
    drop(index);
    assert!(open(folder.path()).lost_records().is_empty());
}

#[tokio::test]
async fn a_missing_vector_file_loses_its_records_and_an_unknown_one_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    let collection = fresh(&index, "gone").await;
    index.upsert(&collection, &[record("a.jpg", EAST)]).await.unwrap();
    drop(index);
    std::fs::rename(folder.path().join("1.vectors"), folder.path().join("9.vectors")).unwrap();
    let index = open(folder.path());
    assert_eq!(index.lost_records(), [(collection.clone(), record("a.jpg", EAST).id)]);
    assert_eq!(count(&index, &collection).await, 0);
    assert_eq!(vector_files(folder.path()), ["1.vectors"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_collection_can_be_dropped_while_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path());
    for _ in 0..20 {
        let collection = fresh(&index, "dropped").await;
        let records: Vec<_> = (0..300).map(|n| record(&format!("{n}.jpg"), EAST)).collect();
        index.upsert(&collection, &records).await.unwrap();
        let read = async {
            // Until the collection is unknown, every answer is complete.
            while let Ok(hits) = index.search(&collection, &query(EAST, 1_000)).await {
                assert_eq!(hits.len(), 300);
            }
            index.search(&collection, &query(EAST, 1)).await.unwrap_err()
        };
        let (refused, dropped) = futures::join!(read, index.drop_collection(&collection));
        dropped.unwrap();
        assert_eq!(refused, glimpse::index::IndexError::UnknownCollection(collection));
    }
    assert!(vector_files(folder.path()).is_empty());
}

const CHILD: &str = "GLIMPSE_TEST_CHILD_FOLDER";
const BATCH: u32 = 8;

/// Batch `n`: half new records, half new versions of the previous batch.
fn batch(n: u32) -> Vec<ImageRecord> {
    let to_record = |key: u32| {
        let mut record = record(&format!("{key}.jpg"), EAST);
        record.payload.width = n;
        record
    };
    (n * BATCH / 2..n * BATCH / 2 + BATCH).map(to_record).collect()
}

/// Not a test: the process that the next test kills.
#[tokio::test]
async fn child_that_writes_until_it_is_killed() {
    let Some(folder) = variable(CHILD) else { return };
    let index = open(Path::new(&folder));
    let collection = name("killed");
    index.ensure_image_collection(&collection, &space()).await.unwrap();
    for n in 0.. {
        index.upsert(&collection, &batch(n)).await.unwrap();
        writeln!(std::io::stderr(), "acknowledged {n}").unwrap();
    }
}

#[tokio::test]
async fn acknowledged_writes_survive_kill_9() {
    // Killed after different numbers of batches, at any point of the next one.
    for enough in [1, 7, 60, 1_100] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = test_command(module_path!(), "child_that_writes_until_it_is_killed")
            .env(CHILD, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let acknowledged = |line: std::io::Result<String>| line.unwrap().strip_prefix("acknowledged ")?.parse().ok();
        lines.by_ref().filter_map(acknowledged).find(|n: &u32| *n >= enough).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // Batches that it wrote between the last line that we read and its end count, too.
        let last = lines.filter_map(acknowledged).last().unwrap_or(enough);

        let index = open(folder.path());
        assert!(index.lost_records().is_empty(), "kill -9 loses nothing: {:?}", index.lost_records());
        let collection = name("killed");
        let found = ids(&index, &collection).await;
        assert_eq!(count(&index, &collection).await, found.len() as u64);
        // The batch in progress is written completely or not at all.
        let batches = u32::try_from(found.len()).unwrap() * 2 / BATCH - 1;
        assert!(batches == last + 1 || batches == last + 2, "{batches} batches, {last} was acknowledged");
        for record in index.get(&collection, &found).await.unwrap() {
            let key: u32 = record.payload.s3_key.strip_suffix(".jpg").unwrap().parse().unwrap();
            assert_eq!(record.payload.width, (key * 2 / BATCH).min(batches - 1), "{key}");
        }
        let found = index.search(&collection, &query(EAST, found.len())).await.unwrap();
        assert_eq!(found.len(), found.len());
        index.upsert(&collection, &batch(0)).await.unwrap();
        assert!(index.scan(&collection).all(|id| async move { id.is_ok() }).await);
    }
}
