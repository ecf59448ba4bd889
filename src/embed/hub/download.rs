//! One file into the cache: gone on with where it stopped, summed up, and written by one process at a time.

use std::io::{self, Read, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::fs::{self, File};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use super::cache::Cache;
use super::client::{Client, chain, unreachable};
use super::facts::{Facts, Size, limit};
use super::progress::Progress;
use super::{HubError, Repo};

/// Pauses before the second and each later try. A connection that broke is taken up at once.
const PAUSES: [Duration; 5] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// Tries of one file, each of which brought something: ten megabytes each make the largest file.
const MAX_TRIES: usize = 2_000;
/// How often to look whether another process is done.
const LOOK: Duration = Duration::from_millis(250);
/// What is slower than this over all of a file, beyond the grace, is given up; the next try goes on there.
const SLOWEST_BYTES_PER_SECOND: u64 = 16 * 1024;
const GRACE: Duration = Duration::from_mins(10);

/// Calls until it succeeds, or fails in a way that no other try mends, or has failed too often.
pub(super) async fn in_background<T, F>(call: impl Fn() -> F) -> Result<T, HubError>
where
    F: Future<Output = Result<T, HubError>>,
{
    let mut pauses = PAUSES.iter();
    loop {
        match call().await {
            Err(error) if error.may_pass() => match pauses.next() {
                Some(pause) => sleep(*pause).await,
                None => return Err(error),
            },
            done => return done,
        }
    }
}

/// Brings one file into the snapshot.
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
    let facts = in_background(|| client.facts(repo, commit, name)).await?;
    // What comes too slowly is given up sooner if its size is not known: see `append`.
    let bytes = facts.size.number().unwrap_or_else(|| limit(name));
    let limit = GRACE + Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND);
    let one = One { client, cache, repo, commit, name, facts };
    timeout(limit, one.fetch())
        .await
        .map_err(|_| unreachable(repo, name, format!("it took more than {} minutes", limit.as_secs() / 60)))??;
    let linked = cache.link(repo, commit, name, &one.facts.etag);
    linked.map_err(|source| cache.trouble(repo, source))
}

/// How a file's bytes came to their end.
enum End {
    /// The file is whole.
    Known,
    /// The connection was closed after so many bytes, and nothing says whether these are all.
    Silent(u64),
}

/// A file on its way.
struct One<'a> {
    client: &'a Client,
    cache: &'a Cache,
    repo: &'a Repo,
    commit: &'a str,
    name: &'a str,
    facts: Facts,
}

