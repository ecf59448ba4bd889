//! Where an archive can be: files of users are not changed, and nothing is created before the service accepts the backup.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::{back_up, restore};
use crate::cli::commands::{glimpse, stderr, stdout};
use crate::support::TestApp;

/// Returns the content of all files below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(files(&entry));
        } else {
            found.insert(entry.display().to_string(), std::fs::read(&entry).unwrap());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_an_archive_is_refused_and_not_changed() {
    let app = TestApp::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine");
    for (path, text) in [("unfinished/novel/ch1.txt", "text"), ("lock", "text"), ("chunks/ab/abc", "x")] {
        let path = mine.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let before = files(&mine);
    let at = [("GLIMPSE_URL", app.url.as_str())];
    let refused = glimpse(&at, &["backup", mine.to_str().unwrap(), "--keep", "1"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("is not an archive of backups"), "{}", stderr(&refused));
    assert_eq!(files(&mine), before);
    for arguments in [&["backup", ""][..], &["backup", "list", ""], &["restore", ""]] {
        let refused = glimpse(&at, arguments).await;
        assert_eq!(refused.status.code(), Some(2), "{arguments:?} {}", stderr(&refused));
    }

    let archive = folder.path().join("archive");
    std::fs::create_dir(&archive).unwrap();
    std::fs::set_permissions(&archive, std::fs::Permissions::from_mode(0o755)).unwrap();
    back_up(&app.url, &archive, &[]).await;
    assert_eq!(archive.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_created_if_the_service_refuses_the_backup() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", "the-key-of-a-test")]).await;
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let variables = [("GLIMPSE_URL", app.url.as_str()), ("GLIMPSE_API_KEY", "another-key-of-a-test")];
    let refused = glimpse(&variables, &["backup", archive.to_str().unwrap()]).await;
    assert!(stderr(&refused).contains("does not accept the API key"), "{}", stderr(&refused));
    assert!(!archive.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_prints_how_many_keys_are_valid_again() {
    let app = TestApp::start().await;
    let (archive, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (status, key) = app.post("/keys", json!({"name": "first", "role": "admin"})).await;
    assert_eq!(status, 201, "{key}");
    let key = key["key"].as_str().unwrap();
    let variables = [("GLIMPSE_URL", app.url.as_str()), ("GLIMPSE_API_KEY", key)];
    let made = glimpse(&variables, &["backup", archive.path().to_str().unwrap()]).await;
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let restored = restore(archive.path(), data.path(), &[]).await;
    let text = stdout(&restored);
    assert!(text.contains("valid now: 1.") && text.contains("revoked after the backup are valid again"), "{text}");
}
