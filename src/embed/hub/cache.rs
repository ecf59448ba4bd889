//! The cache in the layout of Hugging Face's own tools, so that they can use our files and we can use theirs:
//! `hub/models--org--name/{refs/main, blobs/<etag>, snapshots/<commit>/<file> -> ../../blobs/<etag>}`, and locks under
//! `hub/.locks`.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::{HubError, Repo};

/// The cache in the folder `HF_HUB_CACHE`.
#[derive(Debug)]
pub(super) struct Cache {
    root: PathBuf,
}

impl Cache {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Returns the folder of a repository.
    pub(super) fn folder(&self, repo: &Repo) -> PathBuf {
        self.root.join(name(repo))
    }

    /// Returns the commit of the revision at its last download; `None` if it was not downloaded. A commit is its own
    /// revision.
    pub(super) fn commit(&self, repo: &Repo) -> Option<String> {
        let revision = repo.revision();
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let commit = std::fs::read_to_string(self.folder(repo).join("refs").join(revision)).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    pub(super) fn snapshot(&self, repo: &Repo, commit: &str) -> PathBuf {
        self.folder(repo).join("snapshots").join(commit)
    }

    pub(super) fn blob(&self, repo: &Repo, etag: &str) -> PathBuf {
        self.folder(repo).join("blobs").join(etag)
    }

    /// Writes the commit of the revision.
    pub(super) fn write_ref(&self, repo: &Repo, commit: &str) -> io::Result<()> {
        if is_commit(repo.revision()) {
            return Ok(());
        }
        let ref_file = self.folder(repo).join("refs").join(repo.revision());
        make_parent(&ref_file)?;
        let new = ref_file.with_extension(format!("{}.new", std::process::id()));
        std::fs::write(&new, commit)?;
        std::fs::rename(&new, &ref_file)
    }

    /// Links a blob into a snapshot under the name of the file.
    pub(super) fn link(&self, repo: &Repo, commit: &str, file: &str, etag: &str) -> io::Result<()> {
        let at = self.snapshot(repo, commit).join(file);
        if at.is_file() {
            return Ok(());
        }
        make_parent(&at)?;
        // Uses a temporary name for each process, because another process may do the same at this moment.
        let new = at.with_extension(format!("{}.new", std::process::id()));
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        make_link(&self.blob(repo, etag), file, &new)?;
        std::fs::rename(&new, &at)
    }

    /// Takes the lock of a blob; `None` while another process holds it. The operating system releases the lock if a
    /// process dies.
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

    pub(super) fn cache_error(&self, repo: &Repo, source: io::Error) -> HubError {
        HubError::Cache { folder: self.folder(repo), source }
    }
}

/// Whether the text is the name of a commit: forty hexadecimal digits.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn name(repo: &Repo) -> String {
    format!("models--{}", repo.id().replace('/', "--"))
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)
}

/// Makes a relative link, so that the whole cache can be moved and copied.
#[cfg(unix)]
fn make_link(blob: &Path, file: &str, at: &Path) -> io::Result<()> {
    let up = "../".repeat(2 + file.matches('/').count());
    let etag = blob.file_name().unwrap_or_default();
    std::os::unix::fs::symlink(Path::new(&up).join("blobs").join(etag), at)
}

#[cfg(not(unix))]
fn make_link(blob: &Path, _file: &str, at: &Path) -> io::Result<()> {
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
    fn a_snapshot_has_the_layout_of_the_hubs_own_tools() {
        let (folder, cache, repo) = cache();
        let blob = cache.blob(&repo, "abc");
        make_parent(&blob).unwrap();
        std::fs::write(&blob, "weights").unwrap();
        cache.link(&repo, COMMIT, "onnx/model.onnx", "abc").unwrap();
        cache.link(&repo, COMMIT, "onnx/model.onnx", "abc").unwrap();
        cache.write_ref(&repo, COMMIT).unwrap();
        let root = folder.path().join("hub/models--org--name");
        assert_eq!(std::fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
        let file = root.join("snapshots").join(COMMIT).join("onnx/model.onnx");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "weights");
        #[cfg(unix)]
        assert_eq!(std::fs::read_link(&file).unwrap(), Path::new("../../../blobs/abc"));
        assert_eq!(cache.commit(&repo).as_deref(), Some(COMMIT));
    }

    #[test]
    fn a_reference_that_is_not_a_commit_is_ignored() {
        let (_folder, cache, repo) = cache();
        assert_eq!(cache.commit(&repo), None);
        cache.write_ref(&repo, "../../elsewhere").unwrap();
        assert_eq!(cache.commit(&repo), None);
        let pinned: Repo = format!("org/name@{COMMIT}").parse().unwrap();
        assert_eq!(cache.commit(&pinned).as_deref(), Some(COMMIT));
    }

    #[test]
    fn only_one_holder_locks_a_blob() {
        let (_folder, cache, repo) = cache();
        let held = cache.try_lock(&repo, "abc").unwrap();
        assert!(held.is_some());
        assert!(cache.try_lock(&repo, "abc").unwrap().is_none());
        assert!(cache.try_lock(&repo, "def").unwrap().is_some());
        drop(held);
        assert!(cache.try_lock(&repo, "abc").unwrap().is_some());
    }
}
