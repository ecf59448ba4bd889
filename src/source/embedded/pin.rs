//! Pins the embedded bucket for a backup: its catalogue, its files and its credentials.
//!
//! A file is written once and never changed, so it is enough to keep the files that were in the catalogue at the moment
//! of the pin: while a pin exists, files that are replaced or deleted stay on the disk. They are removed after it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, Row};
use tokio::runtime::Handle;

use super::EmbeddedS3;
use super::catalogue::Catalogue;
use super::files::Files;
use super::secrets;
use crate::pinned::{self, Paused, Pin, PinnedFile, PinnedFiles, PinnedPart};
use crate::sqlite::SqliteError;

/// The name of the folder of the server in the data folder.
const FOLDER: &str = "s3";
const CATALOGUE: &str = "s3/catalogue.sqlite";
const OBJECTS: &str = "s3/objects/";

/// Pins a running server.
#[derive(Clone, Debug)]
pub struct BucketPin {
    catalogue: Catalogue,
    files: Files,
    folder: PathBuf,
}

impl EmbeddedS3 {
    /// Returns what pins the server for backups.
    pub fn bucket_pin(&self) -> BucketPin {
        self.pin.clone()
    }
}

impl BucketPin {
    pub(super) fn new(catalogue: Catalogue, files: Files, folder: PathBuf) -> Self {
        Self { catalogue, files, folder }
    }
}

#[async_trait]
impl Pin for BucketPin {
    /// Without `objects`, only the credentials are pinned.
    async fn pin(&self, objects: bool) -> Result<(PinnedPart, Option<Paused>), SqliteError> {
        let credentials = self.folder.join(secrets::FILE_NAME);
        if !objects {
            let files = PinnedBucket { credentials, objects: None };
            return Ok((PinnedPart { databases: Vec::new(), files: Box::new(files) }, None));
        }
        let catalogue = self.catalogue.clone();
        let pin = move || Ok((pinned::begin(catalogue.sqlite())?, catalogue.keep_files()));
        let ((connection, keep), paused) = pinned::pause(self.catalogue.sqlite(), pin).await?;
        let objects = PinnedObjects {
            files: self.files.clone(),
            catalogue: self.catalogue.clone(),
            keep: Some(keep),
            runtime: Handle::current(),
        };
        let files = PinnedBucket { credentials, objects: Some(objects) };
        let databases = vec![(CATALOGUE.to_owned(), connection)];
        Ok((PinnedPart { databases, files: Box::new(files) }, Some(paused)))
    }
}

struct PinnedBucket {
    credentials: PathBuf,
    objects: Option<PinnedObjects>,
}

struct PinnedObjects {
    files: Files,
    catalogue: Catalogue,
    /// While this exists, no file is removed. `None` only while it is dropped.
    keep: Option<Arc<()>>,
    runtime: Handle,
}

impl Drop for PinnedObjects {
    fn drop(&mut self) {
        self.keep = None;
        let catalogue = self.catalogue.clone();
        // If the server ends first, the next start removes them.
        self.runtime.spawn(async move {
            if let Err(error) = catalogue.remove_kept_files().await {
                tracing::warn!(%error, "files of deleted objects could not be removed; the next start removes them");
            }
        });
    }
}

/// The files of the objects, in the order of buckets and keys. The cursor is `bucket/key`; `None` is the file with the
/// credentials, and an empty cursor the first object.
impl PinnedFiles for PinnedBucket {
    fn page(&self, copies: &Path, cursor: Option<&str>, limit: usize) -> io::Result<(Vec<PinnedFile>, Option<String>)> {
        let Some(cursor) = cursor else {
            // The credentials can be settings; then the file does not exist.
            let file = self.credentials.metadata().ok().map(|file| PinnedFile {
                path: credentials_path(),
                size: file.len(),
                immutable: false,
            });
            return Ok((file.into_iter().collect(), self.objects.as_ref().map(|_| String::new())));
        };
        if self.objects.is_none() {
            return Ok((Vec::new(), None));
        }
        let objects = objects_after(&copies.join(CATALOGUE), cursor, limit).map_err(io::Error::other)?;
        let next = objects.last().filter(|_| objects.len() == limit).map(|(_, cursor)| cursor.clone());
        Ok((objects.into_iter().map(|(file, _)| file).collect(), next))
    }

    fn read(&self, path: &str, offset: u64, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let file = match (&self.objects, path.strip_prefix(OBJECTS)) {
            (Some(objects), Some(rest)) => match rest.split_once('/') {
                Some((_, name)) if is_file_name(name) && object_path(name) == path => objects.files.path(name),
                _ => return Ok(None),
            },
            _ if path == credentials_path() => self.credentials.clone(),
            _ => return Ok(None),
        };
        match File::open(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => pinned::read_at(&file?, offset, buffer).map(Some),
        }
    }
}

