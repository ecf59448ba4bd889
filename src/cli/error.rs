//! The errors of the commands.

use std::fmt::Write;
use std::io;
use std::path::PathBuf;

use crate::app::{BuildError, WorkerError};
use crate::config::SettingsError;
use crate::demo::VaryError;

/// Why a command failed. The message is a sentence; the causes are its sources.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The service could not start or ended with an error, or the bucket refused a request.
    #[error(transparent)]
    Service(#[from] BuildError),
    /// The worker could not continue.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The settings name a bucket or a store outside the process of the demo.
    #[error(
        "{0}: the demo uploads and indexes images, and writes only to the embedded bucket and store; \
             unset S3_ENDPOINT and VECTOR_DB_PROVIDER, or use `glimpse serve` and `glimpse seed`"
    )]
    NotEmbedded(String),
    /// The settings of the worker are invalid or do not fit the job: starting it again without a change is of no use.
    #[error(transparent)]
    InvalidWorkerSettings(Box<CliError>),
    /// No connection to the service is possible.
    #[error("no service answers at {url}; start it with `glimpse serve`, or set GLIMPSE_URL to its address")]
    Unreachable {
        /// The address of the service.
        url: String,
        /// The network error.
        #[source]
        source: reqwest::Error,
    },
    /// The connection broke before the reply was complete.
    #[error("the service at {url} did not finish its reply")]
    Lost {
        /// The address of the service.
        url: String,
        /// The network error.
        #[source]
        source: reqwest::Error,
    },
    /// The service refused the request. The message is that of the service.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The message of the service.
        message: String,
    },
    /// The reply is not one of Glimpse.
    #[error(
        "the reply of {url} is not a reply of Glimpse; set GLIMPSE_URL to the address of a service of the same version"
    )]
    InvalidReply {
        /// The address of the service.
        url: String,
        /// Why the reply cannot be parsed.
        #[source]
        source: serde_json::Error,
    },
    /// `GLIMPSE_URL` is not a URL.
    #[error("GLIMPSE_URL is `{url}`; it must be a URL such as http://127.0.0.1:8080")]
    Url {
        /// The value that was set.
        url: String,
    },
    /// The HTTP client cannot be created.
    #[error("the HTTP client cannot be created")]
    Client(#[source] reqwest::Error),
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The content of a file is invalid.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong, and what is allowed.
        problem: String,
    },
    /// One of many searches failed.
    #[error("the search for `{query}` failed")]
    Query {
        /// The text of the search.
        query: String,
        /// Why it failed.
        #[source]
        source: Box<CliError>,
    },
    /// A variation of a demo image cannot be created.
    #[error(transparent)]
    Vary(#[from] VaryError),
    /// Writing to standard output failed.
    #[error("cannot write to standard output")]
    Print(#[source] io::Error),
    /// The signal handlers cannot be installed.
    #[error("the signal handlers cannot be installed")]
    Signals(#[source] io::Error),
    /// A task panicked.
    #[error("a task panicked: {0}")]
    TaskPanicked(String),
}

impl CliError {
    /// Returns the exit code of a command that failed with this error.
    pub fn code(&self) -> u8 {
        match self {
            Self::InvalidWorkerSettings(_) => Self::EX_CONFIG,
            Self::Service(BuildError::Task(_) | BuildError::Serve(_)) => Self::EX_SOFTWARE,
            _ => 1,
        }
    }

    /// `EX_SOFTWARE` of `sysexits.h`: a task that the process needs has ended unexpectedly.
    const EX_SOFTWARE: u8 = 70;
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
    pub fn chain(&self) -> String {
        let mut chain = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            cause = error.source();
            // The HTTP client adds many layers between this message and the error of the operating system.
            let network = matches!(self, Self::Unreachable { .. } | Self::Lost { .. });
            let text = error.to_string();
            if !(chain.contains(&text) || network && cause.is_some()) {
                write!(chain, ": {text}").ok();
            }
        }
        chain
    }

    /// Whether the same request may succeed a moment later.
    pub(super) fn may_pass(&self) -> bool {
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
