//! Watches a folder, and uploads files that are new or changed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use notify::{Config, Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::upload::Uploader;
use super::{NewFile, files, in_folder};
use crate::cli::{CliError, out};
use crate::domain::image_format::has_image_extension;
use crate::lock::lock;

/// How often changed files are compared with their last state.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// How many checks in a row must find a file unchanged before it is uploaded: it may still be written.
const STABLE_CHECKS: u32 = 2;

/// Watches one folder. Changes since its start are recorded.
pub(super) struct Watcher {
    folder: PathBuf,
    prefix: String,
    changed: Arc<Mutex<Changed>>,
    /// Watches until it is dropped.
    _notify: RecommendedWatcher,
}

/// The files that have changed. There are at most as many as files in the folder.
#[derive(Debug, Default)]
struct Changed {
    files: HashMap<PathBuf, FileState>,
    /// Folders that are new, or in which changes were missed.
    folders: Vec<PathBuf>,
}

/// The last known state of a file that has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct FileState {
    /// The size and the time of the last change; `None` before the first check.
    last: Option<(u64, Option<SystemTime>)>,
    unchanged: u32,
}

impl Watcher {
    pub(super) fn start(folder: &Path, prefix: &str) -> Result<Self, CliError> {
        let unwatchable = |source: notify::Error| CliError::Watch { path: folder.to_owned(), source };
        let folder = folder.canonicalize().map_err(|source| CliError::File { path: folder.to_owned(), source })?;
        let changed = Arc::new(Mutex::new(Changed::default()));
        let (record, root) = (changed.clone(), folder.clone());
        let on_event = move |event: notify::Result<Event>| lock(&record).record(&root, event);
        // Links can lead to files outside the folder, and back into it.
        let config = Config::default().with_follow_symlinks(false);
        let mut watcher = RecommendedWatcher::new(on_event, config).map_err(unwatchable)?;
        watcher.watch(&folder, RecursiveMode::Recursive).map_err(unwatchable)?;
        Ok(Self { folder, prefix: prefix.to_owned(), changed, _notify: watcher })
    }

    /// Uploads files that change, until Ctrl-C.
    pub(super) async fn run(self, uploader: &Uploader) -> Result<(), CliError> {
        out::error_line(format_args!("watches {}; Ctrl-C ends this command", self.folder.display()));
        let watch = async {
            loop {
                tokio::time::sleep(CHECK_INTERVAL).await;
                // A new folder of the same name would not be watched.
                tokio::fs::metadata(&self.folder)
                    .await
                    .map_err(|source| CliError::File { path: self.folder.clone(), source })?;
                let changed = self.changed.clone();
                let ready = tokio::task::spawn_blocking(move || lock(&changed).take_ready()).await;
                for path in ready.map_err(|error| CliError::TaskPanicked(error.to_string()))? {
                    self.upload(uploader, path).await?;
                }
            }
        };
        tokio::select! {
            ended = watch => ended,
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(CliError::Signals),
        }
    }

    async fn upload(&self, uploader: &Uploader, path: PathBuf) -> Result<(), CliError> {
        let file: NewFile = in_folder(&self.folder, path, &self.prefix);
        match uploader.add(&file).await {
            Ok(result) => uploader.print_each(&result),
            // The service may come back: the file is uploaded again.
            Err(error) if error.is_temporary() => {
                out::error_line(format_args!("{}; tries again", error.chain()));
                lock(&self.changed).files.insert(file.path, FileState::default());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Changed {
    fn record(&mut self, root: &Path, event: notify::Result<Event>) {
        let event = match event {
            Ok(event) if !event.need_rescan() => event,
            // Changes were missed.
            Ok(_) | Err(_) => return self.add_folder(root.to_owned()),
        };
        if event.kind.is_access() || event.kind.is_remove() {
            return;
        }
        for path in event.paths {
            if has_image_extension(&path.to_string_lossy()) {
                self.files.insert(path, FileState::default());
            } else if event.kind.is_create() || event.kind.is_modify() {
                // If it is a folder, it can have files that were written before it was watched.
                self.add_folder(path);
            }
        }
    }

    fn add_folder(&mut self, folder: PathBuf) {
        if !self.folders.contains(&folder) {
            self.folders.push(folder);
        }
    }

    /// Returns the files that have not changed for a while, and forgets them.
    fn take_ready(&mut self) -> Vec<PathBuf> {
        for folder in std::mem::take(&mut self.folders) {
            // A file, or a folder that is gone, has nothing to list.
            let is_folder = std::fs::symlink_metadata(&folder).is_ok_and(|facts| facts.is_dir());
            for file in is_folder.then(|| files(&folder).unwrap_or_default()).into_iter().flatten() {
                if has_image_extension(&file.to_string_lossy()) {
                    self.files.entry(file).or_default();
                }
            }
        }
        let mut ready = Vec::new();
        self.files.retain(|path, state| {
            // Symbolic links are not followed, as in the listing of a folder.
            let Ok(facts) = std::fs::symlink_metadata(path) else { return false };
            if !facts.is_file() {
                return false;
            }
            let now = Some((facts.len(), facts.modified().ok()));
            if state.last == now {
                state.unchanged += 1;
            } else {
                *state = FileState { last: now, unchanged: 0 };
            }
            let is_ready = state.unchanged >= STABLE_CHECKS;
            if is_ready {
                ready.push(path.clone());
            }
            !is_ready
        });
        ready.sort();
        ready
    }
}

#[cfg(test)]
mod tests {
    use notify::EventKind;
    use notify::event::CreateKind;

    use super::*;

    fn created(path: &Path) -> Event {
        Event::new(EventKind::Create(CreateKind::Any)).add_path(path.to_owned())
    }

    #[test]
    fn a_file_is_ready_when_it_is_not_written_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        std::fs::write(&path, "1").unwrap();
        let mut changed = Changed::default();
        changed.record(folder.path(), Ok(created(&path)));
        assert!(changed.take_ready().is_empty());
        assert!(changed.take_ready().is_empty());
        std::fs::write(&path, "12").unwrap();
        for _ in 0..STABLE_CHECKS {
            assert!(changed.take_ready().is_empty());
        }
        assert_eq!(changed.take_ready(), std::slice::from_ref(&path));
        assert!(changed.take_ready().is_empty(), "only once");
        changed.record(folder.path(), Ok(created(&path)));
        std::fs::remove_file(&path).unwrap();
        assert!((0..5).all(|_| changed.take_ready().is_empty()) && changed.files.is_empty());
    }

    #[test]
    fn the_files_of_a_new_folder_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let sub = folder.path().join("sub");
        std::fs::create_dir(&sub).unwrap();
        for name in ["a.jpg", "b.txt"] {
            std::fs::write(sub.join(name), "1").unwrap();
        }
        let mut changed = Changed::default();
        changed.record(folder.path(), Ok(created(&sub)));
        let ready: Vec<PathBuf> = (0..5).flat_map(|_| changed.take_ready()).collect();
        assert_eq!(ready, [sub.join("a.jpg")]);
    }
}
