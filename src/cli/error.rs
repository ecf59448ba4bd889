//! The errors of the commands.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use crate::app::{BuildError, WorkerError};
use crate::archive::ArchiveError;
use crate::config::SettingsError;
use crate::demo::VaryError;
use crate::exchange::ExchangeError;

/// Why a command failed. The message is a sentence; the causes are its sources.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The service could not start or ended with an error, or the bucket refused a request.
    #[error(transparent)]
    Service(Box<BuildError>),
    #[error(transparent)]
    Worker(Box<WorkerError>),
    /// The settings of the worker are invalid or do not fit the job: starting it again without a change is of no use.
    #[error(transparent)]
    InvalidWorkerSettings(Box<CliError>),
    #[error(
        "{0}: the demo uploads and indexes images, and writes only to the embedded bucket and store; unset S3_ENDPOINT \
         and VECTOR_DB_PROVIDER, or use `glimpse serve` and `glimpse seed`"
    )]
    NotEmbedded(String),
    #[error("no service answers at {url}; start it with `glimpse serve`, or set GLIMPSE_URL to its address")]
    Unreachable { url: String, source: reqwest::Error },
    #[error(
        "the certificate of {url} is not trusted; set GLIMPSE_CA_FILE to a file with the certificate of its authority, and \
         GLIMPSE_URL to an address with a name in the certificate"
    )]
    Untrusted { url: String, source: reqwest::Error },
    #[error("the service at {url} did not finish its reply")]
    Lost { url: String, source: reqwest::Error },
    /// The service refused the request. The message is that of the service.
    #[error("{message}")]
    Refused { status: u16, message: String },
    #[error(
        "the reply of {url} is not a reply of Glimpse; set GLIMPSE_URL to the address of a service of the same version"
    )]
    InvalidReply { url: String, source: serde_json::Error },
    /// A file with certificates that the client trusts cannot be used.
    #[error("{0}")]
    Trust(String),
    #[error("the HTTP client cannot be created")]
    Client(#[source] reqwest::Error),
    #[error("{} cannot be read", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} cannot be watched", path.display())]
    Watch { path: PathBuf, source: notify::Error },
    #[error("{}: {problem}", path.display())]
    Content { path: PathBuf, problem: String },
    /// One of many searches failed.
    #[error("the search for `{query}` failed")]
    Query { query: String, source: Box<CliError> },
    /// The service began its reply, and then failed. The message is that of the service.
    #[error("the search ended early: {0}")]
    SearchFailed(String),
    /// An export or import ended early.
    #[error("the transfer failed: {0}; run the command again")]
    TransferFailed(String),
    #[error("the import was interrupted")]
    ImportInterrupted,
    #[error("--skip is {skip}, but the files have {rows} rows")]
    TooManySkipped { skip: u64, rows: u64 },
    /// A file with vectors cannot be used.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// An archive of backups cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(
        "{0} is in the embedded bucket of the service, which the backup copies; set S3_ENDPOINT, S3_ACCESS_KEY_ID and \
         S3_SECRET_ACCESS_KEY of this command to those of another bucket"
    )]
    OwnBucket(String),
    #[error("the backup was interrupted; earlier backups are complete, and the next one uses what was copied")]
    BackupInterrupted,
    #[error("the backup is complete, but older ones were not removed")]
    Prune(#[source] ArchiveError),
    #[error("the backup is complete, but the command was interrupted while it removed older ones")]
    PruneInterrupted,
    /// The service sent something else than it had announced.
    #[error("the backup failed at {path}: {problem}; run the command again")]
    BackupChunk { path: String, problem: String },
    #[error("the mirror `{0}` exists; --replace replaces all its fields, and `glimpse mirror show {0}` prints them")]
    MirrorExists(String),
    #[error("there is no collection `{0}`; `glimpse collections list` shows all")]
    NoCollection(String),
    #[error("the catalogue has no model `{name}`{similar}; `glimpse models list` shows all")]
    NoModel { name: String, similar: String },
    #[error(transparent)]
    Vary(#[from] VaryError),
    #[error("cannot write to standard output")]
    Print(#[source] io::Error),
    #[error("cannot read the answer from standard input")]
    Input(#[source] io::Error),
    #[error("the command asks for confirmation, but standard input is not a terminal; add --yes")]
    NoTerminal,
    #[error("the signal handlers cannot be installed")]
    Signals(#[source] io::Error),
    #[error("a task panicked: {0}")]
    TaskPanicked(String),
}

impl From<WorkerError> for CliError {
    fn from(error: WorkerError) -> Self {
        Self::Worker(Box::new(error))
    }
}

impl From<BuildError> for CliError {
    fn from(error: BuildError) -> Self {
        Self::Service(Box::new(error))
    }
}

impl CliError {
    /// Returns the exit code of a command that failed with this error.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::InvalidWorkerSettings(_) => Self::EX_CONFIG,
            Self::Service(error) => error.exit_code(),
            _ => 1,
        }
    }

    /// `EX_CONFIG` of `sysexits.h`.
    const EX_CONFIG: u8 = 78;

    /// Converts the error of a worker: the exit code must show its supervisor whether to start the worker again.
    pub(super) fn into_worker_error(self) -> Self {
        let is_configuration_error = match &self {
            Self::Settings(_) => true,
            Self::Service(error) => error.is_configuration_error(),
            Self::Worker(error) => error.is_configuration_error(),
            _ => false,
        };
        if is_configuration_error { Self::InvalidWorkerSettings(Box::new(self)) } else { self }
    }

    /// Returns the message and its causes in one line, without repeating a text.
    pub(super) fn chain(&self) -> String {
        let mut chain = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            cause = error.source();
            // The HTTP client adds many layers between this message and the error of the operating system.
            let network = matches!(self, Self::Unreachable { .. } | Self::Untrusted { .. } | Self::Lost { .. });
            let text = error.to_string();
            if !(chain.contains(&text) || network && cause.is_some()) {
                write!(chain, ": {text}").ok();
            }
        }
        chain
    }

    /// Whether the same request may succeed a moment later.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } => true,
            Self::Refused { status, .. } => matches!(status, 429 | 502..=504),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_one_line_without_repetitions() {
        let source = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let error = CliError::File { path: "cat.jpg".into(), source };
        assert_eq!(error.chain(), "cat.jpg cannot be read: no such file");
        let refused = CliError::Refused { status: 404, message: "there is no such job".into() };
        let query = CliError::Query { query: "a cat".into(), source: Box::new(refused) };
        assert_eq!(query.chain(), "the search for `a cat` failed: there is no such job");
    }
}
