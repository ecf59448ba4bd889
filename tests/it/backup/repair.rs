//! Archives whose chunks or manifests are missing or damaged: what a backup finds, and how it repairs them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::archives::chunks;
use super::{back_up, restore, restore_all};
use crate::cli::commands::{glimpse, stderr, stdout};
use crate::support::TestApp;

fn flip(chunk: &Path) {
    let mut bytes = std::fs::read(chunk).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(chunk, bytes).unwrap();
}

fn manifests(archive: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(archive.join("manifests")).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    files
}

/// Returns the chunks of the objects in the oldest backup.
fn objects(archive: &Path) -> Vec<PathBuf> {
    let manifest: Value = serde_json::from_slice(&std::fs::read(&manifests(archive)[0]).unwrap()).unwrap();
    let files = manifest["files"].as_array().unwrap().iter().filter(|file| file["immutable"] == true);
    let hashes = files.map(|file| file["chunks"][0].as_str().unwrap().to_owned());
    hashes.map(|hash| archive.join("chunks").join(&hash[..2]).join(hash)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_sends_missing_chunks_again_and_with_verify_also_damaged_ones() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    app.ingest().await;
    let (archive, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    back_up(&app.url, archive.path(), &[]).await;
    let objects = objects(archive.path());
    std::fs::remove_file(&objects[0]).unwrap();
    std::fs::write(&objects[1], "shorter").unwrap();
    let damaged = &objects[2];
    flip(damaged);
    let second = back_up(&app.url, archive.path(), &["--keep", "1"]).await;
    assert_eq!((&second["repaired_chunks"], &second["removed_backups"]), (&2.into(), &1.into()), "{second}");
    let checked = restore(archive.path(), data.path(), &["--check"]).await;
    let text = stdout(&checked);
    let name = damaged.file_name().unwrap().to_str().unwrap();
    assert!(checked.status.code() == Some(1) && text.contains(" 1 damaged"), "{text}");
    assert!(text.contains(name) && text.contains("`glimpse backup --verify` repairs"), "{text}");
    let refused = restore(archive.path(), data.path(), &[]).await;
    assert!(stderr(&refused).contains("`glimpse backup --verify` repairs"), "{}", stderr(&refused));

    let third = back_up(&app.url, archive.path(), &["--verify"]).await;
    assert_eq!(third["repaired_chunks"], 1, "{third}");
    for backup in [&second, &third] {
        let at = backup["created_at"].as_str().unwrap();
        let checked = restore(archive.path(), data.path(), &["--check", "--at", at]).await;
        assert!(checked.status.success() && stdout(&checked).contains(" 0 damaged"), "{}", stdout(&checked));
    }
    restore_all(archive.path(), data.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_manifest_is_named_and_does_not_hide_or_remove_other_backups() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    let (archive, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let place = archive.path().to_str().unwrap();
    back_up(&app.url, archive.path(), &[]).await;
    let damaged = manifests(archive.path()).remove(0);
    let text = std::fs::read_to_string(&damaged).unwrap();
    assert!(text.contains("\"path\":\"s3/objects/"), "{text}");
    std::fs::write(&damaged, text.replacen("\"path\":\"s3/objects/", "\"path\":\"s3/objectz/", 1)).unwrap();
    let name = damaged.file_name().unwrap().to_str().unwrap();
    let checked = restore(archive.path(), data.path(), &["--check"]).await;
    assert_eq!(checked.status.code(), Some(1));
    assert!(stderr(&checked).contains(name) && stderr(&checked).contains("is damaged"), "{}", stderr(&checked));
    let count = chunks(archive.path()).len();

    let output = glimpse(&[("GLIMPSE_URL", &app.url)], &["backup", place, "--keep", "1", "--json"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let message = stderr(&output);
    assert!(
        message.contains("warning: ") && message.contains(name) && message.contains("every chunk was kept"),
        "{message}"
    );
    let done: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&done["removed_backups"], &done["removed_chunks"]), (&0.into(), &0.into()));
    assert!(chunks(archive.path()).len() >= count && damaged.exists());

    let list = glimpse(&[], &["backup", "list", place, "--json"]).await;
    assert_eq!(list.status.code(), Some(1));
    let list: Value = serde_json::from_str(&stdout(&list)).unwrap();
    assert!(list[0]["problem"].as_str().unwrap().contains("damaged") && list[0]["created_at"].is_string(), "{list}");
    assert_eq!(list[1]["created_at"], done["created_at"]);
    let table = glimpse(&[], &["backup", "list", place]).await;
    assert!(stdout(&table).contains(name) && table.status.code() == Some(1), "{}", stdout(&table));
    // The newest one is whole, but not the archive.
    let checked = restore(archive.path(), data.path(), &["--check"]).await;
    assert!(checked.status.code() == Some(1) && stdout(&checked).contains(name), "{}", stdout(&checked));
    restore_all(archive.path(), data.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_backup_stays_if_a_clock_was_wrong_once() {
    let app = TestApp::start().await;
    let archive = tempfile::tempdir().unwrap();
    back_up(&app.url, archive.path(), &[]).await;
    let path = manifests(archive.path()).remove(0);
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["created_at"] = "2099-01-01T00:00:00.000000Z".into();
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let name = format!("2099-01-01T00:00:00.000000Z.{}.json", glimpse::archive::digest(&bytes));
    std::fs::write(path.with_file_name(&name), bytes).unwrap();
    let output =
        glimpse(&[("GLIMPSE_URL", &app.url)], &["backup", archive.path().to_str().unwrap(), "--keep", "1", "--json"])
            .await;
    assert!(stderr(&output).contains(&name) && output.status.success(), "{}", stderr(&output));
    let done: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let left = manifests(archive.path());
    assert!(left.len() == 2 && left[0].to_str().unwrap().contains(done["created_at"].as_str().unwrap()), "{left:?}");
    let checked = restore(archive.path(), archive.path(), &["--check", "--json"]).await;
    let checked: Value = serde_json::from_str(&stdout(&checked)).unwrap();
    assert_eq!(checked["created_at"], done["created_at"]);
}
