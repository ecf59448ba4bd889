//! A cache of thumbnails and previews. They are files, so they survive a restart. The total size is
//! limited; the least recently used files are removed first.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use bytes::Bytes;

use crate::lock::lock;
use crate::owner_only;
use crate::telemetry::metrics::{Counter, counter, families};

/// The cache. Clones share one cache. Its calls block on the disk, so they must run on a thread that is allowed to
/// block.
#[derive(Clone, Debug)]
pub(super) struct ThumbnailCache(Arc<CacheState>);

#[derive(Debug)]
struct CacheState {
    folder: PathBuf,
    max_bytes: u64,
    files: Mutex<Files>,
    hits: Counter,
    misses: Counter,
}

#[derive(Debug, Default)]
struct Files {
    /// The size in bytes, and the value of `uses` at the last use.
    by_name: HashMap<String, (u64, u64)>,
    /// The names by the value of `uses` at the last use.
    by_use: BTreeMap<u64, String>,
    bytes: u64,
    uses: u64,
}

impl ThumbnailCache {
    /// Opens or creates the folder and reads its existing files.
    ///
    /// # Errors
    /// Fails if the folder cannot be created or read.
    pub(super) fn open(folder: &Path, max_bytes: u64) -> io::Result<Self> {
        owner_only::create_folder(folder, true)?;
        let mut found: Vec<(SystemTime, String, u64)> = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let (Ok(metadata), Ok(name)) = (entry.metadata(), entry.file_name().into_string()) else { continue };
            if name.ends_with(INCOMPLETE_SUFFIX) {
                std::fs::remove_file(entry.path()).ok();
            } else if metadata.is_file() {
                found.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), name, metadata.len()));
            }
        }
        found.sort();
        let mut files = Files::default();
        for (_, name, size) in found {
            files.record_use(name, size);
        }
        let [hits, misses] = ["hit", "miss"]
            .map(|outcome| counter!(families::CACHE_REQUESTS, "cache" => "thumbnail", "outcome" => outcome));
        let (folder, files) = (folder.to_owned(), Mutex::new(files));
        let cache = Self(Arc::new(CacheState { folder, max_bytes, files, hits, misses }));
        cache.shrink(&mut cache.files());
        Ok(cache)
    }

    /// Returns the bytes that are stored under this name. If the file cannot be read, the result is the same as for a
    /// missing file.
    pub(super) fn get(&self, name: &str) -> Option<Bytes> {
        let found = self.read(name);
        if found.is_some() { &self.0.hits } else { &self.0.misses }.increment(1);
        found
    }

    fn read(&self, name: &str) -> Option<Bytes> {
        let (size, _) = *self.files().by_name.get(name)?;
        match std::fs::read(self.0.folder.join(name)) {
            Ok(bytes) if bytes.len() as u64 == size => {
                self.files().record_use(name.to_owned(), size);
                Some(bytes.into())
            }
            _ => {
                self.files().remove(name);
                None
            }
        }
    }

    /// Whether a file with this name is stored.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.files().by_name.contains_key(name)
    }

    /// Stores bytes under a name. The write is atomic.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let incomplete = self.0.folder.join(format!("{name}.{}{INCOMPLETE_SUFFIX}", uuid::Uuid::now_v7().simple()));
        let written =
            std::fs::write(&incomplete, bytes).and_then(|()| std::fs::rename(&incomplete, self.0.folder.join(name)));
        if written.is_err() {
            // If the disk is full, this frees the space of the incomplete file.
            std::fs::remove_file(&incomplete).ok();
        }
        written?;
        let mut files = self.files();
        files.record_use(name.to_owned(), bytes.len() as u64);
        self.shrink(&mut files);
        Ok(())
    }

    fn shrink(&self, files: &mut Files) {
        while files.bytes > self.0.max_bytes {
            let Some((_, oldest)) = files.by_use.pop_first() else { return };
            files.remove(&oldest);
            std::fs::remove_file(self.0.folder.join(&oldest)).ok();
        }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        lock(&self.0.files)
    }
}

/// The suffix of a file that is not completely written yet.
const INCOMPLETE_SUFFIX: &str = ".half";

impl Files {
    fn record_use(&mut self, name: String, size: u64) {
        self.remove(&name);
        self.uses += 1;
        self.bytes += size;
        self.by_use.insert(self.uses, name.clone());
        self.by_name.insert(name, (size, self.uses));
    }

    fn remove(&mut self, name: &str) {
        if let Some((size, last_use)) = self.by_name.remove(name) {
            self.by_use.remove(&last_use);
            self.bytes -= size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_file_is_removed_first_and_files_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ThumbnailCache::open(folder.path(), 250).unwrap();
        for name in ["a", "b"] {
            cache.put(name, &[7; 100]).unwrap();
        }
        assert!(cache.get("a").is_some());
        cache.put("c", &[7; 100]).unwrap();
        assert!(cache.get("b").is_none() && cache.get("a").is_some() && cache.get("c").is_some());
        std::fs::write(folder.path().join("d.x.half"), "cut off").unwrap();
        let cache = ThumbnailCache::open(folder.path(), 250).unwrap();
        assert_eq!(cache.get("c").unwrap(), [7_u8; 100][..]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_damaged_or_missing_file_is_not_returned() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ThumbnailCache::open(folder.path(), 1000).unwrap();
        cache.put("a", b"whole").unwrap();
        std::fs::write(folder.path().join("a"), "cut").unwrap();
        assert!(cache.get("a").is_none());
        cache.put("a", b"again").unwrap();
        std::fs::remove_file(folder.path().join("a")).unwrap();
        assert!(cache.get("a").is_none() && cache.get("a").is_none());
    }
}
