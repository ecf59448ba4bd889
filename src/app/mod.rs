//! The composition root: builds a service from its settings. Only this module names concrete adapters.

mod bucket;
mod clip;
mod cluster;
mod doctor;
mod embedding;
mod parts;
mod providers;
mod stores;
mod unknown_settings;
mod worker;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::api::{AppState, Defaults, router};
use crate::config::Settings;
use crate::embed::{EmbedError, ProviderKind};
use crate::health::Health;
use crate::images::Images;
use crate::index::embedded::OpenError;
use crate::index::{InvalidStore, StoreKind};
use crate::jobs::{JobParts, Jobs};
use crate::ledger::Ledger;
use crate::pipeline::Pipeline;
use crate::resilience::{Retryable, WaitBoard};
use crate::search::Search;
use crate::server::{self, ServerSettings};
use crate::shutdown::{REPLY_TIMEOUT, Shutdown};
use crate::source::{EmbeddedS3, EmbeddedS3Error, InvalidS3Settings, S3Settings, SourceError};
use crate::sqlite::SqliteError;
use crate::telemetry::metrics;

pub use bucket::Bucket;
pub use clip::ClipService;
pub(crate) use cluster::local_url;
pub use doctor::{CheckResult, Doctor, Problem, finding};
pub use unknown_settings::unknown_variables;

pub use crate::worker::{WorkerError, WorkerSettings};
pub use worker::WorkerApp;

use embedding::Embedding;

/// A service that listens but does not answer requests yet.
#[derive(Debug)]
pub struct App {
    listener: TcpListener,
    addr: SocketAddr,
    router: Router,
    lines: Vec<String>,
    shutdown: Shutdown,
    client: S3Settings,
    bucket_server: Option<EmbeddedS3>,
    /// Held while the service runs: a data folder can have only one service.
    _lock: File,
}

