//! Thumbnails that were made on request, as files: bounded in bytes, the least lately used go first, kept over a restart.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;

use crate::telemetry::metrics::{Counter, families};

/// The cache. Clones share it. Its calls wait for the disk: make them where that is allowed.
#[derive(Clone, Debug)]
pub(super) struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    max_bytes: u64,
    files: Mutex<Files>,
    hits: Counter,
    misses: Counter,
}

#[derive(Debug, Default)]
struct Files {
    /// Size and when it was last used, counted in uses.
    by_name: HashMap<String, (u64, u64)>,
    bytes: u64,
    uses: u64,
}

impl Cache {
    /// Opens or makes the folder and counts what is there.
    ///
    /// # Errors
    /// Where the folder cannot be made or read.
    pub(super) fn open(folder: &Path, max_bytes: u64) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut found: Vec<(SystemTime, String, u64)> = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let (Ok(about), Ok(name)) = (entry.metadata(), entry.file_name().into_string()) else { continue };
            if name.ends_with(HALF) {
                std::fs::remove_file(entry.path()).ok();
            } else if about.is_file() {
                found.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), name, about.len()));
            }
        }
        found.sort();
        let mut files = Files::default();
        for (_, name, size) in found {
            files.used(name, size);
        }
        let [hits, misses] = ["hit", "miss"].map(|outcome| families::CACHE_REQUESTS.labels(["thumbnail", outcome]));
        let (folder, files) = (folder.to_owned(), Mutex::new(files));
        let cache = Self(Arc::new(Inner { folder, max_bytes, files, hits, misses }));
        cache.shrink(&mut cache.files());
        Ok(cache)
    }

    /// The bytes of that name. Whatever goes wrong with the file, it is as if it were not there.
    pub(super) fn get(&self, name: &str) -> Option<Bytes> {
        let found = self.read(name);
        if found.is_some() { &self.0.hits } else { &self.0.misses }.increment(1);
        found
    }

    fn read(&self, name: &str) -> Option<Bytes> {
        let (size, _) = *self.files().by_name.get(name)?;
        match std::fs::read(self.0.folder.join(name)) {
            Ok(bytes) if bytes.len() as u64 == size => {
                self.files().used(name.to_owned(), size);
                Some(bytes.into())
            }
            _ => {
                self.files().forget(name);
                None
            }
        }
    }

    /// Keeps bytes under a name: whole, or not at all.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let half = self.0.folder.join(format!("{name}.{}{HALF}", uuid::Uuid::now_v7().simple()));
        let kept = std::fs::write(&half, bytes).and_then(|()| std::fs::rename(&half, self.0.folder.join(name)));
        if kept.is_err() {
            // A disk that is full gets back what the first part took.
            std::fs::remove_file(&half).ok();
        }
        kept?;
        let mut files = self.files();
        files.used(name.to_owned(), bytes.len() as u64);
        self.shrink(&mut files);
        Ok(())
    }

    fn shrink(&self, files: &mut Files) {
        while files.bytes > self.0.max_bytes {
            let oldest = files.by_name.iter().min_by_key(|(_, (_, used))| *used).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { return };
            files.forget(&oldest);
            std::fs::remove_file(self.0.folder.join(&oldest)).ok();
        }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a file is called that is not whole yet.
const HALF: &str = ".half";

impl Files {
    fn used(&mut self, name: String, size: u64) {
        self.forget(&name);
        self.uses += 1;
        self.bytes += size;
        self.by_name.insert(name, (size, self.uses));
    }

    fn forget(&mut self, name: &str) {
        if let Some((size, _)) = self.by_name.remove(name) {
            self.bytes -= size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_lately_used_goes_first_and_what_is_kept_outlives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 250).unwrap();
        for name in ["a", "b"] {
            cache.put(name, &[7; 100]).unwrap();
        }
        assert!(cache.get("a").is_some());
        cache.put("c", &[7; 100]).unwrap();
        assert!(cache.get("b").is_none() && cache.get("a").is_some() && cache.get("c").is_some());
        std::fs::write(folder.path().join("d.x.half"), "cut off").unwrap();
        let cache = Cache::open(folder.path(), 250).unwrap();
        assert_eq!(cache.get("c").unwrap(), [7_u8; 100][..]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_damaged_or_vanished_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 1000).unwrap();
        cache.put("a", b"whole").unwrap();
        std::fs::write(folder.path().join("a"), "cut").unwrap();
        assert!(cache.get("a").is_none());
        cache.put("a", b"again").unwrap();
        std::fs::remove_file(folder.path().join("a")).unwrap();
        assert!(cache.get("a").is_none() && cache.get("a").is_none());
    }
}
