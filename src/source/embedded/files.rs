//! The bytes of the embedded server's objects: one file each, under a random name that only the catalogue
//! knows. A file is written once, under its final name, and never changed.

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

/// Bytes read from a file at once.
const CHUNK: usize = 512 * 1024;

type StdError = Box<dyn std::error::Error + Send + Sync>;

/// The folder of the files.
#[derive(Clone, Debug)]
pub(super) struct Files {
    folder: Arc<Path>,
    durable: bool,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) size: u64,
    pub(super) md5: [u8; 16],
}

/// Why a body was not written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The client broke off, or its signature does not fit its bytes.
    Body(StdError),
    /// More than the limit.
    TooLarge,
    /// The disk.
    Disk(io::Error),
}

/// Something to be written.
pub(super) trait Body: Stream<Item = Result<Bytes, StdError>> + Send + Unpin {}

impl<S: Stream<Item = Result<Bytes, StdError>> + Send + Unpin> Body for S {}

impl Files {
    pub(super) fn open(folder: &Path, durable: bool) -> io::Result<Self> {
        // 256 folders, so that none holds too many names.
        for branch in 0..=u8::MAX {
            std::fs::create_dir_all(folder.join(hex::encode([branch])))?;
        }
        Ok(Self { folder: folder.into(), durable })
    }

    /// A name that no file has.
    pub(super) fn new_name() -> String {
        Uuid::now_v7().simple().to_string()
    }

    /// Where a file lies. The last digits of a name are random, the first are the time.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        let branch = name.get(name.len().saturating_sub(2)..).unwrap_or_default();
        self.folder.join(branch).join(name)
    }

    /// Removes a file, if it is there.
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
        // Either way nothing may be left in tokio's own buffer when the catalogue commits.
        let done = if self.durable { file.sync_all().await } else { file.flush().await };
        done.map_err(WriteError::Disk)?;
        Ok(Written { size, md5: digest.finalize().into() })
    }

    /// Opens a file at an offset. What is open can be read to its end even if it is removed meanwhile.
    pub(super) async fn read(&self, name: &str, from: u64) -> io::Result<File> {
        let mut file = File::open(self.path(name)).await?;
        if from > 0 {
            file.seek(io::SeekFrom::Start(from)).await?;
        }
        Ok(file)
    }
}

/// The next `left` bytes of a file, in chunks.
pub(super) fn chunks(file: File, left: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync {
    stream::unfold(Some((file, left)), |state| async move {
        let (mut file, left) = state.filter(|(_, left)| *left > 0)?;
        let want = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        let mut chunk = BytesMut::with_capacity(want);
        file.set_max_buf_size(want);
        while chunk.len() < want {
            match (&mut file).take((want - chunk.len()) as u64).read_buf(&mut chunk).await {
                Ok(0) => return Some((Err(io::ErrorKind::UnexpectedEof.into()), None)),
                Ok(_) => {}
                Err(error) => return Some((Err(error), None)),
            }
        }
        let left = left - chunk.len() as u64;
        Some((Ok(chunk.freeze()), Some((file, left))))
    })
}
