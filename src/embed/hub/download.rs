//! One file into the cache: gone on with where it stopped, summed up, and written by one process at a time.

use std::io::{self, Read, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::fs::{self, File};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::cache::Cache;
use super::client::{Client, Facts, chain, unreachable};
use super::progress::Progress;
use super::{HubError, Repo};

/// Pauses before the second and each later try. A connection that broke is taken up at once.
const PAUSES: [Duration; 5] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// How often to look whether another process is done.
const LOOK: Duration = Duration::from_millis(250);
/// What is slower than this over all of a file, beyond the grace, is given up; the next try goes on there.
const SLOWEST_BYTES_PER_SECOND: u64 = 16 * 1024;
const GRACE: Duration = Duration::from_mins(10);

/// Calls until it succeeds, or fails in a way that no other try mends, or has failed too often.
pub(super) async fn patiently<T, F>(call: impl Fn() -> F) -> Result<T, HubError>
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
    let facts = patiently(|| client.facts(repo, commit, name)).await?;
    let limit = GRACE + Duration::from_secs(facts.size / SLOWEST_BYTES_PER_SECOND);
    let one = One { client, cache, repo, commit, name, facts };
    timeout(limit, one.fetch())
        .await
        .map_err(|_| unreachable(repo, name, format!("it took more than {} minutes", limit.as_secs() / 60)))??;
    let linked = cache.link(repo, commit, name, &one.facts.etag);
    linked.map_err(|source| cache.trouble(repo, source))
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
        loop {
            let before = length(part).await;
            let Err(error) = self.append(part).await else { return Ok(()) };
            if length(part).await > before {
                pauses = PAUSES.iter();
            }
            match pauses.next().filter(|_| error.may_pass()) {
                Some(pause) => {
                    tracing::warn!(file = self.name, %error, "a download broke off; it goes on");
                    sleep(*pause).await;
                }
                None => return Err(error),
            }
        }
    }

    async fn append(&self, part: &Path) -> Result<(), HubError> {
        let size = self.facts.size;
        let mut have = length(part).await;
        if have == size && size > 0 {
            return Ok(());
        }
        // More than there can be is of another file.
        let from = if have > size { 0 } else { have };
        let (from, mut reply) = self.client.bytes(self.repo, self.commit, self.name, from).await?;
        let mut file = self.open(part, from).await.map_err(|source| self.trouble(source))?;
        let mut progress = Progress::begin(self.name, from, size);
        have = from;
        let written = loop {
            match reply.chunk().await {
                Err(error) => break Err(unreachable(self.repo, self.name, chain(&error))),
                Ok(None) => break Ok(()),
                Ok(Some(bytes)) => {
                    have += bytes.len() as u64;
                    if have > size {
                        break Err(unreachable(self.repo, self.name, format!("more than its {size} bytes came")));
                    }
                    if let Err(source) = file.write_all(&bytes).await {
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
        if have < size {
            return Err(unreachable(self.repo, self.name, format!("it ended after {have} of {size} bytes")));
        }
        tracing::info!(file = self.name, "downloaded");
        Ok(())
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
