//! The manifest of one backup.

use std::collections::HashSet;

use bytes::Bytes;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::archived_file::{ArchivedFile, digest, is_hash};
use super::{ArchiveError, ArchiveStore, MANIFESTS};
use crate::domain::Timestamp;

/// The newest format of manifests that this program writes and reads.
pub const FORMAT: u64 = 1;
/// The file that each backup has.
const LEDGER: &str = "ledger.sqlite";
/// How far the clock of a service can be ahead: a manifest that is newer is not the newest backup, because the clock was
/// wrong.
const MAX_AHEAD_SECONDS: i64 = 24 * 60 * 60;

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of this manifest.
    pub format: u64,
    /// The version of the service.
    pub version: String,
    /// The version of the ledger.
    pub ledger_version: u64,
    /// The moment of the data.
    pub created_at: Timestamp,
    /// Whether it has the objects of the embedded bucket.
    pub objects: bool,
    /// What is not in it.
    pub left_out: Vec<String>,
    /// The files.
    pub files: Vec<ArchivedFile>,
}

/// What is read before the rest of a manifest.
#[derive(Deserialize)]
struct Head {
    format: u64,
    version: String,
}

impl Manifest {
    /// Returns the size of all files in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Returns the names of the manifests of an archive, the oldest first. Names sort in the order of time.
    ///
    /// # Errors
    /// Returns [`ArchiveError`] if the archive cannot be listed.
    pub async fn names(archive: &dyn ArchiveStore) -> Result<Vec<String>, ArchiveError> {
        let mut names: Vec<String> = archive.list(MANIFESTS).map_ok(|entry| entry.name).try_collect().await?;
        names.retain(|name| name.strip_suffix(".json").is_some());
        names.sort_unstable();
        Ok(names)
    }

    /// Returns the time in the name of a manifest; `None` if the name is not that of a manifest.
    pub fn time_in(name: &str) -> Option<Timestamp> {
        parse_name(name).map(|(created_at, _)| created_at)
    }

