use std::os::unix::fs::{MetadataExt, PermissionsExt};

use futures::TryStreamExt;

use super::*;

#[tokio::test]
async fn files_are_written_whole_for_their_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a/archive");
    let archive = FolderArchive::open_to_write(&root).await.unwrap();
    assert!(matches!(FolderArchive::open_to_write(&root).await, Err(ArchiveError::Locked(_))));
    for name in ["chunks/ab/abc", "chunks/cd/cde", "manifests/x.json"] {
        archive.write(name, Bytes::from_static(b"text")).await.unwrap();
    }
    fs::write(root.join(UNFINISHED).join("left"), "x").unwrap();
    fs::write(root.join("chunks/stray"), "x").unwrap();
    let names = async |folder: &str| {
        let mut entries: Vec<ArchiveEntry> = archive.list(folder).try_collect().await.unwrap();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries.into_iter().map(|entry| (entry.name, entry.size)).collect::<Vec<_>>()
    };
    let file = |name: &str| (name.to_owned(), Some(4));
    assert_eq!(names(CHUNKS).await, [file("chunks/ab/abc"), file("chunks/cd/cde")]);
    assert_eq!(names("manifests/").await, [file("manifests/x.json")]);
    let mode = |path: &str| root.join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("chunks/ab"), mode("chunks/ab/abc")), (0o700, 0o700, 0o600));
    archive.remove("chunks/ab/abc").await.unwrap();
    archive.remove("chunks/ab/abc").await.unwrap();
    assert_eq!(archive.read("chunks/ab/abc").await.unwrap(), None);
    drop(archive);
    let archive = FolderArchive::open_to_write(&root).await.unwrap();
    assert_eq!(fs::read_dir(root.join(UNFINISHED)).unwrap().count(), 0);
    assert_eq!(archive.read("chunks/cd/cde").await.unwrap().unwrap(), "text");
}

#[tokio::test]
async fn what_root_writes_belongs_to_the_owner_of_the_archive() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(65_534), Some(65_534)).unwrap();
    let archive = FolderArchive::open_to_write(folder.path()).await.unwrap();
    for name in ["chunks/ab/abc", "manifests/x.json"] {
        archive.write(name, Bytes::from_static(b"text")).await.unwrap();
    }
    drop(archive);
    let (elsewhere, text) = (tempfile::tempdir().unwrap(), b"text".as_slice());
    let target = elsewhere.path().join("file");
    fs::write(&target, text).unwrap();
    for name in ["lock", UNFINISHED, "manifests", "chunks"] {
        let (path, aside) = (folder.path().join(name), folder.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        let linked = if name == "lock" { target.as_path() } else { elsewhere.path() };
        std::os::unix::fs::symlink(linked, &path).unwrap();
        let refused = match FolderArchive::open_to_write(folder.path()).await {
            Ok(archive) => {
                let name = if name == "chunks" { "chunks/cd/cde" } else { "manifests/y.json" };
                archive.write(name, Bytes::from_static(b"text")).await.is_err()
            }
            Err(_) => true,
        };
        assert!(refused && fs::read(&target).unwrap() == text, "{name}");
        fs::remove_file(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
    }
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    let written = ["lock", UNFINISHED, marker::MARKER, "chunks", "chunks/ab", "chunks/ab/abc", "manifests/x.json"];
    for name in written {
        let metadata = folder.path().join(name).metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (65_534, 65_534), "{name}");
    }
}

#[tokio::test]
async fn a_folder_of_a_user_is_not_changed_and_an_existing_archive_becomes_private() {
    let folder = tempfile::tempdir().unwrap();
    let (user, old) = (folder.path().join("mine"), folder.path().join("old"));
    fs::create_dir_all(user.join(UNFINISHED)).unwrap();
    fs::write(user.join("lock"), "text").unwrap();
    let refused = FolderArchive::open_to_write(&user).await.unwrap_err().to_string();
    assert!(refused.contains("is not an archive of backups") && refused.contains("Nothing was changed"), "{refused}");
    assert_eq!((fs::read_dir(&user).unwrap().count(), fs::read(user.join("lock")).unwrap()), (2, b"text".to_vec()));
    // Empty, or left by a process that was killed before the marker had its name.
    fs::create_dir_all(old.join("lost+found")).unwrap();
    fs::write(old.join(MARKER_PART), "{").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
    for _ in 0..2 {
        FolderArchive::open_to_write(&old).await.unwrap();
        assert_eq!(old.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
    fs::write(old.join(marker::MARKER), "{").unwrap();
    assert!(matches!(FolderArchive::open_to_write(&old).await, Err(ArchiveError::Marker { .. })));
}
