//! Restores a backup into an empty data folder.
//!
//! Files are written to a folder in the data folder and are moved at the end. While that folder exists, the service
//! refuses to start; a second restore begins again, also if the first one was killed while it moved the files.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use futures::{StreamExt, TryStreamExt, stream};

use super::archived_file::ArchivedFile;
use super::check::read_chunk;
use super::files::{create_folder, new_file, sync_all, sync_folder};
use super::manifest::Manifest;
use super::{ArchiveError, ArchiveStore};

/// The folder of an unfinished restore, in the data folder.
pub const PART_FOLDER: &str = "restore.part";
/// Its name after the restore, until it is removed.
pub const DONE_FOLDER: &str = "restore.done";
/// In it: the files, as they will be in the data folder.
const STAGED: &str = "data";
/// In it: the names that are moved to the data folder, one in a line. It exists while they are moved.
const MOVING: &str = "moving";
/// Files that are restored at the same time, and chunks of one file that are read at the same time.
const CONCURRENT: usize = 8;

/// What was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Files.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Restores a backup into `data`, which must be empty apart from the file `lock`. The caller must hold its lock.
/// `ledger_version` is the newest ledger that this program supports.
///
/// # Errors
/// Returns [`ArchiveError`] if the folder is not empty or too small, if the backup is newer than this program, or if a
/// chunk is missing or damaged. Then nothing was restored.
pub async fn restore(
    archive: &dyn ArchiveStore,
    manifest: &Manifest,
    data: &Path,
    lock: &str,
    ledger_version: u64,
) -> Result<Restored, ArchiveError> {
    if manifest.ledger_version > ledger_version {
        let version = manifest.version.clone();
        let found = manifest.ledger_version;
        return Err(ArchiveError::Newer { version, what: "ledger version", found, supported: ledger_version });
    }
    if let Some(file) = manifest.files.iter().find(|file| file.path.split('/').next() == Some(lock)) {
        let problem = format!("the path `{}` is not allowed", file.path);
        return Err(ArchiveError::Manifest { name: manifest.created_at.to_string(), problem });
    }
    remove_unfinished(data)?;
    check_empty(data, lock)?;
    check_space(data, manifest.bytes())?;
    let part = data.join(PART_FOLDER);
    let staged = stage(archive, manifest, &part.join(STAGED)).await;
    if let Err(error) = staged {
        // If this fails, the next restore does it.
        fs::remove_dir_all(&part).ok();
        return Err(error);
    }
    move_all(data, &part).map_err(ArchiveError::from_file(data))?;
    Ok(Restored { files: manifest.files.len() as u64, bytes: manifest.bytes() })
}

/// Removes what an interrupted restore left in the data folder.
fn remove_unfinished(data: &Path) -> Result<(), ArchiveError> {
    let part = data.join(PART_FOLDER);
    let remove = || {
        if !part.exists() {
            return Ok(());
        }
        // The folder was empty before the restore, so these are the files of the backup.
        let moving = match fs::read_to_string(part.join(MOVING)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            moving => moving?,
        };
        // A line can be cut off if the system failed; then nothing was moved.
        for name in moving.lines().filter(|name| !name.is_empty() && !name.starts_with('.')) {
            remove_any(&data.join(name))?;
        }
        // The list of moved names is the last one to go: without it, they would be taken for data.
        remove_any(&part.join(STAGED))?;
        sync_folder(data)?;
        fs::remove_dir_all(&part)
    };
    remove().map_err(ArchiveError::from_file(&part))
}

