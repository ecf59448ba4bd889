//! An archive in a folder. Only its owner can read it, because a backup contains secrets.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use uuid::Uuid;

use super::{ArchiveError, ArchiveStore, CHUNKS, MANIFESTS};

/// The folder of files that are being written.
const UNFINISHED: &str = "unfinished";

/// An archive in a folder. Clones share it.
#[derive(Clone, Debug)]
pub struct FolderArchive {
    root: PathBuf,
    /// Held by the command that writes.
    _lock: Option<Arc<File>>,
}

impl FolderArchive {
    /// Opens an archive to read it.
    pub fn open(root: &Path) -> Self {
        Self { root: root.to_owned(), _lock: None }
    }

    /// Opens or creates an archive to write to it. One process can do this at a time. Removes what a killed process left.
    ///
    /// # Errors
    /// Returns [`ArchiveError`] if another process writes to it, or if the folder cannot be used.
    pub fn open_to_write(root: &Path) -> Result<Self, ArchiveError> {
        let unfinished = root.join(UNFINISHED);
        create_folder(&unfinished).map_err(ArchiveError::from_file(root))?;
        let lock = new_file(&root.join("lock")).map_err(ArchiveError::from_file(root.join("lock")))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ArchiveError::Locked(root.to_owned())),
            Err(TryLockError::Error(error)) => return Err(ArchiveError::from_file(root)(error)),
        }
        let clear = || fs::remove_dir_all(&unfinished).and_then(|()| create_folder(&unfinished));
        clear().map_err(ArchiveError::from_file(&unfinished))?;
        Ok(Self { root: root.to_owned(), _lock: Some(Arc::new(lock)) })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (unfinished, target) = (self.root.join(UNFINISHED).join(Uuid::now_v7().to_string()), self.path(name));
        let folder = target.parent().unwrap_or(&self.root);
        create_folder(folder)?;
        let mut file = new_file(&unfinished)?;
        file.write_all(bytes)?;
        // Before the rename: a chunk that has its name and its size is not written again.
        file.sync_all()?;
        if !name.starts_with(MANIFESTS) {
            return fs::rename(unfinished, &target);
        }
        // The names of all chunks, before that of a manifest.
        sync_all(&self.root)?;
        fs::rename(unfinished, &target)?;
        sync_folder(folder)
    }

    /// Returns the names of the files below `folder`, which has files or folders of files.
    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in entries(&self.path(folder))? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            names.push(format!("{}/{name}", folder.trim_end_matches('/')));
        }
        Ok(names)
    }
}

/// Returns the entries of a folder; none if it does not exist.
fn entries(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(error) => Err(error),
    }
}

pub(super) fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

pub(super) fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Returns when the names in a folder are on the disk.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Returns when everything in the file system of a folder is on the disk: one call in place of one for each file.
pub(super) fn sync_all(folder: &Path) -> io::Result<()> {
    let folder = File::open(folder)?;
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&folder)?;
    #[cfg(not(target_os = "linux"))]
    {
        rustix::fs::sync();
    }
    folder.sync_all()
}

async fn blocking<T: Send + 'static>(
    path: PathBuf,
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ArchiveError> {
    let done = tokio::task::spawn_blocking(call).await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    done.map_err(ArchiveError::from_file(path))
}

#[async_trait]
impl ArchiveStore for FolderArchive {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<String, ArchiveError>> {
        let read = move |folder: String| {
            let archive = self.clone();
            blocking(self.path(&folder), move || archive.names(&folder))
        };
        let (has_folders, first) = (prefix == CHUNKS, read(prefix.to_owned()));
        let names = stream::once(first).flat_map(move |names| match names {
            Ok(folders) if has_folders => stream::iter(folders).then(read).boxed(),
            names => stream::iter([names]).boxed(),
        });
        names
            .flat_map(|names| match names {
                Ok(names) => stream::iter(names.into_iter().map(Ok)).boxed(),
                Err(error) => stream::iter([Err(error)]).boxed(),
            })
            .boxed()
    }

    async fn exists(&self, name: &str, size: u64) -> Result<bool, ArchiveError> {
        let path = self.path(name);
        blocking(path.clone(), move || match path.metadata() {
            Ok(file) => Ok(file.len() == size),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        })
        .await
    }

    async fn read(&self, name: &str) -> Result<Option<Bytes>, ArchiveError> {
        let path = self.path(name);
        blocking(path.clone(), move || match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    async fn write(&self, name: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        let (archive, owned) = (self.clone(), name.to_owned());
        blocking(self.path(name), move || archive.write_file(&owned, &bytes)).await
    }

    async fn remove(&self, name: &str) -> Result<(), ArchiveError> {
        let path = self.path(name);
        blocking(path.clone(), move || match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use futures::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn files_are_written_whole_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a/archive");
        let archive = FolderArchive::open_to_write(&root).unwrap();
        assert!(matches!(FolderArchive::open_to_write(&root), Err(ArchiveError::Locked(_))));
        for name in ["chunks/ab/abc", "chunks/cd/cde", "manifests/x.json"] {
            archive.write(name, Bytes::from_static(b"text")).await.unwrap();
        }
        fs::write(root.join(UNFINISHED).join("left"), "x").unwrap();
        let mut names: Vec<String> = archive.list(CHUNKS).try_collect().await.unwrap();
        names.sort();
        assert_eq!(names, ["chunks/ab/abc", "chunks/cd/cde"]);
        let names: Vec<String> = archive.list("manifests/").try_collect().await.unwrap();
        assert_eq!(names, ["manifests/x.json"]);
        assert!(
            archive.exists("chunks/ab/abc", 4).await.unwrap() && !archive.exists("chunks/ab/abc", 5).await.unwrap()
        );
        let mode = |path: &str| root.join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("chunks/ab"), mode("chunks/ab/abc")), (0o700, 0o700, 0o600));
        archive.remove("chunks/ab/abc").await.unwrap();
        archive.remove("chunks/ab/abc").await.unwrap();
        assert_eq!(archive.read("chunks/ab/abc").await.unwrap(), None);
        drop(archive);
        let archive = FolderArchive::open_to_write(&root).unwrap();
        assert_eq!(fs::read_dir(root.join(UNFINISHED)).unwrap().count(), 0);
        assert_eq!(archive.read("chunks/cd/cde").await.unwrap().unwrap(), "text");
    }
}
