//! Why keys could not be compared with the bucket now.

use crate::collection_models::ModelError;
use crate::domain::DependencyError;
use crate::embed::EmbedError;
use crate::index::IndexError;
use crate::ledger::LedgerError;
use crate::pipeline::RunError;
use crate::source::SourceError;

/// Why keys could not be compared with the bucket now. They are tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaneError {
    #[error("bucket: {0}")]
    Source(#[from] SourceError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("store: {0}")]
    Index(#[from] IndexError),
    #[error("embedding provider: {0}")]
    Provider(#[from] EmbedError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("ledger: {0}")]
    Ledger(#[from] LedgerError),
    #[error("the work was stopped")]
    Stopped,
}

impl LaneError {
    /// Returns the message for a client. A dependency's own message is only in the log.
    pub(super) fn client_message(&self) -> String {
        match self {
            Self::Source(SourceError::Dependency(down))
            | Self::Run(
                RunError::Dependency(down)
                | RunError::Bucket(SourceError::Dependency(down))
                | RunError::Provider(EmbedError::Dependency(down)),
            )
            | Self::Index(IndexError::Dependency(down))
            | Self::Provider(EmbedError::Dependency(down)) => DependencyError::for_client(down),
            Self::Model(error) => error.for_client(),
            Self::Ledger(_) => "the ledger could not be read or written; the log has the details".to_owned(),
            Self::Source(_) | Self::Run(_) | Self::Index(_) | Self::Provider(_) | Self::Stopped => self.to_string(),
        }
    }
}
