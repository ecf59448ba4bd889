//! Stores the bytes of the objects of the embedded server. Each object has one file with a random name, which is stored
//! in the catalogue. A file is written once, under its final name, and never changed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream, StreamExt};
use md5::{Digest, Md5};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use uuid::Uuid;

use super::checksums::Expected;
use crate::owner_only;

/// Number of bytes that are read from a file at once.
const CHUNK_BYTES: usize = 512 * 1024;

type StdError = Box<dyn std::error::Error + Send + Sync>;

/// The folder of the files.
#[derive(Clone, Debug)]
pub(super) struct Files {
    folder: Arc<Path>,
    durable: bool,
}

/// The size in bytes and the MD5 digest of a written file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) size: u64,
    pub(super) md5: [u8; 16],
}

/// The reason why a body was not written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The client disconnected, or its signature does not match the bytes.
    Body(StdError),
    /// The body is larger than the limit.
    TooLarge,
    /// A disk operation failed.
    Disk(io::Error),
}

/// A body that can be written.
pub(super) trait Body: Stream<Item = Result<Bytes, StdError>> + Send + Unpin {}

impl<S: Stream<Item = Result<Bytes, StdError>> + Send + Unpin> Body for S {}

impl Files {
    pub(super) fn open(folder: &Path, durable: bool) -> io::Result<Self> {
        // There are 256 folders, so that no folder contains too many files.
        for branch in 0..=u8::MAX {
            owner_only::create_folder(&folder.join(hex::encode([branch])), true)?;
        }
        Ok(Self { folder: folder.into(), durable })
    }

    /// Returns a new unique file name.
    pub(super) fn new_name() -> String {
        Uuid::now_v7().simple().to_string()
    }

    /// Returns the path of a file. The folder depends on the last digits of the name, because they are random; the
    /// first digits are the time.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        let branch = name.get(name.len().saturating_sub(2)..).unwrap_or_default();
        self.folder.join(branch).join(name)
    }

    /// Removes a file, if it exists.
    pub(super) fn remove(&self, name: &str) {
        match std::fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, file = name, "a file of the embedded S3 server could not be removed");
            }
            _ => {}
        }
    }

    /// Writes a body to a new file.
    pub(super) async fn write(
        &self,
        name: &str,
        mut body: impl Body,
        limit: u64,
        expected: &mut Expected,
    ) -> Result<Written, WriteError> {
        let mut file = File::create_new(self.path(name)).await.map_err(WriteError::Disk)?;
        let (mut size, mut digest) = (0, Md5::new());
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(WriteError::Body)?;
            size += chunk.len() as u64;
            if size > limit {
                return Err(WriteError::TooLarge);
            }
            digest.update(&chunk);
            expected.update(&chunk);
            file.write_all(&chunk).await.map_err(WriteError::Disk)?;
        }
        // In both cases, the internal buffer of tokio must be empty before the catalogue commits.
        let flushed = if self.durable { file.sync_all().await } else { file.flush().await };
        flushed.map_err(WriteError::Disk)?;
        Ok(Written { size, md5: digest.finalize().into() })
    }

    /// Opens a file at an offset. An open file can be read to its end even if it is removed in the meantime.
    pub(super) async fn read(&self, name: &str, from: u64) -> io::Result<File> {
        let mut file = File::open(self.path(name)).await?;
        if from > 0 {
            file.seek(io::SeekFrom::Start(from)).await?;
        }
        Ok(file)
    }
}

/// Returns the next `left` bytes of a file, in chunks.
pub(super) fn chunks(file: File, left: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync {
    stream::unfold(Some((file, left)), |state| async move {
        let (mut file, left) = state.filter(|(_, left)| *left > 0)?;
        let wanted = usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        let mut chunk = BytesMut::with_capacity(wanted);
        file.set_max_buf_size(wanted);
        while chunk.len() < wanted {
            match (&mut file).take((wanted - chunk.len()) as u64).read_buf(&mut chunk).await {
                Ok(0) => return Some((Err(io::ErrorKind::UnexpectedEof.into()), None)),
                Ok(_) => {}
                Err(error) => return Some((Err(error), None)),
            }
        }
        let left = left - chunk.len() as u64;
        Some((Ok(chunk.freeze()), Some((file, left))))
    })
}
