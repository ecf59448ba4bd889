//! What archives contain: incremental backups, old ones that are removed, damaged chunks, and archives in buckets.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{back_up, restore, restore_all};
use crate::cli::commands::{glimpse, stderr, stdout};
use crate::support::{TestApp, demo_image};

/// Returns the files of chunks, the largest first.
pub(super) fn chunks(archive: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(archive.join("chunks")).unwrap().map(|folder| folder.unwrap().path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()));
    let mut files: Vec<PathBuf> = files.collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.metadata().unwrap().len()));
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_backup_copies_what_is_new_and_old_ones_are_removed() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    app.ingest().await;
    let (archive, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = archive.path().join("archive");
    let first = back_up(&app.url, &root, &[]).await;
    assert_eq!(first["bytes"], first["new_bytes"]);
    app.put("images/other.jpg", [demo_image("cat.jpg"), b"other".to_vec()].concat()).await;
    let second = back_up(&app.url, &root, &[]).await;
    let (before, new) = (first["new_bytes"].as_u64().unwrap(), second["new_bytes"].as_u64().unwrap());
    assert!(new > 0 && new * 2 < before, "{first} {second}");
    assert_eq!(second["files"].as_u64(), first["files"].as_u64().map(|files| files + 1));
    let third = back_up(&app.url, &root, &[]).await;
    assert!(
        third["new_bytes"].as_u64() <= second["new_bytes"].as_u64() && third["files"] == second["files"],
        "{third}"
    );

    let all = chunks(&root).len();
    let kept = back_up(&app.url, &root, &["--keep", "2", "--without-objects"]).await;
    assert_eq!(
        (kept["removed_backups"].as_u64(), &kept["left_out"][0]),
        (Some(2), &"the objects of the bucket".into())
    );
    let removed = usize::try_from(kept["removed_chunks"].as_u64().unwrap()).unwrap();
    assert!(removed > 0 && chunks(&root).len() < all + 2, "{kept}");
    let list = glimpse(&[], &["backup", "list", root.to_str().unwrap(), "--json"]).await;
    let list: Value = serde_json::from_str(&stdout(&list)).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 2, "{list}");
    assert_eq!((&list[0]["created_at"], &list[1]["objects"]), (&third["created_at"], &false.into()));
    let table = glimpse(&[], &["backup", "list", root.to_str().unwrap()]).await;
    assert!(stdout(&table).contains("the objects of the bucket"), "{}", stdout(&table));

    // The older of the two is complete.
    let at = third["created_at"].as_str().unwrap();
    let restored = restore(&root, data.path(), &["--at", at]).await;
    assert_eq!(restored.status.code(), Some(0), "{}", stderr(&restored));
    let folder = app.stop().await;
    let objects = |data: &Path| {
        let folders = std::fs::read_dir(data.join("s3/objects")).unwrap().map(|folder| folder.unwrap().path());
        folders.map(|folder| std::fs::read_dir(folder).unwrap().count()).sum::<usize>()
    };
    assert_eq!(objects(data.path()), objects(folder.path()));
    let too_early = restore(&root, data.path(), &["--at", "2020-01-01T00:00:00Z"]).await;
    assert!(stderr(&too_early).contains("glimpse backup list"), "{}", stderr(&too_early));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_chunk_is_named_and_a_folder_with_data_or_a_service_is_refused() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    let (archive, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    back_up(&app.url, archive.path(), &[]).await;
    let running = restore(archive.path(), app.data(), &[]).await;
    assert!(
        stderr(&running).contains("has the data of a running service or of another restore"),
        "{}",
        stderr(&running)
    );
    let folder = app.stop().await;
    let full = restore(archive.path(), folder.path(), &[]).await;
    assert!(stderr(&full).contains("is not empty"), "{}", stderr(&full));

    let checked = restore(archive.path(), data.path(), &["--check"]).await;
    assert!(checked.status.success() && stdout(&checked).contains("0 damaged"), "{}", stdout(&checked));
    let (damaged, missing) = (&chunks(archive.path())[0], &chunks(archive.path())[1]);
    let mut bytes = std::fs::read(damaged).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(damaged, bytes).unwrap();
    std::fs::remove_file(missing).unwrap();
    let checked = restore(archive.path(), data.path(), &["--check"]).await;
    let text = stdout(&checked);
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(checked.status.code(), Some(1));
    assert!(text.contains("2 damaged") && text.contains(&name(damaged)) && text.contains(&name(missing)), "{text}");
    let refused = restore(archive.path(), data.path(), &[]).await;
    let message = stderr(&refused);
    assert!(
        refused.status.code() == Some(1)
            && message.contains("of the file ")
            && message.contains("nothing was restored")
    );
    let left: Vec<_> = std::fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["service.lock"]);
    std::fs::write(data.path().join("unknown"), "").unwrap();
    let other = glimpse(&[], &["restore", data.path().to_str().unwrap()]).await;
    assert!(stderr(&other).contains("has no backup"), "{}", stderr(&other));
    let missing = data.path().join("missing");
    for command in [&["restore"][..], &["backup", "list"]] {
        let refused = glimpse(&[], &[command, &[missing.to_str().unwrap()]].concat()).await;
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains("missing does not exist"), "{}", stderr(&refused));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_can_be_in_a_bucket_but_not_in_the_one_that_is_copied() {
    let (app, bucket) = (TestApp::start().await, TestApp::start().await);
    app.seed_demo().await;
    app.ingest().await;
    let credentials = bucket.bucket_credentials();
    let mut variables = vec![("GLIMPSE_URL", app.url.as_str()), ("S3_ENDPOINT", bucket.bucket_url())];
    variables.extend(credentials.iter().map(|(name, value)| (*name, value.as_str())));
    let place = "s3://pipeline/backups/a/";
    let refused = glimpse(&variables[..1], &["backup", place]).await;
    assert!(stderr(&refused).contains("S3_ENDPOINT"), "{}", stderr(&refused));
    bucket.put("other/notes.txt", "text").await;
    let mine = glimpse(&variables, &["backup", "s3://pipeline/other"]).await;
    assert!(stderr(&mine).contains("is not an archive of backups: it has `notes.txt`"), "{}", stderr(&mine));
    let own = app.bucket_credentials();
    let mut of_service = vec![("GLIMPSE_URL", app.url.as_str()), ("S3_ENDPOINT", app.bucket_url())];
    of_service.extend(own.iter().map(|(name, value)| (*name, value.as_str())));
    let own = glimpse(&of_service, &["backup", place]).await;
    assert!(stderr(&own).contains("is in the embedded bucket of the service"), "{}", stderr(&own));
    let mut new = Vec::new();
    for _ in 0..2 {
        let output = glimpse(&variables, &["backup", place, "--keep", "1", "--json"]).await;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let done: Value = serde_json::from_str(&stdout(&output)).unwrap();
        new.push(done["new_bytes"].as_u64().unwrap());
    }
    assert!(new[0] > 0 && new[1] * 2 < new[0], "{new:?}");
    let data = tempfile::tempdir().unwrap();
    variables.push(("GLIMPSE_DATA_DIR", data.path().to_str().unwrap()));
    let list = glimpse(&variables, &["backup", "list", "s3://pipeline/backups/a", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&stdout(&list)).unwrap().as_array().unwrap().len(), 1);
    let restored = glimpse(&variables, &["restore", "s3://pipeline/backups/a"]).await;
    assert_eq!(restored.status.code(), Some(0), "{}", stderr(&restored));
    app.stop().await;
    let app = TestApp::start_in(data, &[]).await;
    assert_eq!(app.find("a cat", 1).await, ["cat.jpg"]);
    let (_, verified) = app.post("/collections/documents/verify", serde_json::json!({})).await;
    assert_eq!(verified["total"], 0, "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_have_answered_is_restored() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    app.ingest().await;
    let (_, listed) = app.get("/images?limit=1").await;
    let id = listed["images"][0]["id"].as_str().unwrap().to_owned();
    let (status, reply) = app.delete(&format!("/images/{id}?permanently=true")).await;
    assert_eq!(status, 200, "{reply}");
    let (archive, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    back_up(&app.url, archive.path(), &[]).await;
    restore_all(archive.path(), data.path()).await;
    app.stop().await;
    let app = TestApp::start_in(data, &[]).await;
    let (_, removed) = app.get("/collections/documents/removed-images").await;
    assert_eq!(removed["removed_images"][0]["id"], id.as_str(), "{removed}");
    // The job does not index it again.
    assert_eq!(app.ingest().await.counts.done, 0);
}
