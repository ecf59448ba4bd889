//! Models from the Hugging Face hub: fetched once into the cache that its own tools use, and found there afterwards.
//!
//! Knows repositories and files; nothing of what is in them. The routes and headers are those that
//! `huggingface_hub` uses: `GET /api/models/{repo}/revision/{revision}`, `HEAD` and `GET /{repo}/resolve/{commit}/{file}`
//! with `X-Linked-Etag` (the SHA-256 of a large file) and `X-Linked-Size`.

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

pub use error::HubError;
pub use repo::Repo;
pub use settings::HubSettings;
pub(super) use settings::expanded;

/// The hub and its cache on this machine.
#[derive(Debug)]
pub struct Hub {
    cache: Cache,
    client: Client,
    offline: bool,
}

impl Hub {
    /// Asks nobody yet. Reads the token that was stored for Hugging Face's own tools, if the settings have none.
    ///
    /// # Errors
    /// [`HubError::Settings`] where `HF_ENDPOINT` is no URL or there is no place for the cache.
    pub fn new(settings: &HubSettings) -> Result<Self, HubError> {
        let cache = Cache::new(settings.cache().map_err(HubError::Settings)?);
        Ok(Self { cache, client: Client::new(settings)?, offline: settings.hf_hub_offline })
    }

    /// The folder of the revision as it was fetched last, where there is one. Not all of its files need be there.
    pub fn cached(&self, repo: &Repo) -> Option<PathBuf> {
        let commit = self.cache.commit(repo)?;
        Some(self.cache.snapshot(repo, &commit)).filter(|folder| folder.is_dir())
    }

    /// Brings a model's files into the cache, and gives their folder. `missing` chooses from the names of the
    /// repository's files those that the folder lacks. It is asked again when they are there, since a file may name
    /// others. What is there already is not fetched again, and half a file is gone on with.
    ///
    /// # Errors
    /// [`HubError`], which says what could not be had and what to do.
    pub async fn fetch(
        &self,
        repo: &Repo,
        missing: impl Fn(&[String], &Path) -> Result<Vec<String>, String>,
    ) -> Result<PathBuf, HubError> {
        if self.offline {
            return self.offline(repo, missing);
        }
        let unfit = |reason| HubError::Unfit { repo: repo.clone(), reason };
        let listing = download::in_background(|| self.client.listing(repo)).await?;
        let folder = self.cache.snapshot(repo, &listing.commit);
        for _ in 0..MAX_ROUNDS {
            let files = missing(&listing.names, &folder).map_err(unfit)?;
            if files.is_empty() {
                // The reference is written last, so a reader of it finds every file.
                self.cache.refer(repo, &listing.commit).map_err(|source| self.cache.trouble(repo, source))?;
                return Ok(folder);
            }
            for file in &files {
                if !listing.names.contains(file) {
                    return Err(unfit(format!("it needs the file {file}, which is not in it")));
                }
                // The names are the hub's: none may lead out of the snapshot.
                if !Path::new(file).components().all(|part| matches!(part, Component::Normal(_))) {
                    return Err(unfit(format!("`{file}` is not the name of a file in it")));
                }
                download::file(&self.client, &self.cache, repo, &listing.commit, file).await?;
            }
        }
        Err(unfit("its files name others without end".to_owned()))
    }

    fn offline(
        &self,
        repo: &Repo,
        missing: impl Fn(&[String], &Path) -> Result<Vec<String>, String>,
    ) -> Result<PathBuf, HubError> {
        let lacks = match self.cached(repo) {
            None => "nothing of it is there".to_owned(),
            Some(folder) => match missing(&cache::names(&folder), &folder) {
                Ok(files) if files.is_empty() => return Ok(folder),
                Ok(files) => format!("{} is missing", files.join(", ")),
                Err(reason) => reason,
            },
        };
        Err(HubError::Offline { repo: repo.clone(), cache: self.cache.folder(repo), lacks })
    }
}

/// Descriptions and towers, then what the towers name.
const MAX_ROUNDS: usize = 4;
