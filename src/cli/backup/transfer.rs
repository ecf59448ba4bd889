//! Copies the files of a backup from the service to an archive.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;

use crate::api::replies::{BackupChunkReply, BackupChunksReply, BackupFileReply, BackupFilesReply};
use crate::archive::{ArchiveError, ArchiveStore, ArchivedFile, CHUNK_BYTES, ChunkIndex, Manifest, digest};
use crate::cli::client::Client;
use crate::cli::{CliError, out};

/// Files, and chunks of one file, that are copied at the same time.
const CONCURRENT: usize = 8;

/// What was copied.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Transferred {
    /// Bytes that the archive did not have.
    pub(super) new_bytes: u64,
    /// Chunks that the archive should have had, but were missing or damaged.
    pub(super) repaired_chunks: u64,
}

/// One backup on its way to an archive.
pub(super) struct Transfer<'a> {
    client: Client,
    chunks: ChunkIndex<'a>,
    id: &'a str,
    /// The immutable files of the newest backup in the archive, by their paths.
    known: HashMap<String, ArchivedFile>,
    bar: ProgressBar,
}

impl<'a> Transfer<'a> {
    /// With `verify`, chunks of the archive are read before they are used again.
    pub(super) async fn new(
        client: &Client,
        archive: &'a dyn ArchiveStore,
        id: &'a str,
        verify: bool,
    ) -> Result<Self, CliError> {
        let immutable = newest_files(archive).await?.into_iter().filter(|file| file.immutable);
        let known = immutable.map(|file| (file.path.clone(), file)).collect();
        let chunks = ChunkIndex::open(archive, verify).await?;
        Ok(Self { client: client.with_retries(), chunks, id, known, bar: out::spinner("files") })
    }

    pub(super) fn transferred(&self) -> Transferred {
        Transferred { new_bytes: self.chunks.new_bytes(), repaired_chunks: self.chunks.repaired() }
    }

    /// Copies all files.
    pub(super) async fn files(&self) -> Result<Vec<ArchivedFile>, CliError> {
        let (mut files, mut cursor) = (Vec::new(), None);
        loop {
            let query: Vec<(&str, String)> = cursor.map(|cursor| ("cursor", cursor)).into_iter().collect();
            let page: BackupFilesReply = self.client.get(&["backups", self.id, "files"], &query).await?.read()?;
            let copies = stream::iter(page.files).map(|file| self.copy(file)).buffered(CONCURRENT);
            files.extend(copies.try_collect::<Vec<_>>().await?);
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        self.bar.finish_and_clear();
        Ok(files)
    }

    async fn copy(&self, file: BackupFileReply) -> Result<ArchivedFile, CliError> {
        let BackupFileReply { path, size, immutable } = file;
        if let Some(known) = self.known.get(&path).filter(|known| immutable && known.size == size)
            && self.chunks.contains_file(known).await?
        {
            self.bar.inc(1);
            return Ok(known.clone());
        }
        let chunks = if immutable { self.copy_all(&path, size).await? } else { self.copy_changed(&path, size).await? };
        self.bar.inc(1);
        Ok(ArchivedFile { path, size, immutable, chunks })
    }

    /// Copies a file that no earlier backup has, or whose chunks are missing or damaged.
    async fn copy_all(&self, path: &str, size: u64) -> Result<Vec<String>, CliError> {
        let copies = stream::iter(0..size.div_ceil(CHUNK_BYTES)).map(|number| async move {
            let bytes = self.read(path, number, None).await?;
            let hash = digest(&bytes);
            let expected = (size - number * CHUNK_BYTES).min(CHUNK_BYTES);
            if bytes.len() as u64 != expected {
                return Err(wrong(path, format!("a chunk has {} bytes instead of {expected}", bytes.len())));
            }
            if !self.chunks.contains(&hash, expected).await? {
                self.chunks.write(&hash, bytes).await?;
            }
            Ok(hash)
        });
        copies.buffered(CONCURRENT).try_collect().await
    }

    /// Copies the chunks of a file that the archive does not have.
    async fn copy_changed(&self, path: &str, size: u64) -> Result<Vec<String>, CliError> {
        let (mut hashes, mut from) = (Vec::new(), Some(0));
        while let Some(first) = from {
            let query = [("path", path), ("from", &first.to_string())];
            let page: BackupChunksReply = self.client.get(&["backups", self.id, "chunks"], &query).await?.read()?;
            let copies = stream::iter((first..).zip(page.chunks)).map(|(number, chunk)| async move {
                let BackupChunkReply { sha256, size } = chunk;
                if !self.chunks.contains(&sha256, size).await? {
                    let bytes = self.read(path, number, Some(&sha256)).await?;
                    self.chunks.write(&sha256, bytes).await?;
                }
                Ok::<_, CliError>((sha256, size))
            });
            hashes.extend(copies.buffered(CONCURRENT).try_collect::<Vec<_>>().await?);
            from = page.next;
        }
        let found: u64 = hashes.iter().map(|(_, size)| size).sum();
        if found != size {
            return Err(wrong(path, format!("the chunks have {found} bytes instead of {size}")));
        }
        Ok(hashes.into_iter().map(|(hash, _)| hash).collect())
    }

    /// Reads a chunk, and compares it with its hash: that of the reply, or `expected`.
    async fn read(&self, path: &str, number: u64, expected: Option<&str>) -> Result<Bytes, CliError> {
        let query = [("path", path), ("number", &number.to_string())];
        let (headers, bytes) = self.client.read_bytes(&["backups", self.id, "content"], &query).await?;
        let sent = headers.get("content-digest").and_then(|value| value.to_str().ok());
        let sent = sent.and_then(|text| text.strip_prefix("sha-256=:")?.strip_suffix(':'));
        let sent = sent.and_then(|text| STANDARD.decode(text).ok()).map(hex::encode);
        let found = digest(&bytes);
        let is_expected = sent.as_ref() == Some(&found) && expected.is_none_or(|expected| expected == found);
        if is_expected { Ok(bytes) } else { Err(wrong(path, format!("chunk {number} does not match its hash"))) }
    }
}

/// Returns the files of the newest backup that can be read. A backup does not need an earlier one.
async fn newest_files(archive: &dyn ArchiveStore) -> Result<Vec<ArchivedFile>, CliError> {
    for name in Manifest::names(archive).await?.iter().rev() {
        match Manifest::read(archive, name).await {
            Ok(newest) => return Ok(newest.files),
            Err(ArchiveError::Manifest { problem, .. }) => {
                out::warnings(&[format!("the manifest {name} is damaged, and is not used: {problem}")]);
            }
            Err(error @ ArchiveError::Newer { .. }) => {
                out::warnings(&[format!("the manifest {name} is not used: {error}")]);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Vec::new())
}

/// Fails if this access key is the one that the embedded bucket of the service has made: then the archive would be in the
/// bucket that the backup copies.
pub(super) async fn check_other_bucket(client: &Client, id: &str, location: &str, key: &str) -> Result<(), CliError> {
    if !location.starts_with("s3://") || key.is_empty() {
        return Ok(());
    }
    let query = [("path", "s3/credentials.json"), ("number", "0")];
    let bytes = match client.read_bytes(&["backups", id, "content"], &query).await {
        Ok((_, bytes)) => bytes,
        // The service uses another bucket, or its settings have the pair.
        Err(CliError::Refused { status: 404, .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let pair: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if pair["access_key_id"] == key { Err(CliError::OwnBucket(location.to_owned())) } else { Ok(()) }
}

fn wrong(path: &str, problem: String) -> CliError {
    CliError::BackupChunk { path: path.to_owned(), problem }
}
