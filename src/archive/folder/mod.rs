//! An archive in a folder. Only its owner can read it, because a backup contains secrets.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use uuid::Uuid;

use super::files::{create_folder, create_own_folder, give_to_owner, new_file, read_file, sync_all, sync_folder};
use super::{ArchiveEntry, ArchiveError, ArchiveStore, CHUNK_BYTES, CHUNKS, MANIFESTS, marker};

/// The folder of files that are being written.
const UNFINISHED: &str = "unfinished";
/// The marker while it is written.
const MARKER_PART: &str = "glimpse-archive.json.part";

/// An archive in a folder. Clones share it.
#[derive(Clone, Debug)]
pub struct FolderArchive {
    root: PathBuf,
    /// Held by the command that writes.
    _lock: Option<Arc<File>>,
}

impl FolderArchive {
    /// Opens an archive to read it, or to [claim](ArchiveStore::claim) it.
    pub fn open(root: &Path) -> Self {
        Self { root: root.to_owned(), _lock: None }
    }

    /// Opens or creates an archive to write to it.
    ///
    /// # Errors
    /// Returns [`ArchiveError`] as [`ArchiveStore::claim`] does.
    pub async fn open_to_write(root: &Path) -> Result<Self, ArchiveError> {
        let mut archive = Self::open(root);
        archive.claim().await?;
        Ok(archive)
    }

    /// Creates the folder, or makes it private, and writes the marker.
    fn mark(&self) -> Result<(), ArchiveError> {
        let root = &self.root;
        let mark = || {
            create_folder(root)?;
            if root.metadata()?.permissions().mode() & 0o077 != 0 {
                // Some file systems have no modes, and the folder can belong to another user. The files have the mode 0600.
                fs::set_permissions(root, fs::Permissions::from_mode(0o700)).ok();
            }
            if root.join(marker::MARKER).exists() {
                return Ok(());
            }
            let part = root.join(MARKER_PART);
            let mut file = new_file(&part)?;
            give_to_owner(&part, root)?;
            file.write_all(&marker::content())?;
            file.sync_all()?;
            fs::rename(part, root.join(marker::MARKER))?;
            sync_folder(root)
        };
        mark().map_err(ArchiveError::from_file(root))
    }

    /// Locks the archive, and removes what a killed process left.
    fn lock(&self) -> Result<File, ArchiveError> {
        let (path, unfinished) = (self.root.join("lock"), self.root.join(UNFINISHED));
        let lock = new_file(&path).map_err(ArchiveError::from_file(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ArchiveError::Locked(self.root.clone())),
            Err(TryLockError::Error(error)) => return Err(ArchiveError::from_file(path)(error)),
        }
        let clear = || {
            give_to_owner(&path, &self.root)?;
            create_own_folder(&unfinished, &self.root)?;
            fs::remove_dir_all(&unfinished)?;
            create_own_folder(&unfinished, &self.root)
        };
        clear().map_err(ArchiveError::from_file(&unfinished))?;
        Ok(lock)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (unfinished, target) = (self.root.join(UNFINISHED).join(Uuid::now_v7().to_string()), self.path(name));
        let folder = target.parent().unwrap_or(&self.root);
        create_own_folder(folder, &self.root)?;
        let mut file = new_file(&unfinished)?;
        give_to_owner(&unfinished, &self.root)?;
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

    /// Returns what is in a folder of the archive, or in the root.
    fn entries(&self, folder: &str) -> io::Result<Vec<ArchiveEntry>> {
        let mut found = Vec::new();
        for entry in entries(&self.path(folder))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // A new file system has `lost+found`.
            if folder.is_empty() && (name == "lost+found" || name == MARKER_PART) {
                continue;
            }
            let metadata = match entry.metadata() {
                // It was removed at this moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            let size = metadata.is_file().then_some(metadata.len());
            let folder = folder.trim_end_matches('/');
            let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            found.push(ArchiveEntry { name, size });
        }
        Ok(found)
    }

    /// Returns the chunks in one folder of chunks; none if it is a file.
    fn chunks(&self, folder: &str) -> io::Result<Vec<ArchiveEntry>> {
        if self.path(folder).is_dir() { self.entries(folder) } else { Ok(Vec::new()) }
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

    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ArchiveEntry, ArchiveError>> {
        let read = move |folder: String, in_chunks: bool| {
            let archive = self.clone();
            let read = move || if in_chunks { archive.chunks(&folder) } else { archive.entries(&folder) };
            blocking(self.root.clone(), read)
        };
        let (has_folders, first) = (prefix == CHUNKS, read(prefix.to_owned(), false));
        let entries = stream::once(first).flat_map(move |entries| match entries {
            Ok(folders) if has_folders => stream::iter(folders).then(move |folder| read(folder.name, true)).boxed(),
            entries => stream::iter([entries]).boxed(),
        });
        entries
            .flat_map(|entries| match entries {
                Ok(entries) => stream::iter(entries.into_iter().map(Ok)).boxed(),
                Err(error) => stream::iter([Err(error)]).boxed(),
            })
            .boxed()
    }

    async fn read(&self, name: &str) -> Result<Option<Bytes>, ArchiveError> {
        let path = self.path(name);
        let max_bytes = if name.starts_with(CHUNKS) { CHUNK_BYTES + 1 } else { u64::MAX };
        let read = tokio::task::spawn_blocking(move || read_file(&path, max_bytes));
        read.await.unwrap_or_else(|panic| Err(ArchiveError::from_file(&self.root)(io::Error::other(panic))))
    }

    /// Also makes the folder private, and locks it: one process can write at a time.
    async fn claim(&mut self) -> Result<(), ArchiveError> {
        self.check().await?;
        self.mark()?;
        *self = Self { root: self.root.clone(), _lock: Some(Arc::new(self.lock()?)) };
        Ok(())
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
mod tests;
