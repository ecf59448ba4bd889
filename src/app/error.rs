//! Why the service cannot start, or ended.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::archive::ArchiveError;
use crate::config::SettingsError;
use crate::domain::InvalidSetting;
use crate::embed::EmbedError;
use crate::embed::local::EngineError;
use crate::index::embedded::OpenError;
use crate::ledger::LedgerError;
use crate::resilience::Retryable;
use crate::server::TlsError;
use crate::source::{EmbeddedS3Error, InvalidS3Settings, SourceError};

/// Why the service cannot start. The messages say what to set.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The settings are invalid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A setting contradicts another setting, or what the service finds.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// The address is in use.
    #[error("{0} is in use by another process; set GLIMPSE_ADDR to another address, such as 127.0.0.1:8081")]
    AddressInUse(SocketAddr),
    /// The address cannot be used.
    #[error("cannot listen on {addr}: {source}; set GLIMPSE_ADDR to another address")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another service uses the data folder.
    #[error("another service uses the data folder {}; stop it or set GLIMPSE_DATA_DIR to another folder", .0.display())]
    FolderInUse(PathBuf),
    /// A restore needs the data folder, but a service or another restore uses it.
    #[error(
        "the data folder {} has the data of a running service or of another restore; stop the service or wait until the \
         restore ends, or set GLIMPSE_DATA_DIR to an empty folder",
        .0.display()
    )]
    FolderOfOther(PathBuf),
    /// A restore was interrupted.
    #[error(
        "a restore into the data folder {} is not finished; run `glimpse restore` again, which begins anew, or set \
         GLIMPSE_DATA_DIR to another folder",
        .0.display()
    )]
    UnfinishedRestore(PathBuf),
    /// The data folder cannot be used.
    #[error("the data folder {} cannot be used: {source}; set GLIMPSE_DATA_DIR to another folder", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file that shows that the data folder is in use cannot be opened.
    #[error(
        "{} cannot be opened: {source}; all files of the data folder must belong to the user of the service: `chown -R USER {}`",
        file.display(),
        file.parent().unwrap_or(file).display()
    )]
    LockFile {
        /// The file.
        file: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The certificate of the service cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The embedded S3 server cannot start.
    #[error(transparent)]
    BucketServer(#[from] EmbeddedS3Error),
    /// The settings of the bucket are invalid.
    #[error(transparent)]
    Bucket(#[from] InvalidS3Settings),
    /// The bucket cannot be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The embedded index cannot be opened.
    #[error(transparent)]
    Index(#[from] OpenError),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The embedding provider cannot be used.
    #[error(transparent)]
    Provider(#[from] EmbedError),
    /// The engine of a model in this process cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An archive of backups cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The HTTP server ended by itself.
    #[error("the HTTP server ended: {0}")]
    Serve(io::Error),
    /// A step of the start panicked.
    #[error("{0} panicked; the log has the reason")]
    Panicked(&'static str),
    /// A task that must run as long as the service has ended.
    #[error("the {0} ended unexpectedly; the log has the reason. Unfinished jobs continue at the next start")]
    Task(&'static str),
}

impl BuildError {
    /// Returns the exit code of a process that ends with this error: 70 (`EX_SOFTWARE` of `sysexits.h`) if a task that it
    /// needs has ended unexpectedly, otherwise 1.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::Task(_) | Self::Serve(_)) { 70 } else { 1 }
    }

    /// Whether the error persists until a setting is changed.
    pub fn is_configuration_error(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Setting(_) | Self::Bucket(_) | Self::Tls(_) | Self::Engine(_) => true,
            Self::Provider(error) => !error.is_retryable(),
            Self::Source(error) => !error.is_retryable(),
            Self::AddressInUse(_)
            | Self::Listen { .. }
            | Self::FolderInUse(_)
            | Self::FolderOfOther(_)
            | Self::UnfinishedRestore(_)
            | Self::Archive(_)
            | Self::Folder { .. }
            | Self::LockFile { .. }
            | Self::BucketServer(_)
            | Self::Index(_)
            | Self::Ledger(_)
            | Self::Serve(_)
            | Self::Panicked(_)
            | Self::Task(_) => false,
        }
    }
}
