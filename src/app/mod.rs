//! The composition root: settings in, a service out. The one place that names concrete adapters.

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
use crate::images::Images;
use crate::index::embedded::OpenError;
use crate::index::{InvalidStore, StoreKind};
use crate::jobs::ledger::Ledger;
use crate::jobs::{JobParts, Jobs};
use crate::pipeline::Pipeline;
use crate::resilience::{Retryable, WaitBoard};
use crate::search::Search;
use crate::server::{self, ServerSettings};
use crate::shutdown::{LAST_REPLIES, Shutdown};
use crate::source::{EmbeddedS3, EmbeddedS3Error, InvalidS3Settings, S3Settings, SourceError};
use crate::sqlite::SqliteError;
use crate::telemetry::metrics;

pub use bucket::Bucket;
pub use clip::ClipService;
pub use doctor::{Complaint, Doctor, Finding, finding};
pub use unknown_settings::unknown_variables;

pub use crate::worker::{WorkerError, WorkerSettings};
pub use worker::WorkerApp;

use embedding::Embedding;

/// A service that listens but does not answer yet.
#[derive(Debug)]
pub struct App {
    listener: TcpListener,
    addr: SocketAddr,
    router: Router,
    lines: Vec<String>,
    shutdown: Shutdown,
    client: S3Settings,
    bucket_server: Option<EmbeddedS3>,
    /// Held while the service lives: one service a data folder.
    _lock: File,
}

/// Why the service cannot start. Each says what to set.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A setting contradicts another or the model.
    #[error("{0}")]
    Settings(String),
    /// The address is taken.
    #[error("{0} is in use by another process; set GLIMPSE_ADDR to another address, such as 127.0.0.1:8081")]
    AddressInUse(SocketAddr),
    /// The address cannot be used.
    #[error("cannot listen on {addr}: {source}; set GLIMPSE_ADDR to another address")]
    Listen {
        /// Which.
        addr: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another service has the folder.
    #[error("another service uses the data folder {}; stop it, or set GLIMPSE_DATA_DIR to another folder", .0.display())]
    FolderInUse(PathBuf),
    /// The folder cannot be used.
    #[error("the data folder {} cannot be used: {source}; set GLIMPSE_DATA_DIR to another folder", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The embedded S3 server.
    #[error("embedded S3 server: {0}")]
    BucketServer(#[from] EmbeddedS3Error),
    /// The bucket's settings.
    #[error(transparent)]
    Bucket(#[from] InvalidS3Settings),
    /// The bucket itself.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The embedded index.
    #[error(transparent)]
    Index(#[from] OpenError),
    /// A store elsewhere, whose settings cannot be used.
    #[error(transparent)]
    Store(#[from] InvalidStore),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] SqliteError),
    /// The embedding provider.
    #[error(transparent)]
    Provider(#[from] EmbedError),
    /// The HTTP server.
    #[error("the HTTP server ended: {0}")]
    Serve(io::Error),
    /// A task that must live as long as the service.
    #[error("the {0} ended although nobody asked it to; the log says why. Unfinished jobs go on at the next start")]
    Task(&'static str),
}

impl BuildError {
    /// Whether it is so until a setting is changed.
    pub fn is_of_settings(&self) -> bool {
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
    /// Builds every part and binds every address; nothing answers before [`App::serve`].
    ///
    /// # Errors
    /// [`BuildError`]
    pub async fn build(settings: Settings, shutdown: &Shutdown) -> Result<Self, BuildError> {
        // The futures of its callers stay small.
        Box::pin(Self::assemble(settings, shutdown)).await
    }

    async fn assemble(settings: Settings, shutdown: &Shutdown) -> Result<Self, BuildError> {
        settings.validate().map_err(|error| BuildError::Settings(error.to_string()))?;
        // The address first: whoever fails here has touched no file.
        let wanted = settings.api.addr().map_err(BuildError::Settings)?;
        let listener = TcpListener::bind(wanted).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BuildError::AddressInUse(wanted),
            _ => BuildError::Listen { addr: wanted, source },
        })?;
        let addr = listener.local_addr().map_err(|source| BuildError::Listen { addr: wanted, source })?;
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
            tracing::warn!(%collection, records = ids.len(), "lost to a loss of power; the next job indexes them again");
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
            // It outlives the drain: jobs that end still read from it.
            let (ended, drain) = (server.ended(), shutdown.drain());
            shutdown.spawn("embedded S3 server", async move {
                drain.run_until_cancelled(ended).await;
            });
        }
        let lines = parts::lines(&settings, addr, bucket_server.as_ref());
        let state = AppState {
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

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A client of the bucket that this service reads.
    ///
    /// # Errors
    /// [`BuildError::Bucket`]
    pub async fn bucket(&self) -> Result<Bucket, BuildError> {
        Bucket::of(self.client.clone()).await
    }

    /// What it uses and how to change it, one line each.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Answers until the shutdown begins, then lets what is in flight come to its end.
    ///
    /// # Errors
    /// [`BuildError::Serve`] where the HTTP server ends by itself.
    pub async fn serve(self) -> Result<(), BuildError> {
        let Self { listener, router, shutdown, bucket_server, _lock, .. } = self;
        // Last: jobs in flight are still reading from it.
        let last = async {
            if let Some(server) = bucket_server {
                server.stop().await;
            }
        };
        until_drained(listener, router, &shutdown, last).await
    }
}

/// Answers until the shutdown begins and all that is in flight has come to its end, and then does what is to be done
/// `last`. It answers while it drains, too: `/readyz` says so, and new work is refused.
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
    let by_itself = tokio::select! {
        () = drain.cancelled() => None,
        // It ends by itself only if it panics, and takes the process with it.
        outcome = &mut serving => Some(outcome),
    };
    drain.cancel();
    tracing::info!("draining: nothing new is taken, what is in flight comes to its end");
    let in_time = shutdown.finished().await;
    if !in_time {
        tracing::warn!("some work did not end in time and was given up; unfinished jobs go on at the next start");
    }
    closing.cancel();
    let outcome = match by_itself {
        Some(outcome) => Some(outcome),
        None if in_time => {
            let ended = tokio::time::timeout(LAST_REPLIES, serving).await.ok();
            if ended.is_none() {
                tracing::warn!("some replies did not end in time and were given up");
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
