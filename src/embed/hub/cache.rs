//! The cache as Hugging Face's own tools lay it out, so that they and we find each other's files:
//! `hub/models--org--name/{refs/main, blobs/<etag>, snapshots/<commit>/<file> -> ../../blobs/<etag>}`, and locks under
//! `hub/.locks`.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::{HubError, Repo};

/// The folder of `HF_HUB_CACHE`.
#[derive(Debug)]
pub(super) struct Cache {
    root: PathBuf,
}

impl Cache {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Of one repository.
    pub(super) fn folder(&self, repo: &Repo) -> PathBuf {
        self.root.join(name(repo))
    }

    /// The commit that the revision meant when it was fetched last; a commit means itself.
    pub(super) fn commit(&self, repo: &Repo) -> Option<String> {
        let revision = repo.revision();
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let noted = std::fs::read_to_string(self.folder(repo).join("refs").join(revision)).ok()?;
        Some(noted.trim().to_owned()).filter(|noted| is_commit(noted))
    }

    pub(super) fn snapshot(&self, repo: &Repo, commit: &str) -> PathBuf {
        self.folder(repo).join("snapshots").join(commit)
    }

    pub(super) fn blob(&self, repo: &Repo, etag: &str) -> PathBuf {
        self.folder(repo).join("blobs").join(etag)
    }

    /// Notes what the revision means.
    pub(super) fn refer(&self, repo: &Repo, commit: &str) -> io::Result<()> {
        if is_commit(repo.revision()) {
            return Ok(());
        }
        let note = self.folder(repo).join("refs").join(repo.revision());
        make_parent(&note)?;
        let new = note.with_extension(format!("{}.new", std::process::id()));
        std::fs::write(&new, commit)?;
        std::fs::rename(&new, &note)
    }

    /// Puts a blob into a snapshot under the file's name.
    pub(super) fn link(&self, repo: &Repo, commit: &str, file: &str, etag: &str) -> io::Result<()> {
        let at = self.snapshot(repo, commit).join(file);
        if at.is_file() {
            return Ok(());
        }
        make_parent(&at)?;
        // Through a name of its own: another process may do the same at this moment.
        let new = at.with_extension(format!("{}.new", std::process::id()));
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        point(&self.blob(repo, etag), file, &new)?;
        std::fs::rename(&new, &at)
    }

    /// The lock of one blob, that only one process at a time holds; `None` while another does. The operating system
    /// takes it back from a process that dies.
    pub(super) fn try_lock(&self, repo: &Repo, etag: &str) -> io::Result<Option<File>> {
        let path = self.root.join(".locks").join(name(repo)).join(format!("{etag}.lock"));
        make_parent(&path)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(super) fn trouble(&self, repo: &Repo, source: io::Error) -> HubError {
        HubError::Cache { folder: self.folder(repo), source }
    }
}

/// Files of a snapshot and of its folders, as the hub names them. The folders of a repository are few and not deep.
pub(super) fn names(snapshot: &Path) -> Vec<String> {
    const MAX_DEPTH: usize = 4;
    let mut names = Vec::new();
    let mut folders = vec![(String::new(), 0)];
    while let Some((place, depth)) = folders.pop() {
        for entry in std::fs::read_dir(snapshot.join(&place)).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = format!("{place}{name}");
            if entry.path().is_file() {
                names.push(name);
            } else if depth < MAX_DEPTH && entry.path().is_dir() {
                folders.push((format!("{name}/"), depth + 1));
            }
        }
    }
    names
}

/// A commit's name: forty hexadecimal digits.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn name(repo: &Repo) -> String {
    format!("models--{}", repo.id().replace('/', "--"))
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)
}

/// A relative link, so that the cache can be moved and copied whole.
#[cfg(unix)]
fn point(blob: &Path, file: &str, at: &Path) -> io::Result<()> {
    let up = "../".repeat(2 + file.matches('/').count());
    let etag = blob.file_name().unwrap_or_default();
    std::os::unix::fs::symlink(Path::new(&up).join("blobs").join(etag), at)
}

#[cfg(not(unix))]
fn point(blob: &Path, _file: &str, at: &Path) -> io::Result<()> {
    std::fs::hard_link(blob, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn cache() -> (tempfile::TempDir, Cache, Repo) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("hub"));
        (folder, cache, "org/name".parse().unwrap())
    }

    #[test]
    fn a_snapshot_is_laid_out_as_the_hubs_own_tools_do() {
        let (folder, cache, repo) = cache();
        let blob = cache.blob(&repo, "abc");
        make_parent(&blob).unwrap();
        std::fs::write(&blob, "weights").unwrap();
        cache.link(&repo, COMMIT, "onnx/model.onnx", "abc").unwrap();
        cache.link(&repo, COMMIT, "onnx/model.onnx", "abc").unwrap();
        cache.refer(&repo, COMMIT).unwrap();
        let root = folder.path().join("hub/models--org--name");
        assert_eq!(std::fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
        let file = root.join("snapshots").join(COMMIT).join("onnx/model.onnx");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "weights");
        #[cfg(unix)]
        assert_eq!(std::fs::read_link(&file).unwrap(), Path::new("../../../blobs/abc"));
        assert_eq!(cache.commit(&repo).as_deref(), Some(COMMIT));
    }

    #[test]
    fn a_reference_to_nothing_sensible_is_none() {
        let (_folder, cache, repo) = cache();
        assert_eq!(cache.commit(&repo), None);
        cache.refer(&repo, "../../elsewhere").unwrap();
        assert_eq!(cache.commit(&repo), None);
        let pinned: Repo = format!("org/name@{COMMIT}").parse().unwrap();
        assert_eq!(cache.commit(&pinned).as_deref(), Some(COMMIT));
    }

    #[test]
    fn a_blob_is_locked_by_one_at_a_time() {
        let (_folder, cache, repo) = cache();
        let held = cache.try_lock(&repo, "abc").unwrap();
        assert!(held.is_some());
        assert!(cache.try_lock(&repo, "abc").unwrap().is_none());
        assert!(cache.try_lock(&repo, "def").unwrap().is_some());
        drop(held);
        assert!(cache.try_lock(&repo, "abc").unwrap().is_some());
    }
}
