//! Models from the Hugging Face hub: fetched once into the cache that its own tools use, and found there afterwards.
//!
//! Knows repositories and files; nothing of what is in them. The routes and headers are those that
//! `huggingface_hub` uses: `GET /api/models/{repo}/revision/{revision}`, `HEAD` and `GET /{repo}/resolve/{commit}/{file}`
//! with `X-Linked-Etag` (the SHA-256 of a large file) and `X-Linked-Size`.

mod cache;
mod client;
mod download;
mod error;
mod progress;
mod repo;
mod settings;

use std::path::{Component, Path, PathBuf};

use cache::Cache;
use client::Client;

pub use error::HubError;
pub use repo::Repo;
pub use settings::HubSettings;

/// The hub and its cache on this machine.
#[derive(Debug)]
pub struct Hub {
    cache: Cache,
    client: Client,
    offline: bool,
}

impl Hub {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// [`HubError::Settings`] where `HF_ENDPOINT` is no URL or there is no place for the cache.
    pub fn new(settings: &HubSettings) -> Result<Self, HubError> {
        let cache = Cache::new(&settings.home().map_err(HubError::Settings)?);
        Ok(Self { cache, client: Client::new(settings)?, offline: settings.hf_hub_offline })
    }

    /// The folder of the revision as it was fetched last, where there is one. Not all of its files need be there.
    pub fn cached(&self, repo: &Repo) -> Option<PathBuf> {
        let commit = self.cache.commit(repo)?;
        Some(self.cache.snapshot(repo, &commit)).filter(|folder| folder.is_dir())
    }

    /// Brings the files that `pick` chooses among the repository's into the cache, and gives their folder. What is
    /// there already is not fetched again, and half a file is gone on with.
    ///
    /// # Errors
    /// [`HubError`], which says what could not be had and what to do.
    pub async fn fetch(
        &self,
        repo: &Repo,
        pick: impl Fn(&[String]) -> Result<Vec<String>, String>,
    ) -> Result<PathBuf, HubError> {
        if self.offline {
            return Err(HubError::Offline { repo: repo.clone(), cache: self.cache.folder(repo) });
        }
        let listing = download::patiently(|| self.client.listing(repo)).await?;
        let files = pick(&listing.names).map_err(|reason| HubError::Unfit { repo: repo.clone(), reason })?;
        for file in &files {
            // The names are the hub's: none may lead out of the snapshot.
            if !Path::new(file).components().all(|part| matches!(part, Component::Normal(_))) {
                let reason = format!("`{file}` is no name of a file in it");
                return Err(HubError::Unfit { repo: repo.clone(), reason });
            }
            download::file(&self.client, &self.cache, repo, &listing.commit, file).await?;
        }
        // Last: whoever reads the reference finds all of it.
        self.cache.refer(repo, &listing.commit).map_err(|source| self.cache.trouble(repo, source))?;
        Ok(self.cache.snapshot(repo, &listing.commit))
    }
}
