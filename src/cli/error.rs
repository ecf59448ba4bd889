//! What can go wrong for someone at a terminal.

use std::fmt::Write;
use std::io;
use std::path::PathBuf;

use crate::app::{BuildError, WorkerError};
use crate::config::SettingsError;
use crate::demo::VaryError;

/// A command that failed: a plain sentence, with its causes.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The service could not be put together, or ended badly; or the bucket said no.
    #[error(transparent)]
    Service(#[from] BuildError),
    /// A worker that could not go on.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The demo would write somewhere else than into its own process.
    #[error(
        "{0}: the demo uploads and indexes images, and only into the embedded bucket and store; \
             unset S3_ENDPOINT and VECTOR_DB_PROVIDER, or use `glimpse serve` and `glimpse seed`"
    )]
    NotEmbedded(String),
    /// A worker that is not to be started again as it is: its settings do not fit the job, or cannot be used.
    #[error(transparent)]
    Unfit(Box<CliError>),
    /// Nobody answers.
    #[error("no service answers at {url}; start it with `glimpse serve`, or set GLIMPSE_URL to where it is")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the network said.
        #[source]
        source: reqwest::Error,
    },
    /// It answered, and then no more.
    #[error("the service at {url} did not finish its answer")]
    Lost {
        /// Where.
        url: String,
        /// What the network said.
        #[source]
        source: reqwest::Error,
    },
    /// The service said no: its own message.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// Something else than a reply of ours.
    #[error("what answers at {url} does not speak as Glimpse does")]
    Foreign {
        /// Where.
        url: String,
        /// What was wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// An address that is none.
    #[error("GLIMPSE_URL is `{url}`; it must be a URL such as http://127.0.0.1:8080")]
    Url {
        /// As it was set.
        url: String,
    },
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
    /// A file that cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that was read but makes no sense.
    #[error("{}: {problem}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// One search of many failed.
    #[error("the search for `{query}` failed")]
    Query {
        /// Which.
        query: String,
        /// Why.
        #[source]
        source: Box<CliError>,
    },
    /// A image that cannot be made.
    #[error(transparent)]
    Vary(#[from] VaryError),
    /// Standard output cannot be written to.
    #[error("the output cannot be written")]
    Print(#[source] io::Error),
    /// The operating system takes no signal handler.
    #[error("signals cannot be listened to")]
    Signals(#[source] io::Error),
    /// A piece of work panicked.
    #[error("a piece of work broke down: {0}")]
    Broken(String),
}

impl CliError {
    /// The exit code of a command that failed so.
    pub fn code(&self) -> u8 {
        match self {
            Self::Unfit(_) => Self::EX_CONFIG,
            _ => 1,
        }
    }

    /// `EX_CONFIG` of `sysexits.h`.
    const EX_CONFIG: u8 = 78;

    /// The error of a worker: who watches over it must know whether to start it again.
    pub(super) fn of_worker(self) -> Self {
        let is_of_settings = match &self {
            Self::Settings(_) => true,
            Self::Service(error) => error.is_of_settings(),
            Self::Worker(error) => error.is_of_settings(),
            _ => false,
        };
        if is_of_settings { Self::Unfit(Box::new(self)) } else { self }
    }

    /// It and its causes in one line, each thing said once.
    pub fn chain(&self) -> String {
        let mut said = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            cause = error.source();
            // Between our sentence and what the operating system says, an HTTP client has many layers to tell of.
            let network = matches!(self, Self::Unreachable { .. } | Self::Lost { .. });
            let text = error.to_string();
            if !(said.contains(&text) || network && cause.is_some()) {
                write!(said, ": {text}").ok();
            }
        }
        said
    }

    /// Whether the same request may be answered in a moment.
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
    fn a_chain_is_one_line_that_says_each_thing_once() {
        let source = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let error = CliError::File { path: "cat.jpg".into(), source };
        assert_eq!(error.chain(), "cat.jpg cannot be read: no such file");
        let refused = CliError::Refused { status: 404, message: "there is no such job".into() };
        let query = CliError::Query { query: "a cat".into(), source: Box::new(refused) };
        assert_eq!(query.chain(), "the search for `a cat` failed: there is no such job");
    }
}
