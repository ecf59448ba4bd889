//! Downloads models from the Hugging Face hub into the cache that its own tools use, and finds them there later.
//!
//! Handles repositories and files, not their content. The routes and headers are those that
//! `huggingface_hub` uses: `GET /api/models/{repo}/revision/{revision}`, `HEAD` and
//! `GET /{repo}/resolve/{commit}/{file}` with `X-Linked-Etag` (the SHA-256 of a large file) and `X-Linked-Size`.

mod cache;
mod client;
mod download;
mod error;
mod facts;
mod progress;
mod repo;
mod settings;
mod token;

use std::path::{Component, Path, PathBuf};

use cache::Cache;
use client::Client;

use crate::models::list;

pub use error::HubError;
pub use repo::Repo;
pub use settings::HubSettings;
pub(super) use settings::expand_path;

/// A client of the hub with its cache on this machine.
#[derive(Debug)]
pub struct Hub {
    cache: Cache,
    client: Client,
    offline: bool,
}

impl Hub {
    /// Creates the client; makes no network call. Reads the token that Hugging Face's own tools stored, if the settings
    /// have none.
    ///
    /// # Errors
    /// [`HubError::Settings`] if `HF_ENDPOINT` is not a URL or the folder of the cache is not known.
    pub fn new(settings: &HubSettings) -> Result<Self, HubError> {
        let cache = Cache::new(settings.cache().map_err(HubError::Settings)?);
        Ok(Self { cache, client: Client::new(settings)?, offline: settings.hf_hub_offline })
    }

    /// Whether network calls are disabled (`HF_HUB_OFFLINE`).
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Returns the folder of the revision as it was downloaded last; `None` if there is none. It may be incomplete.
    pub fn cached(&self, repo: &Repo) -> Option<PathBuf> {
        let commit = self.cache.commit(repo)?;
        Some(self.cache.snapshot(repo, &commit)).filter(|folder| folder.is_dir())
    }

    /// Downloads the files of a model into the cache and returns their folder. `missing` gets the names of all files of
    /// the repository and the folder, and returns the files that must be downloaded. It is called again after the
    /// download, because a file may refer to others. Existing files are not downloaded again, and an incomplete
    /// download is continued.
    ///
    /// # Errors
    /// [`HubError`] with the cause and what to do.
    pub async fn fetch(
        &self,
        repo: &Repo,
        missing: impl Fn(&[String], &Path) -> Result<Vec<String>, String>,
    ) -> Result<PathBuf, HubError> {
        if self.offline {
            return self.offline(repo, missing);
        }
        let unfit = |reason| HubError::Unfit { repo: repo.clone(), reason };
        let listing = download::retry(|| self.client.listing(repo)).await?;
        let folder = self.cache.snapshot(repo, &listing.commit);
        for _ in 0..MAX_ROUNDS {
            let files = missing(&listing.names, &folder).map_err(unfit)?;
            if files.is_empty() {
                // The reference is written last, so that its readers find every file.
                self.cache.write_ref(repo, &listing.commit).map_err(|source| self.cache.cache_error(repo, source))?;
                return Ok(folder);
            }
            for file in &files {
                if !listing.names.contains(file) {
                    return Err(unfit(format!("it needs the file {file}, which is not in it")));
                }
                // The names come from the hub and must not lead out of the snapshot.
                if !Path::new(file).components().all(|part| matches!(part, Component::Normal(_))) {
                    return Err(unfit(format!("`{file}` is not a valid name of a file")));
                }
                download::file(&self.client, &self.cache, repo, &listing.commit, file).await?;
            }
        }
        Err(unfit("its files refer to further files too often".to_owned()))
    }

    /// Returns the files that [`Hub::fetch`] would download first. A network may refer to further files, which are not
    /// known before it is downloaded.
    ///
    /// # Errors
    /// As [`Hub::fetch`].
    pub async fn outstanding(
        &self,
        repo: &Repo,
        missing: impl Fn(&[String], &Path) -> Result<Vec<String>, String>,
    ) -> Result<Outstanding, HubError> {
        if self.offline {
            return self.offline(repo, missing).map(|_| Outstanding::default());
        }
        let listing = download::retry(|| self.client.listing(repo)).await?;
        let folder = self.cache.snapshot(repo, &listing.commit);
        let unfit = |reason| HubError::Unfit { repo: repo.clone(), reason };
        let mut all = Outstanding::default();
        for file in missing(&listing.names, &folder).map_err(unfit)? {
            let facts = download::retry(|| self.client.facts(repo, &listing.commit, &file)).await?;
            all = all.plus(Outstanding { files: 1, bytes: facts.size.number().unwrap_or(0) });
        }
        Ok(all)
    }

    fn offline(
        &self,
        repo: &Repo,
        missing: impl Fn(&[String], &Path) -> Result<Vec<String>, String>,
    ) -> Result<PathBuf, HubError> {
        let lacks = match self.cached(repo) {
            None => "it has no files there".to_owned(),
            Some(folder) => match missing(&list(&folder).unwrap_or_default(), &folder) {
                Ok(files) if files.is_empty() => return Ok(folder),
                Ok(files) => format!("{} is missing", files.join(", ")),
                Err(reason) => reason,
            },
        };
        Err(HubError::Offline { repo: repo.clone(), cache: self.cache.folder(repo), lacks })
    }
}

/// Files that must be downloaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// Number of files.
    pub files: usize,
    /// Their bytes, as far as the hub reports them. Bytes of an incomplete download count.
    pub bytes: u64,
}

impl Outstanding {
    pub(super) fn plus(self, other: Self) -> Self {
        Self { files: self.files + other.files, bytes: self.bytes.saturating_add(other.bytes) }
    }
}

/// Maximum rounds of downloads: descriptions and towers, then the files to which the towers refer.
const MAX_ROUNDS: usize = 4;