    /// Returns the newest manifest of `at` or earlier. Without `at`, those of the future are not counted, unless there are
    /// no others.
    ///
    /// # Errors
    /// Returns [`ArchiveError`] if there is none, or if it cannot be read.
    pub async fn find(archive: &dyn ArchiveStore, at: Option<Timestamp>) -> Result<Self, ArchiveError> {
        let names = Self::names(archive).await?;
        let newest = |until: Timestamp| {
            names.iter().rfind(|name| Self::time_in(name).is_some_and(|created_at| created_at <= until))
        };
        let latest = Timestamp::from_unix_seconds(Timestamp::now().unix_seconds() + MAX_AHEAD_SECONDS);
        let found = match at.or(latest).and_then(newest) {
            None if at.is_none() => names.last(),
            found => found,
        };
        match (found, at) {
            (Some(name), _) => Self::read(archive, name).await,
            (None, Some(at)) if !names.is_empty() => Err(ArchiveError::NoneBefore { location: archive.location(), at }),
            (None, _) => Err(ArchiveError::Empty(archive.location())),
        }
    }

    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// Returns [`ArchiveError`] if it cannot be read, is damaged, or has a newer format.
    pub async fn read(archive: &dyn ArchiveStore, name: &str) -> Result<Self, ArchiveError> {
        let damaged = |problem: &str| ArchiveError::Manifest { name: name.to_owned(), problem: problem.to_owned() };
        let (created_at, hash) = parse_name(name).ok_or_else(|| damaged("its name is not that of a manifest"))?;
        let bytes = match archive.read(name).await {
            Err(ArchiveError::NotAFile(_)) => return Err(damaged("it is not a regular file")),
            bytes => bytes?.ok_or_else(|| damaged("it does not exist"))?,
        };
        if digest(&bytes) != hash {
            return Err(damaged("its content does not match the SHA-256 in its name"));
        }
        match Self::parse(&bytes) {
            Ok(manifest) if manifest.created_at != created_at => Err(damaged("its name has another time")),
            Ok(manifest) => Ok(manifest),
            Err(Invalid::Newer(format, version)) => {
                Err(ArchiveError::Newer { version, what: "format", found: format, supported: FORMAT })
            }
            Err(Invalid::Damaged(problem)) => Err(damaged(&problem)),
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let damaged = |error: serde_json::Error| Invalid::Damaged(error.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(damaged)?;
        if head.format > FORMAT {
            return Err(Invalid::Newer(head.format, head.version));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        match manifest.problem() {
            Some(problem) => Err(Invalid::Damaged(problem)),
            None => Ok(manifest),
        }
    }

    /// Returns why it cannot be restored.
    fn problem(&self) -> Option<String> {
        if let Some(problem) = self.files.iter().find_map(ArchivedFile::problem) {
            return Some(problem);
        }
        let mut paths = HashSet::with_capacity(self.files.len());
        if let Some(file) = self.files.iter().find(|file| !paths.insert(file.path.as_str())) {
            return Some(format!("it has the path {} twice", file.path));
        }
        let is_below_file = |path: &str| path.match_indices('/').any(|(at, _)| paths.contains(&path[..at]));
        if let Some(file) = self.files.iter().find(|file| is_below_file(&file.path)) {
            return Some(format!("the path {} is below a file", file.path));
        }
        (!paths.contains(LEDGER)).then(|| format!("it does not have the file {LEDGER}"))
    }

    /// Writes the manifest, and returns its name. Its chunks must have been written before.
    ///
    /// # Errors
    /// Returns [`ArchiveError`] if it could not be restored, or cannot be written.
    pub async fn write(&self, archive: &dyn ArchiveStore) -> Result<String, ArchiveError> {
        if let Some(problem) = self.problem() {
            return Err(ArchiveError::Unusable(problem));
        }
        let bytes = serde_json::to_vec(self).map_err(|error| ArchiveError::Unusable(error.to_string()))?;
        let name = format!("{MANIFESTS}{}.{}.json", self.created_at, digest(&bytes));
        archive.write(&name, Bytes::from(bytes)).await?;
        Ok(name)
    }
}

/// Why bytes are not a manifest.
#[derive(Debug)]
enum Invalid {
    Newer(u64, String),
    Damaged(String),
}

/// Returns the time and the hash in the name of a manifest.
fn parse_name(name: &str) -> Option<(Timestamp, &str)> {
    let (time, hash) = name.strip_prefix(MANIFESTS)?.strip_suffix(".json")?.rsplit_once('.')?;
    Some((Timestamp::parse(time).ok()?, hash)).filter(|_| is_hash(hash))
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use super::*;
    use crate::archive::FolderArchive;

    pub(in crate::archive) fn manifest(seconds: i64, files: &[(&str, &[u8])]) -> Manifest {
        let file = |(path, bytes): &(&str, &[u8])| ArchivedFile {
            path: (*path).to_owned(),
            size: bytes.len() as u64,
            immutable: false,
            chunks: bytes.chunks(1 << 20).map(digest).collect(),
        };
        let ledger: &[(&str, &[u8])] = &[(LEDGER, b"")];
        let ledger = ledger.iter().filter(|_| files.iter().all(|(path, _)| *path != LEDGER));
        Manifest {
            format: FORMAT,
            version: "0.0.0".to_owned(),
            ledger_version: 1,
            created_at: Timestamp::from_unix_seconds(seconds).unwrap(),
            objects: true,
            left_out: Vec::new(),
            files: files.iter().chain(ledger).map(file).collect(),
        }
    }

    #[test]
    fn a_manifest_that_cannot_be_restored_is_refused() {
        let large = vec![7; 3 << 20];
        let valid = manifest(0, &[("a/b", &large), ("empty", b"")]);
        let written = serde_json::to_vec(&valid).unwrap();
        assert_eq!(Manifest::parse(&written).unwrap(), valid);
        let change = |change: fn(&mut Manifest)| {
            let mut manifest = valid.clone();
            change(&mut manifest);
            Manifest::parse(&serde_json::to_vec(&manifest).unwrap()).unwrap_err()
        };
        for (wrong, expected) in [
            (change(|m| m.files[0].path = "../a".to_owned()), "`../a`"),
            (change(|m| m.files[0].path = "/a".to_owned()), "`/a`"),
            (change(|m| m.files[0].path = String::new()), "``"),
            (change(|m| m.files[0].path = "restore.part/data/x".to_owned()), "`restore.part/data/x`"),
            (change(|m| m.files[0].path = "restore.done".to_owned()), "`restore.done`"),
            (change(|m| m.files[0].path = ".hidden/x".to_owned()), "`.hidden/x`"),
            (change(|m| m.files[0].path = "a\nb".to_owned()), "`a\\nb`"),
            (change(|m| m.files[0].path = "empty".to_owned()), "the path empty twice"),
            (change(|m| m.files[0].path = "empty/b".to_owned()), "the path empty/b is below a file"),
            (change(|m| m.files.truncate(2)), "does not have the file ledger.sqlite"),
            (change(|m| m.files.clear()), "does not have the file ledger.sqlite"),
            (change(|m| m.files[0].chunks[0] = "../../a".to_owned()), "not a SHA-256"),
            (change(|m| m.files[0].size += 1), "3 chunks instead of 4"),
        ] {
            assert!(matches!(&wrong, Invalid::Damaged(problem) if problem.contains(expected)), "{wrong:?}");
        }
        let newer = change(|m| m.format = FORMAT + 1);
        assert!(matches!(newer, Invalid::Newer(format, _) if format == FORMAT + 1));
    }

    #[tokio::test]
    async fn a_changed_character_of_a_manifest_or_of_its_name_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let archive = FolderArchive::open_to_write(folder.path()).await.unwrap();
        let backup = manifest(1, &[("s3/a", b"a")]);
        let name = backup.write(&archive).await.unwrap();
        assert_eq!(Manifest::find(&archive, None).await.unwrap(), backup);
        let path = folder.path().join(&name);
        let text = fs::read_to_string(&path).unwrap();
        for changed in [text.replacen("s3/a", "s3/b", 1), text.replacen("0.0.0", "0.0.1", 1), String::new()] {
            fs::write(&path, changed).unwrap();
            let message = Manifest::find(&archive, None).await.unwrap_err().to_string();
            assert!(message.contains(&name) && message.contains("is damaged: its content does not match"), "{message}");
        }
        fs::write(&path, text).unwrap();
        let renamed = name.replacen("1970", "1971", 1);
        fs::rename(&path, folder.path().join(&renamed)).unwrap();
        let message = Manifest::find(&archive, None).await.unwrap_err().to_string();
        assert!(message.contains(&renamed) && message.contains("another time"), "{message}");
        let mut unusable = backup.clone();
        unusable.files.pop();
        assert!(matches!(unusable.write(&archive).await, Err(ArchiveError::Unusable(_))));
    }

    #[tokio::test]
    async fn a_backup_of_the_future_is_not_the_newest_one() {
        let folder = tempfile::tempdir().unwrap();
        let archive = FolderArchive::open_to_write(folder.path()).await.unwrap();
        let future = manifest(4_070_908_800, &[]);
        future.write(&archive).await.unwrap();
        assert_eq!(Manifest::find(&archive, None).await.unwrap(), future, "it is the only one");
        let backup = manifest(1, &[]);
        backup.write(&archive).await.unwrap();
        assert_eq!(Manifest::find(&archive, None).await.unwrap(), backup);
        assert_eq!(Manifest::find(&archive, Some(future.created_at)).await.unwrap(), future);
    }
}