fn remove_any(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn check_empty(data: &Path, lock: &str) -> Result<(), ArchiveError> {
    for entry in fs::read_dir(data).map_err(ArchiveError::from_file(data))? {
        let name = entry.map_err(ArchiveError::from_file(data))?.file_name();
        // A new file system has `lost+found`.
        if name != lock && name != "lost+found" {
            let found = name.to_string_lossy().into_owned();
            return Err(ArchiveError::NotEmpty { folder: data.to_owned(), found });
        }
    }
    Ok(())
}

fn check_space(data: &Path, needed: u64) -> Result<(), ArchiveError> {
    let space = rustix::fs::statvfs(data).map_err(|error| ArchiveError::from_file(data)(error.into()))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    if free < needed { Err(ArchiveError::NoSpace { folder: data.to_owned(), needed, free }) } else { Ok(()) }
}

/// Writes all files below `folder`, and returns when they are on the disk.
async fn stage(archive: &dyn ArchiveStore, manifest: &Manifest, folder: &Path) -> Result<(), ArchiveError> {
    create_folder(folder).map_err(ArchiveError::from_file(folder))?;
    let files = stream::iter(&manifest.files).map(|file| write_file(archive, file, folder.join(&file.path)));
    files.buffered(CONCURRENT).try_collect::<()>().await?;
    sync_all(folder).map_err(ArchiveError::from_file(folder))
}

async fn write_file(archive: &dyn ArchiveStore, file: &ArchivedFile, target: PathBuf) -> Result<(), ArchiveError> {
    let create = || {
        target.parent().map_or(Ok(()), create_folder)?;
        new_file(&target)
    };
    let mut written = create().map_err(ArchiveError::from_file(&target))?;
    let chunks = stream::iter(file.sized_chunks()).map(|(hash, size)| read_chunk(archive, &file.path, hash, size));
    let mut chunks = chunks.buffered(CONCURRENT);
    while let Some(chunk) = chunks.try_next().await? {
        written.write_all(&chunk.map_err(ArchiveError::Damaged)?).map_err(ArchiveError::from_file(&target))?;
    }
    Ok(())
}

/// Moves what is staged to the data folder.
fn move_all(data: &Path, part: &Path) -> io::Result<()> {
    let staged = part.join(STAGED);
    let names = fs::read_dir(&staged)?.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<io::Result<_>>()?;
    let mut moving = new_file(&part.join(MOVING))?;
    moving.write_all(names.join("\n").as_bytes())?;
    moving.sync_all()?;
    sync_folder(part)?;
    for name in &names {
        fs::rename(staged.join(name), data.join(name))?;
    }
    sync_folder(data)?;
    // In one step: from here on, the data folder belongs to the service.
    let done = data.join(DONE_FOLDER);
    fs::rename(part, &done)?;
    sync_folder(data)?;
    fs::remove_dir_all(done)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::manifest::tests::manifest;
    use super::super::{FolderArchive, chunk_name, digest};
    use super::*;

    const LOCK: &str = "service.lock";

    async fn archive(folder: &Path) -> (FolderArchive, Manifest) {
        let archive = FolderArchive::open_to_write(folder).await.unwrap();
        let long = vec![7; 3 << 20];
        for bytes in long.chunks(1 << 20).chain([&b"rows"[..]]) {
            archive.write(&chunk_name(&digest(bytes)), Bytes::copy_from_slice(bytes)).await.unwrap();
        }
        let backup = manifest(1, &[("ledger.sqlite", b"rows"), ("index/1.vectors", &long), ("index/2.vectors", b"")]);
        (archive, backup)
    }

    fn is_restored(data: &Path) -> bool {
        fs::read(data.join("ledger.sqlite")).is_ok_and(|bytes| bytes == b"rows")
            && data.join("index/1.vectors").metadata().is_ok_and(|file| file.len() == 3 << 20)
            && data.join("index/2.vectors").metadata().is_ok_and(|file| file.len() == 0)
            && !data.join(PART_FOLDER).exists()
            && !data.join(DONE_FOLDER).exists()
    }

    #[tokio::test]
    async fn a_backup_is_restored_into_an_empty_folder_only() {
        let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (archive, backup) = archive(folder.path()).await;
        fs::write(data.path().join(LOCK), "").unwrap();
        let restored = restore(&archive, &backup, data.path(), LOCK, 1).await.unwrap();
        assert_eq!(restored, Restored { files: 3, bytes: (3 << 20) + 4 });
        assert!(is_restored(data.path()));
        let again = restore(&archive, &backup, data.path(), LOCK, 1).await;
        assert!(matches!(again, Err(ArchiveError::NotEmpty { .. })), "{again:?}");
        let newer = restore(&archive, &Manifest { ledger_version: 2, ..backup.clone() }, data.path(), LOCK, 1).await;
        assert!(newer.unwrap_err().to_string().contains("ledger version 2; this version supports 1"));
        let wrong = manifest(1, &[("service.lock/x", b"")]);
        let wrong = restore(&archive, &wrong, data.path(), LOCK, 1).await.unwrap_err().to_string();
        assert!(wrong.contains("`service.lock/x` is not allowed"), "{wrong}");
    }

    #[tokio::test]
    async fn an_interrupted_restore_is_repeated_from_every_state() {
        let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (archive, backup) = archive(folder.path()).await;
        let part = data.path().join(PART_FOLDER);
        // Killed while files were staged.
        create_folder(&part.join(STAGED).join("index")).unwrap();
        restore(&archive, &backup, data.path(), LOCK, 1).await.unwrap();
        assert!(is_restored(data.path()));
        // Killed between two moves.
        create_folder(&part.join(STAGED)).unwrap();
        fs::rename(data.path().join("index"), part.join(STAGED).join("index")).unwrap();
        fs::write(part.join(MOVING), "index\nledger.sqlite").unwrap();
        restore(&archive, &backup, data.path(), LOCK, 1).await.unwrap();
        assert!(is_restored(data.path()));
    }

    #[tokio::test]
    async fn a_damaged_or_missing_chunk_is_named_and_nothing_is_restored() {
        let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (archive, backup) = archive(folder.path()).await;
        let chunk = chunk_name(&backup.files[0].chunks[0]);
        for state in ["damaged", "missing"] {
            match state {
                "damaged" => archive.write(&chunk, Bytes::from_static(b"rowt")).await.unwrap(),
                _ => archive.remove(&chunk).await.unwrap(),
            }
            let message = restore(&archive, &backup, data.path(), LOCK, 1).await.unwrap_err().to_string();
            let expected = format!("the chunk {chunk} of the file ledger.sqlite is {state}");
            assert!(message.contains(&expected), "{message}");
            assert_eq!(fs::read_dir(data.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_disk_that_is_too_small_is_reported_with_both_sizes() {
        let data = tempfile::tempdir().unwrap();
        let message = check_space(data.path(), u64::MAX).unwrap_err().to_string();
        assert!(message.contains(&u64::MAX.to_string()) && message.contains("bytes free"), "{message}");
    }
}