impl One<'_> {
    async fn fetch(&self) -> Result<(), HubError> {
        let blob = self.cache.blob(self.repo, &self.facts.etag);
        let _lock = self.lock().await?;
        // Another process may have fetched it while we waited.
        if blob.is_file() {
            return Ok(());
        }
        let part = with_suffix(&blob, ".incomplete");
        if let Some(folder) = blob.parent() {
            fs::create_dir_all(folder).await.map_err(|source| self.trouble(source))?;
        }
        let mut broken = String::new();
        for _ in 0..2 {
            self.complete(&part).await?;
            match self.check(&part).await? {
                None => return fs::rename(&part, &blob).await.map_err(|source| self.trouble(source)),
                Some(reason) => broken = reason,
            }
            tracing::warn!(file = self.name, broken, "what was downloaded is thrown away");
            fs::remove_file(&part).await.map_err(|source| self.trouble(source))?;
        }
        Err(HubError::Broken { repo: self.repo.clone(), file: self.name.to_owned(), reason: broken })
    }

    /// Waits for our turn.
    async fn lock(&self) -> Result<std::fs::File, HubError> {
        let mut told = false;
        loop {
            let held = self.cache.try_lock(self.repo, &self.facts.etag).map_err(|source| self.trouble(source))?;
            if let Some(held) = held {
                return Ok(held);
            }
            if !told {
                tracing::info!(file = self.name, "another process downloads it; waiting");
                told = true;
            }
            sleep(LOOK).await;
        }
    }

    /// Fetches what is missing. As long as each try brings something, there is another.
    async fn complete(&self, part: &Path) -> Result<(), HubError> {
        let mut pauses = PAUSES.iter();
        // Bytes that were there when a server that does not say where a file ends had no more of them.
        let mut ended_at = None;
        for _ in 0..MAX_TRIES {
            let before = length(part).await;
            let error = match self.append(part).await {
                Ok(End::Known) => return Ok(()),
                Ok(End::Silent(_)) if self.facts.sha256().is_some() && self.check(part).await?.is_none() => {
                    return Ok(());
                }
                // The connection may have broken: the file is whole if the next reply ends there too.
                Ok(End::Silent(have)) if ended_at == Some(have) => return Ok(()),
                Ok(End::Silent(have)) => {
                    ended_at = Some(have);
                    unreachable(self.repo, self.name, format!("the end after {have} bytes is to be confirmed"))
                }
                Err(error) => error,
            };
            if length(part).await > before {
                pauses = PAUSES.iter();
            }
            match pauses.next().filter(|_| error.may_pass()) {
                Some(pause) => {
                    if ended_at.is_none() {
                        tracing::warn!(file = self.name, %error, "a download broke off; it goes on");
                    }
                    sleep(*pause).await;
                }
                None => return Err(error),
            }
        }
        Err(unreachable(self.repo, self.name, format!("it broke off {MAX_TRIES} times")))
    }

    async fn append(&self, part: &Path) -> Result<End, HubError> {
        let have = length(part).await;
        let (known, most) = (self.facts.size.number(), limit(self.name));
        if known == Some(have) && have > 0 {
            return Ok(End::Known);
        }
        // More than there can be is of another file.
        let from = if have > known.unwrap_or(most) { 0 } else { have };
        let Some(mut bytes) = self.client.bytes(self.repo, self.commit, self.name, from).await? else {
            // There is nothing behind what we have.
            return match self.facts.size {
                Size::Exact(size) => {
                    Err(unreachable(self.repo, self.name, format!("it has nothing at {from}, of {size} bytes")))
                }
                Size::Likely(_) | Size::Unknown => Ok(End::Known),
            };
        };
        let total = match self.facts.size {
            Size::Exact(size) => Some(size),
            Size::Likely(size) => Some(bytes.total.unwrap_or(size)),
            Size::Unknown => bytes.total,
        };
        if let Some(total) = total.filter(|total| *total > most) {
            let reason = format!("{} has {total} bytes, more than the {most} that are fetched", self.name);
            return Err(HubError::Unfit { repo: self.repo.clone(), reason });
        }
        let mut file = self.open(part, bytes.from).await.map_err(|source| self.trouble(source))?;
        let mut progress = Progress::begin(self.name, bytes.from, total);
        let (begun, mut have) = (Instant::now(), bytes.from);
        let written = loop {
            match bytes.reply.chunk().await {
                Err(error) => break Err(unreachable(self.repo, self.name, chain(&error))),
                Ok(None) => break Ok(()),
                Ok(Some(chunk)) => {
                    have += chunk.len() as u64;
                    if let Some(total) = total.filter(|total| have > *total) {
                        break Err(unreachable(self.repo, self.name, format!("more than its {total} bytes came")));
                    }
                    if have > most {
                        file.set_len(0).await.map_err(|source| self.trouble(source))?;
                        let reason = format!("{} has more than the {most} bytes that are fetched", self.name);
                        break Err(HubError::Unfit { repo: self.repo.clone(), reason });
                    }
                    let patience = GRACE + Duration::from_secs((have - bytes.from) / SLOWEST_BYTES_PER_SECOND);
                    if begun.elapsed() > patience {
                        break Err(unreachable(self.repo, self.name, "it comes too slowly".to_owned()));
                    }
                    if let Err(source) = file.write_all(&chunk).await {
                        break Err(self.trouble(source));
                    }
                    progress.tell(have);
                }
            }
        };
        // What has come is kept, whatever ended it.
        file.flush().await.map_err(|source| self.trouble(source))?;
        file.sync_all().await.map_err(|source| self.trouble(source))?;
        written?;
        if let Some(total) = total.filter(|total| have < *total) {
            return Err(unreachable(self.repo, self.name, format!("it ended after {have} of {total} bytes")));
        }
        tracing::info!(file = self.name, "downloaded");
        Ok(if total.is_some() || bytes.has_end { End::Known } else { End::Silent(have) })
    }

    async fn open(&self, part: &Path, from: u64) -> io::Result<File> {
        let mut file = File::options().create(true).truncate(false).write(true).open(part).await?;
        file.set_len(from).await?;
        file.seek(SeekFrom::Start(from)).await?;
        Ok(file)
    }

    /// What is wrong with the bytes, if anything.
    async fn check(&self, part: &Path) -> Result<Option<String>, HubError> {
        let Some(wanted) = self.facts.sha256() else { return Ok(None) };
        let path = part.to_owned();
        let summed = tokio::task::spawn_blocking(move || sum(&path)).await;
        let got = summed.map_err(io::Error::other).flatten().map_err(|source| self.trouble(source))?;
        Ok((!got.eq_ignore_ascii_case(wanted)).then(|| format!("its SHA-256 is {got} where {wanted} was announced")))
    }

    fn trouble(&self, source: io::Error) -> HubError {
        self.cache.trouble(self.repo, source)
    }
}

fn sum(path: &Path) -> io::Result<String> {
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
