//! Errors of downloads from the hub, with what to do.

use std::io;
use std::path::PathBuf;

use super::Repo;
use crate::domain::{DependencyError, FailureKind};
use crate::embed::EmbedError;

/// The alternative that each message names.
const ALTERNATIVE: &str = "or set CLIP_MODEL to a folder with the model's files";

/// Errors of downloads from the hub into the cache.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A setting cannot be used.
    #[error("{0}")]
    Settings(String),
    /// The model is not complete in the cache, and network calls are disabled.
    #[error(
        "{repo} is not complete in the cache {} ({lacks}), and HF_HUB_OFFLINE is set; unset it, copy the cache of \
         another machine, {ALTERNATIVE}", cache.display()
    )]
    Offline {
        /// The repository.
        repo: Repo,
        /// Its folder in the cache.
        cache: PathBuf,
        /// What is missing.
        lacks: String,
    },
    /// The hub denies access.
    #[error(
        "the hub denies access to {repo} ({status}): the repository is private, requires its terms to be accepted, or \
         does not exist; set HF_TOKEN to the token of an account with access, {ALTERNATIVE}"
    )]
    Denied {
        /// The repository.
        repo: Repo,
        /// Status of the reply.
        status: u16,
    },
    /// The repository, revision or file does not exist.
    #[error("the hub does not have {what} of {repo}; check the name in CLIP_MODEL")]
    Missing {
        /// The repository.
        repo: Repo,
        /// What is missing.
        what: String,
    },
    /// The repository exists, but its files cannot be used.
    #[error("the repository {repo} cannot be used: {reason}")]
    Unfit {
        /// The repository.
        repo: Repo,
        /// Why it cannot be used.
        reason: String,
    },
    /// The hub did not answer, or its reply was invalid.
    #[error(
        "{what} of {repo} could not be downloaded: {reason}; check HF_ENDPOINT and the network (the next attempt \
         continues the download), {ALTERNATIVE}"
    )]
    Unreachable {
        /// The repository.
        repo: Repo,
        /// What was requested.
        what: String,
        /// What happened.
        reason: String,
    },
    /// The downloaded file does not have the checksum of the hub.
    #[error("{file} of {repo} had wrong content in two downloads: {reason}; check HF_ENDPOINT and proxies")]
    Broken {
        /// The repository.
        repo: Repo,
        /// The file.
        file: String,
        /// What happened.
        reason: String,
    },
    /// The cache cannot be written or read.
    #[error("cannot use the cache {}: {source}; set HF_HUB_CACHE or HF_HOME to a writable folder", folder.display())]
    Cache {
        /// The folder of the cache.
        folder: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl HubError {
    /// Whether an immediate retry may succeed: yes after a broken connection, no for a wrong name.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Settings(_)
            | Self::Offline { .. }
            | Self::Denied { .. }
            | Self::Missing { .. }
            | Self::Unfit { .. }
            | Self::Broken { .. }
            | Self::Cache { .. } => false,
        }
    }
}

impl From<HubError> for EmbedError {
    fn from(error: HubError) -> Self {
        let failure = match &error {
            HubError::Settings(_)
            | HubError::Offline { .. }
            | HubError::Denied { .. }
            | HubError::Missing { .. }
            | HubError::Unfit { .. } => FailureKind::Refused,
            // A full disk may have space later.
            HubError::Unreachable { .. } | HubError::Broken { .. } | HubError::Cache { .. } => FailureKind::Failed,
        };
        let dependency = "hugging face".to_owned();
        Self::Dependency(DependencyError { dependency, failure, detail: error.to_string() })
    }
}
