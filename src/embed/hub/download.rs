//! Downloads one file into the cache. Continues an incomplete download, verifies the checksum, and lets only one
//! process at a time write a file.

use std::io::{self, Read, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::fs::{self, File};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use super::cache::Cache;
use super::client::{Client, chain, unreachable};
use super::facts::{FileFacts, Size, limit};
use super::progress::Progress;
use super::{HubError, Repo};

/// Delays before the second and each later attempt. The first retry is immediate.
const RETRY_DELAYS: [Duration; 5] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// Maximum attempts for one file if each of them receives bytes. With ten megabytes each they are enough for the
/// largest file.
const MAX_ATTEMPTS: usize = 2_000;
/// Poll interval while another process downloads the file.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Minimum average rate of a download, after [`GRACE_PERIOD`]. A slower download is stopped; the next attempt continues
/// there.
const MIN_BYTES_PER_SECOND: u64 = 16 * 1024;
const GRACE_PERIOD: Duration = Duration::from_mins(10);

/// Retries `call` until it succeeds, fails with a permanent error, or has failed too often.
pub(super) async fn retry<T, F>(call: impl Fn() -> F) -> Result<T, HubError>
where
    F: Future<Output = Result<T, HubError>>,
{
    let mut delays = RETRY_DELAYS.iter();
    loop {
        match call().await {
            Err(error) if error.is_transient() => match delays.next() {
                Some(delay) => sleep(*delay).await,
                None => return Err(error),
            },
            done => return done,
        }
    }
}

/// Downloads one file into the snapshot.
pub(super) async fn file(
    client: &Client,
    cache: &Cache,
    repo: &Repo,
    commit: &str,
    name: &str,
) -> Result<(), HubError> {
    if cache.snapshot(repo, commit).join(name).is_file() {
        return Ok(());
    }
    let facts = retry(|| client.facts(repo, commit, name)).await?;
    // If the size is not known, `append` stops a slow download earlier.
    let bytes = facts.size.number().unwrap_or_else(|| limit(name));
    let limit = GRACE_PERIOD + Duration::from_secs(bytes / MIN_BYTES_PER_SECOND);
    let download = Download { client, cache, repo, commit, name, facts };
    timeout(limit, download.fetch())
        .await
        .map_err(|_| unreachable(repo, name, format!("it took more than {} minutes", limit.as_secs() / 60)))??;
    let linked = cache.link(repo, commit, name, &download.facts.etag);
    linked.map_err(|source| cache.cache_error(repo, source))
}

/// How a download ended.
enum DownloadEnd {
    /// The file is complete.
    Complete,
    /// The connection was closed after this number of bytes, and the size of the file is not known.
    Unconfirmed(u64),
}

/// The download of one file.
struct Download<'a> {
    client: &'a Client,
    cache: &'a Cache,
    repo: &'a Repo,
    commit: &'a str,
    name: &'a str,
    facts: FileFacts,
}