fn credentials_path() -> String {
    format!("{FOLDER}/{}", secrets::FILE_NAME)
}

/// Whether this can be the name of a file of an object: no path leads out of the folder.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn object_path(name: &str) -> String {
    let branch = name.get(name.len().saturating_sub(2)..).unwrap_or_default();
    format!("{OBJECTS}{branch}/{name}")
}

/// Returns the files of the objects after `bucket/key`, each with its cursor.
fn objects_after(catalogue: &Path, cursor: &str, limit: usize) -> rusqlite::Result<Vec<(PinnedFile, String)>> {
    // The copy does not change, and no file must appear beside it.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    // A URI has no relative path, which GLIMPSE_DATA_DIR can be.
    let absolute = std::path::absolute(catalogue).unwrap_or_else(|_| catalogue.to_owned());
    let uri = url::Url::from_file_path(absolute).map(|url| format!("{url}?immutable=1"));
    let uri = uri.map_err(|()| rusqlite::Error::InvalidPath(catalogue.to_owned()))?;
    let copy = Connection::open_with_flags(uri, flags)?;
    let (bucket, key) = cursor.split_once('/').unwrap_or((cursor, ""));
    let mut select = copy.prepare(
        "SELECT file, size, bucket, key FROM object WHERE (bucket, key) > (?1, ?2) ORDER BY bucket, key LIMIT ?3",
    )?;
    let object = |row: &Row<'_>| {
        let (name, bucket, key): (String, String, Vec<u8>) = (row.get(0)?, row.get(2)?, row.get(3)?);
        let file = PinnedFile { path: object_path(&name), size: row.get(1)?, immutable: true };
        Ok((file, format!("{bucket}/{}", String::from_utf8_lossy(&key))))
    };
    select.query_map((bucket, key.as_bytes(), limit), object)?.collect()
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::super::checksums::Expected;
    use super::super::objects::{Backend, ObjectAttributes};
    use super::*;

    async fn put(backend: &Backend, key: &str, bytes: &'static [u8]) {
        let body = stream::iter([Ok(bytes::Bytes::from_static(bytes))]);
        let (attributes, expected) = (ObjectAttributes::default(), Expected::default());
        backend.store("b".to_owned(), key.to_owned(), body, attributes, expected).await.unwrap();
    }

    #[tokio::test]
    async fn a_pinned_bucket_keeps_files_that_are_replaced_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(&folder.path().join("objects"), false).unwrap();
        let catalogue = Catalogue::open(&folder.path().join("catalogue.sqlite"), files.clone()).unwrap();
        catalogue.create_bucket("b".to_owned()).await.unwrap();
        let backend = Backend {
            catalogue: catalogue.clone(),
            files: files.clone(),
            max_object_bytes: 100,
            uploads: Arc::default(),
            refusal: Arc::default(),
        };
        for key in ["a", "b/é", "c"] {
            put(&backend, key, b"first").await;
        }
        let pin = BucketPin::new(catalogue.clone(), files.clone(), folder.path().to_owned());
        let (part, paused) = pin.pin(true).await.unwrap();
        assert!(paused.unwrap().release());
        let copies = tempfile::tempdir().unwrap();
        std::fs::create_dir(copies.path().join("s3")).unwrap();
        part.databases[0].1.backup("main", copies.path().join(CATALOGUE), None).unwrap();
        put(&backend, "a", b"second").await;
        put(&backend, "d", b"new").await;
        catalogue.delete("b".to_owned(), vec!["c".to_owned()]).await.unwrap();

        // GLIMPSE_DATA_DIR is relative by default.
        let to_root =
            std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect::<std::path::PathBuf>();
        let relative = to_root.join(copies.path().strip_prefix("/").unwrap());
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let (page, next) = part.files.page(&relative, cursor.as_deref(), 2).unwrap();
            found.extend(page);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found.len(), 3, "{found:?}");
        let on_disk = || found.iter().filter(|file| folder.path().join(&file.path[3..]).exists()).count();
        for file in &found {
            let mut bytes = [0; 5];
            assert_eq!(part.files.read(&file.path, 0, &mut bytes).unwrap(), Some(5));
            assert_eq!((&bytes, file.size, file.immutable), (b"first", 5, true));
        }
        assert_eq!(on_disk(), 3);
        assert_eq!(part.files.read("s3/objects/../../etc/passwd", 0, &mut [0]).unwrap(), None);
        drop(part);
        while on_disk() > 1 {
            tokio::task::yield_now().await;
        }
        let loose = |c: &mut Connection| c.query_row("SELECT count(*) FROM loose", (), |row| row.get::<_, u32>(0));
        catalogue.remove_kept_files().await.unwrap();
        assert_eq!(catalogue.sqlite().call(loose).await.unwrap(), 0);
    }
}