/// Why the service cannot start. The messages say what to set.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A setting is invalid, or contradicts another setting or the model.
    #[error("{0}")]
    Settings(String),
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
    /// The data folder cannot be used.
    #[error("the data folder {} cannot be used: {source}; set GLIMPSE_DATA_DIR to another folder", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The embedded S3 server cannot start.
    #[error("embedded S3 server: {0}")]
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
    /// The settings of a remote store are invalid.
    #[error(transparent)]
    Store(#[from] InvalidStore),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] SqliteError),
    /// The embedding provider cannot be used.
    #[error(transparent)]
    Provider(#[from] EmbedError),
    /// The HTTP server ended by itself.
    #[error("the HTTP server ended: {0}")]
    Serve(io::Error),
    /// A task that must run as long as the service has ended.
    #[error("the {0} ended unexpectedly; the log has the reason. Unfinished jobs continue at the next start")]
    Task(&'static str),
}

impl BuildError {
    /// Whether the error persists until a setting is changed.
    pub fn is_configuration_error(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Bucket(_) | Self::Store(_) => true,
            Self::Provider(error) => !error.is_retryable(),
            Self::Source(error) => !error.is_retryable(),
            Self::AddressInUse(_)
            | Self::Listen { .. }
            | Self::FolderInUse(_)
            | Self::Folder { .. }
            | Self::BucketServer(_)
            | Self::Index(_)
            | Self::Ledger(_)
            | Self::Serve(_)
            | Self::Task(_) => false,
        }
    }
}

impl App {
    /// Builds every part and binds every address. No request is answered before [`App::serve`].
    ///
    /// # Errors
    /// [`BuildError`]
    pub async fn build(settings: Settings, shutdown: &Shutdown) -> Result<Self, BuildError> {
        // Boxed to keep the futures of the callers small.
        Box::pin(Self::assemble(settings, shutdown)).await
    }

    async fn assemble(settings: Settings, shutdown: &Shutdown) -> Result<Self, BuildError> {
        settings.validate().map_err(|error| BuildError::Settings(error.to_string()))?;
        // The address first: if this fails, no file has been changed.
        let requested = settings.api.addr().map_err(BuildError::Settings)?;
        let listener = TcpListener::bind(requested).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BuildError::AddressInUse(requested),
            _ => BuildError::Listen { addr: requested, source },
        })?;
        let addr = listener.local_addr().map_err(|source| BuildError::Listen { addr: requested, source })?;
        metrics::install();
        let folder = settings.place.glimpse_data_dir.clone();
        let lock = parts::lock(&folder)?;
        let waiting = WaitBoard::default();
        let (client, bucket_server) = parts::bucket(&settings).await?;
        let source = parts::source(&settings, client.clone(), &waiting).await?;
        let raw = providers::raw(&settings).await?;
        let Embedding { jobs: provider, searches, proof } = embedding::around(raw, &settings, &waiting);
        let stores = stores::open(&settings, &waiting).await?;
        let ledger = Ledger::open(&folder)?;
        for (collection, ids) in stores.lost {
            tracing::warn!(
                %collection,
                records = ids.len(),
                "records were lost in a power failure; the next job indexes them again"
            );
            ledger.forget_ids(collection, StoreKind::Embedded.name(), ids).await?;
        }
        let limits = settings.imaging.limits();
        let thumbnail_prefix = settings.source.thumbnail_prefix.clone();
        let pipeline = Pipeline::new(source, provider, stores.jobs, limits, &settings.pipeline)
            .with_thumbnails(Some(thumbnail_prefix.clone()).filter(|prefix| !prefix.is_empty()));
        let (thumbnails, originals) = parts::images(&settings, client.clone()).await?;
        let jobs = Jobs::start(JobParts {
            ledger,
            pipeline,
            stores: stores.searches.clone(),
            settings: settings.jobs.clone(),
            default_bucket: settings.source.s3_bucket.clone(),
            allowed_buckets: settings.source.allowed_buckets(),
            thumbnail_prefix,
            exclude: settings.source.excludes().map_err(BuildError::Settings)?,
            placing: cluster::placing(&settings, addr)?,
            waiting,
            drain: shutdown.drain(),
            tasks: shutdown.tasks().clone(),
        })
        .await?;
        shutdown.spawn("scheduler of jobs", jobs.scheduler());
        let end = shutdown.drain();
        shutdown.spawn("probe of the embedding provider", async move { proof.keep(end).await });
        shutdown.spawn("upkeep of metrics", metrics::upkeep(shutdown.drain()));
        if let Some(server) = &bucket_server {
            // The server keeps running during the drain, because jobs that end still read from it.
            let (ended, drain) = (server.ended(), shutdown.drain());
            shutdown.spawn("embedded S3 server", async move {
                drain.run_until_cancelled(ended).await;
            });
        }
        let lines = parts::lines(&settings, addr, bucket_server.as_ref());
        let state = AppState {
            health: Health::new(searches.clone(), stores.searches.clone(), jobs.clone()),
            jobs,
            search: Search::new(searches, stores.searches.clone(), limits),
            images: Images::new(stores.searches, thumbnails, originals),
            defaults: Defaults {
                collection: settings.index.collection().map_err(BuildError::Settings)?,
                namespace: settings.api.k8s_namespace.clone().into(),
                max_image_bytes: usize::try_from(limits.max_bytes).unwrap_or(usize::MAX),
                bucket: settings.source.s3_bucket.clone().into(),
                provider: settings.embed.kind().map_or("local", ProviderKind::name),
            },
        };
        let router = router(state, &settings.api);
        let shutdown = shutdown.clone();
        Ok(Self { listener, addr, router, lines, shutdown, client, bucket_server, _lock: lock })
    }

    /// Returns the address that the service listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns a client of the bucket that this service reads.
    ///
    /// # Errors
    /// [`BuildError::Bucket`]
    pub async fn bucket(&self) -> Result<Bucket, BuildError> {
        Bucket::of(self.client.clone()).await
    }

    /// Returns the start lines: what the service uses and which settings change it.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Answers requests until the shutdown begins, and then finishes the work in flight.
    ///
    /// # Errors
    /// [`BuildError::Serve`] if the HTTP server ends by itself, [`BuildError::Task`] if a necessary task does.
    pub async fn serve(self) -> Result<(), BuildError> {
        let Self { listener, router, shutdown, bucket_server, _lock, .. } = self;
        // The bucket is stopped last, because jobs in flight still read from it.
        let last = async {
            if let Some(server) = bucket_server {
                server.stop().await;
            }
        };
        until_drained(listener, router, &shutdown, last).await
    }
}

/// Answers requests until the shutdown begins and all work in flight has ended, and then awaits `last`. During the
/// drain it still answers: `/readyz` reports it, and new work is refused.
async fn until_drained(
    listener: TcpListener,
    router: Router,
    shutdown: &Shutdown,
    last: impl Future<Output = ()>,
) -> Result<(), BuildError> {
    let (drain, closing) = (shutdown.drain(), CancellationToken::new());
    let service = TowerToHyperService::new(router);
    let server = server::serve(listener, service, ServerSettings::new("the service"), closing.clone());
    #[expect(clippy::disallowed_methods, reason = "the handle aborts on drop; draining must not wait for it")]
    let mut serving = AbortOnDropHandle::new(tokio::spawn(server));
    let ended_early = tokio::select! {
        () = drain.cancelled() => None,
        // The server ends by itself only if it panics. Then the process ends too.
        outcome = &mut serving => Some(outcome),
    };
    drain.cancel();
    tracing::info!("draining: no new work is accepted, work in flight is finished");
    let in_time = shutdown.finished().await;
    if !in_time {
        tracing::warn!("some work did not end in time and was cancelled; unfinished jobs continue at the next start");
    }
    closing.cancel();
    let outcome = match ended_early {
        Some(outcome) => Some(outcome),
        None if in_time => {
            let ended = tokio::time::timeout(REPLY_TIMEOUT, serving).await.ok();
            if ended.is_none() {
                tracing::warn!("some replies did not end in time and were cancelled");
            }
            ended
        }
        None => None,
    };
    last.await;
    if let Some(name) = shutdown.failed() {
        return Err(BuildError::Task(name));
    }
    match outcome {
        Some(Err(panicked)) => Err(BuildError::Serve(io::Error::other(panicked))),
        Some(Ok(())) | None => Ok(()),
    }
}
