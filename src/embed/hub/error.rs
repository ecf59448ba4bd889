//! Why a model could not be had from the hub, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::Repo;
use crate::domain::{DependencyError, Trouble};
use crate::embed::EmbedError;

/// What else to do where the hub cannot be used.
const ELSEWHERE: &str = "or set CLIP_MODEL to a folder with the model's files";

/// What goes wrong on the way from the hub to the cache.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A setting cannot be used.
    #[error("{0}")]
    Settings(String),
    /// Not in the cache, and nobody may be asked.
    #[error(
        "{repo} is not wholly in the cache {} ({lacks}) and HF_HUB_OFFLINE is set; unset it, copy the cache of another \
         machine, {ELSEWHERE}", cache.display()
    )]
    Offline {
        /// Of which model.
        repo: Repo,
        /// Where it was looked for.
        cache: PathBuf,
        /// What is missing.
        lacks: String,
    },
    /// The hub does not let us in.
    #[error(
        "the hub refuses {repo} ({status}): it is private or wants its terms accepted, or there is none of that name; \
         set HF_TOKEN to the token of an account that may read it, {ELSEWHERE}"
    )]
    Denied {
        /// Of which model.
        repo: Repo,
        /// What it said.
        status: u16,
    },
    /// There is no such repository, revision or file.
    #[error("the hub has no {what} of {repo}; look at the name in CLIP_MODEL")]
    Missing {
        /// Of which model.
        repo: Repo,
        /// What is missing.
        what: String,
    },
    /// It is there, but not what can be run.
    #[error("the repository {repo} cannot be used: {reason}")]
    Unfit {
        /// Of which model.
        repo: Repo,
        /// Why.
        reason: String,
    },
    /// The hub did not answer, or not sensibly.
    #[error(
        "{what} of {repo} could not be fetched: {reason}; look at HF_ENDPOINT and the network: what has come is kept, \
         and the next try goes on there, {ELSEWHERE}"
    )]
    Unreachable {
        /// Of which model.
        repo: Repo,
        /// What was asked for.
        what: String,
        /// What was seen.
        reason: String,
    },
    /// What came is not what the hub says it is.
    #[error("{file} of {repo} came broken twice: {reason}; something between here and HF_ENDPOINT changes it")]
    Broken {
        /// Of which model.
        repo: Repo,
        /// Which file.
        file: String,
        /// What was seen.
        reason: String,
    },
    /// The cache cannot be written or read.
    #[error("the cache {} cannot be used: {source}; set HF_HUB_CACHE or HF_HOME to a folder that can be written", folder.display())]
    Cache {
        /// Where.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl HubError {
    /// Whether the same call may succeed at once: a connection that broke does, a wrong name does not.
    pub(super) fn may_pass(&self) -> bool {
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
        let trouble = match &error {
            HubError::Settings(_)
            | HubError::Offline { .. }
            | HubError::Denied { .. }
            | HubError::Missing { .. }
            | HubError::Unfit { .. } => Trouble::Refused,
            // A full disk may have room later.
            HubError::Unreachable { .. } | HubError::Broken { .. } | HubError::Cache { .. } => Trouble::Failed,
        };
        let dependency = "hugging face".to_owned();
        Self::Dependency(DependencyError { dependency, trouble, detail: error.to_string() })
    }
}