impl Download<'_> {
    async fn fetch(&self) -> Result<(), HubError> {
        let blob = self.cache.blob(self.repo, &self.facts.etag);
        let _lock = self.lock().await?;
        // Another process may have downloaded the file during the wait.
        if blob.is_file() {
            return Ok(());
        }
        let part = with_suffix(&blob, ".incomplete");
        if let Some(folder) = blob.parent() {
            fs::create_dir_all(folder).await.map_err(|source| self.cache_error(source))?;
        }
        let mut broken = String::new();
        for _ in 0..2 {
            self.complete(&part).await?;
            match self.check(&part).await? {
                None => return fs::rename(&part, &blob).await.map_err(|source| self.cache_error(source)),
                Some(reason) => broken = reason,
            }
            tracing::warn!(file = self.name, broken, "the download has the wrong checksum and is deleted");
            fs::remove_file(&part).await.map_err(|source| self.cache_error(source))?;
        }
        Err(HubError::Broken { repo: self.repo.clone(), file: self.name.to_owned(), reason: broken })
    }

    /// Waits for the lock of the blob.
    async fn lock(&self) -> Result<std::fs::File, HubError> {
        let mut reported = false;
        loop {
            let held = self.cache.try_lock(self.repo, &self.facts.etag).map_err(|source| self.cache_error(source))?;
            if let Some(held) = held {
                return Ok(held);
            }
            if !reported {
                tracing::info!(file = self.name, "another process downloads this file; waiting");
                reported = true;
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Downloads the missing bytes. The delays start again after each attempt that received bytes.
    async fn complete(&self, part: &Path) -> Result<(), HubError> {
        let mut delays = RETRY_DELAYS.iter();
        // Length of the file when a server that does not report the size had no more bytes.
        let mut ended_at = None;
        for _ in 0..MAX_ATTEMPTS {
            let before = length(part).await;
            let error = match self.append(part).await {
                Ok(DownloadEnd::Complete) => return Ok(()),
                Ok(DownloadEnd::Unconfirmed(_))
                    if self.facts.sha256().is_some() && self.check(part).await?.is_none() =>
                {
                    return Ok(());
                }
                // The connection may have broken. The file is complete if the next reply ends at the same length.
                Ok(DownloadEnd::Unconfirmed(have)) if ended_at == Some(have) => return Ok(()),
                Ok(DownloadEnd::Unconfirmed(have)) => {
                    ended_at = Some(have);
                    unreachable(self.repo, self.name, format!("the end after {have} bytes is not confirmed"))
                }
                Err(error) => error,
            };
            if length(part).await > before {
                delays = RETRY_DELAYS.iter();
            }
            match delays.next().filter(|_| error.is_transient()) {
                Some(delay) => {
                    if ended_at.is_none() {
                        tracing::warn!(file = self.name, %error, "a download was interrupted; it continues");
                    }
                    sleep(*delay).await;
                }
                None => return Err(error),
            }
        }
        Err(unreachable(self.repo, self.name, format!("the download was interrupted {MAX_ATTEMPTS} times")))
    }

    async fn append(&self, part: &Path) -> Result<DownloadEnd, HubError> {
        let have = length(part).await;
        let (known, max_bytes) = (self.facts.size.number(), limit(self.name));
        if known == Some(have) && have > 0 {
            return Ok(DownloadEnd::Complete);
        }
        // A file that is too long is from another version.
        let from = if have > known.unwrap_or(max_bytes) { 0 } else { have };
        let Some(mut bytes) = self.client.bytes(self.repo, self.commit, self.name, from).await? else {
            // The server has no bytes after the ones that were downloaded.
            return match self.facts.size {
                Size::Exact(size) => {
                    Err(unreachable(self.repo, self.name, format!("no bytes after {from}, but the size is {size}")))
                }
                Size::Likely(_) | Size::Unknown => Ok(DownloadEnd::Complete),
            };
        };
        let total = match self.facts.size {
            Size::Exact(size) => Some(size),
            Size::Likely(size) => Some(bytes.total.unwrap_or(size)),
            Size::Unknown => bytes.total,
        };
        if let Some(total) = total.filter(|total| *total > max_bytes) {
            let reason = format!("{} has {total} bytes; the limit is {max_bytes}", self.name);
            return Err(HubError::Unfit { repo: self.repo.clone(), reason });
        }
        let mut file = self.open(part, bytes.from).await.map_err(|source| self.cache_error(source))?;
        let mut progress = Progress::begin(self.name, bytes.from, total);
        let (begun, mut have) = (Instant::now(), bytes.from);
        let written = loop {
            match bytes.reply.chunk().await {
                Err(error) => break Err(unreachable(self.repo, self.name, chain(&error))),
                Ok(None) => break Ok(()),
                Ok(Some(chunk)) => {
                    have += chunk.len() as u64;
                    if let Some(total) = total.filter(|total| have > *total) {
                        break Err(unreachable(self.repo, self.name, format!("more than {total} bytes were received")));
                    }
                    if have > max_bytes {
                        file.set_len(0).await.map_err(|source| self.cache_error(source))?;
                        let reason = format!("{} has more bytes than the limit of {max_bytes}", self.name);
                        break Err(HubError::Unfit { repo: self.repo.clone(), reason });
                    }
                    let max_duration = GRACE_PERIOD + Duration::from_secs((have - bytes.from) / MIN_BYTES_PER_SECOND);
                    if begun.elapsed() > max_duration {
                        break Err(unreachable(self.repo, self.name, "the download is too slow".to_owned()));
                    }
                    if let Err(source) = file.write_all(&chunk).await {
                        break Err(self.cache_error(source));
                    }
                    progress.update(have);
                }
            }
        };
        // Received bytes are kept after an error too, so that the next attempt continues there.
        file.flush().await.map_err(|source| self.cache_error(source))?;
        file.sync_all().await.map_err(|source| self.cache_error(source))?;
        written?;
        if let Some(total) = total.filter(|total| have < *total) {
            return Err(unreachable(self.repo, self.name, format!("the reply ended after {have} of {total} bytes")));
        }
        tracing::info!(file = self.name, "downloaded");
        Ok(if total.is_some() || bytes.has_end { DownloadEnd::Complete } else { DownloadEnd::Unconfirmed(have) })
    }

    async fn open(&self, part: &Path, from: u64) -> io::Result<File> {
        let mut file = File::options().create(true).truncate(false).write(true).open(part).await?;
        file.set_len(from).await?;
        file.seek(SeekFrom::Start(from)).await?;
        Ok(file)
    }

    /// Verifies the checksum; returns what is wrong, if anything.
    async fn check(&self, part: &Path) -> Result<Option<String>, HubError> {
        let Some(wanted) = self.facts.sha256() else { return Ok(None) };
        let path = part.to_owned();
        let checksum = tokio::task::spawn_blocking(move || sha256_of(&path)).await;
        let got = checksum.map_err(io::Error::other).flatten().map_err(|source| self.cache_error(source))?;
        Ok((!got.eq_ignore_ascii_case(wanted)).then(|| format!("its SHA-256 is {got}; expected {wanted}")))
    }

    fn cache_error(&self, source: io::Error) -> HubError {
        self.cache.cache_error(self.repo, source)
    }
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let (mut hasher, mut part) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            count => hasher.update(&part[..count]),
        }
    }
}

async fn length(path: &Path) -> u64 {
    fs::metadata(path).await.map_or(0, |facts| facts.len())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
