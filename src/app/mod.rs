//! The composition root: builds a service from its settings. Only this module names concrete adapters.

mod archive;
mod backup;
mod bucket;
mod clip;
mod cluster;
mod doctor;
mod edge;
mod embedding;
mod error;
pub(crate) mod models;
mod parts;
mod providers;
mod queue;
mod registry;
mod serve;
mod start_lines;
mod stores;
mod traces;
mod upkeep;
mod webhooks;
mod worker;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

use crate::api::{AppState, BasePath, CookieName, Defaults, router};
use crate::aws::SnsClient;
use crate::browse::Browse;
use crate::calibration::Calibration;
use crate::collection_models::CollectionModels;
use crate::collections::{RecallParts, RecallReports, RecallTest};
use crate::config::Settings;
use crate::demo;
use crate::disk::DiskWatch;
use crate::domain::InvalidSetting;
use crate::embed::EmbeddingModels;
use crate::health::Health;
use crate::images::Images;
use crate::index::StoreKind;
use crate::jobs::{DropListener, JobParts, Jobs};
use crate::ledger::{Ledger, objects};
use crate::mirrors::Mirrors;
use crate::pipeline::Pipeline;
use crate::resilience::WaitList;
use crate::search::Search;
use crate::server::ServerTls;
use crate::shutdown::Shutdown;
use crate::source::{EmbeddedS3, S3Settings};
use crate::telemetry::metrics;
use crate::telemetry::traces::Traces;
use crate::uploads::Uploads;

pub use crate::aws::SnsConnection;
pub use crate::ledger::VERSION as LEDGER_VERSION;
pub use archive::{LOCK_FILE, claim_data_folder, open_archive, stored_keys};
pub use bucket::Bucket;
pub use clip::ClipService;
pub use doctor::{CheckResult, Doctor, Problem, finding};
pub use error::BuildError;

pub use crate::worker::{WorkerError, WorkerSettings};
pub use worker::WorkerApp;

use registry::ModelRegistry;

/// A service that listens but does not answer requests yet.
#[derive(Debug)]
pub struct App {
    listener: TcpListener,
    addr: SocketAddr,
    router: Router,
    tls: Option<ServerTls>,
    lines: Vec<String>,
    shutdown: Shutdown,
    client: S3Settings,
    bucket_server: Option<EmbeddedS3>,
    traces: Option<Traces>,
    /// Held while the service runs: a data folder can have only one service.
    _lock: File,
}

impl App {
    /// Builds every part and binds every address. No request is answered before [`App::serve`].
    ///
    /// # Errors
    /// [`BuildError`]
    pub async fn build(settings: Settings, shutdown: &Shutdown) -> Result<Self, BuildError> {
        Self::build_with_sns(settings, shutdown, &SnsConnection::default()).await
    }

    /// The same with another service than SNS of AWS. It is not a setting, because it decides which events are trusted.
    ///
    /// # Errors
    /// [`BuildError`]
    pub async fn build_with_sns(
        settings: Settings,
        shutdown: &Shutdown,
        sns: &SnsConnection,
    ) -> Result<Self, BuildError> {
        // Boxed to keep the futures of the callers small.
        Box::pin(Self::assemble(settings, shutdown, sns)).await
    }

    async fn assemble(settings: Settings, shutdown: &Shutdown, sns: &SnsConnection) -> Result<Self, BuildError> {
        settings.validate()?;
        settings.api.check_keys().map_err(|error| BuildError::Setting(InvalidSetting(error)))?;
        for warning in settings.without_effect() {
            tracing::warn!("{warning}");
        }
        // The address first: if this fails, no file has been changed.
        let (listener, addr) = listen(settings.api.glimpse_addr).await?;
        metrics::install();
        let traces = traces::start(&settings, "service")?;
        let (tls, tokens) = edge::open(&settings, shutdown).await?;
        let folder = settings.locations.glimpse_data_dir.clone();
        let lock = parts::lock_for_service(&folder)?;
        let waiting = WaitList::default();
        let disk = DiskWatch::new(&folder, settings.disk, waiting.clone());
        let (client, bucket_server) = parts::bucket(&settings).await?;
        let source = parts::sources(&settings, client.clone(), &waiting).await?;
        let models = Arc::new(ModelRegistry::open(&settings, &waiting, shutdown).await?);
        let default = models.get(&models.default_record()).await?;
        let searches = default.searches.clone();
        let stores = stores::open(&settings, &waiting).await?;
        let ledger = Ledger::open(&folder)?;
        let (keys, audit) = edge::open_keys(&settings, addr, &ledger, shutdown).await?;
        forget_lost(&ledger, stores.lost).await?;
        let limits = settings.imaging.limits();
        let thumbnail_prefix = settings.source.thumbnail_prefix.clone();
        let (thumbnails, originals) = parts::images(&settings, client.clone()).await?;
        let mut pipeline = Pipeline::new(source.jobs, default.jobs.clone(), stores.jobs, limits, &settings.pipeline)
            .with_thumbnail_prefix(&thumbnail_prefix)
            .with_exif(settings.imaging.image_exif);
        if settings.images.keeps_thumbnails_of_jobs() {
            pipeline = pipeline.with_thumbnail_store(Arc::new(thumbnails.clone()));
        }
        let calibration = Calibration::new(&searches, folder.join("calibration"), settings.embed.glimpse_calibrate);
        let recall = RecallReports::default();
        let models = CollectionModels::open(ledger.clone(), models, stores.searches.clone()).await?;
        let backups = backup::open(&settings, stores.embedded, ledger.clone(), bucket_server.as_ref())?;
        shutdown.spawn("upkeep of backups", backups.clone().keep(shutdown.drain()));
        let webhooks = webhooks::open(&ledger, &settings).await?;
        let jobs = Jobs::start(JobParts {
            ledger,
            pipeline,
            models: models.clone(),
            stores: stores.searches.clone(),
            settings: settings.jobs.clone(),
            default_bucket: settings.source.s3_bucket.clone(),
            allowed_buckets: settings.source.allowed_buckets(),
            thumbnail_prefix,
            exclude: settings.source.s3_exclude.clone(),
            placing: cluster::placing(&settings, addr)?,
            waiting,
            disk: disk.clone(),
            drop_listener: drop_listener(calibration.clone(), recall.clone()),
            drain: shutdown.drain(),
            tasks: shutdown.tasks().clone(),
        })
        .await?;
        shutdown.spawn("scheduler of jobs", jobs.scheduler());
        let sns = SnsClient::new(sns).map_err(|error| BuildError::Setting(InvalidSetting(error)))?;
        let (mirrors, keep_mirrors) = Mirrors::start(&jobs, Arc::new(sns)).await?;
        shutdown.spawn("mirrors", keep_mirrors);
        webhooks::start(webhooks, &jobs, &mirrors, shutdown);
        queue::start(&settings, &mirrors, shutdown).await;
        let allowed = settings.uploads.allowed(settings.api.is_local(addr));
        let uploads = Uploads::new(jobs.clone(), mirrors.clone(), source.requests, allowed);
        upkeep::keep_calibration(&calibration, shutdown);
        upkeep::compare_models(&models, shutdown);
        let texts: Vec<String> = demo::queries().into_iter().map(|(text, _)| text).chain(demo::captions()).collect();
        let recall_test = RecallTest::open(RecallParts {
            jobs: jobs.clone(),
            texts: texts.clone(),
            max_ms: settings.index.vector_db_recall_max_ms,
            reports: recall.clone(),
        })
        .await?;
        if settings.index.vector_db_recall_test {
            let end = shutdown.drain();
            shutdown.spawn("self-test of the stores", async move { recall_test.keep(end).await });
        }
        shutdown.spawn("upkeep of metrics", metrics::upkeep(shutdown.drain()));
        upkeep::watch_disk(disk, bucket_server.as_ref(), shutdown);
        let lines = start_lines::start_lines(&settings, addr, &keys, tls.as_ref(), bucket_server.as_ref());
        let state = AppState {
            health: Health::new(searches, stores.searches.clone(), jobs.clone(), tokens.clone()),
            jobs,
            mirrors,
            uploads,
            search: Search::new(models, stores.searches.clone(), calibration.clone(), limits).with_sample_texts(texts),
            browse: Browse::new(stores.searches.clone()),
            recall,
            keys,
            audit,
            tokens,
            images: Images::new(stores.searches, thumbnails, originals),
            backups,
            defaults: defaults(&settings, addr),
        };
        let router = router(state, &settings.api, parts::access_log(&settings)?);
        let shutdown = shutdown.clone();
        Ok(Self { listener, addr, router, tls, lines, shutdown, client, bucket_server, traces, _lock: lock })
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
        Bucket::connect(self.client.clone()).await
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
        let Self { listener, router, tls, shutdown, bucket_server, traces, _lock, .. } = self;
        // The bucket is stopped last, because jobs in flight still read from it.
        let stop_bucket = async {
            if let Some(server) = bucket_server {
                server.stop().await;
            }
        };
        // All requests and jobs have ended, and with them their spans.
        let last = async {
            tokio::join!(stop_bucket, traces::flush(traces));
        };
        serve::serve_until_drained(listener, router, tls, &shutdown, last).await
    }
}

/// Returns what requests use if they do not name it.
async fn listen(requested: SocketAddr) -> Result<(TcpListener, SocketAddr), BuildError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => BuildError::AddressInUse(requested),
        _ => BuildError::Listen { addr: requested, source },
    };
    let listener = TcpListener::bind(requested).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok((listener, addr))
}

fn defaults(settings: &Settings, addr: SocketAddr) -> Defaults {
    Defaults {
        collection: settings.index.vector_db_collection.clone(),
        namespace: settings.api.k8s_namespace.clone().into(),
        max_image_bytes: usize::try_from(settings.imaging.limits().max_bytes).unwrap_or(usize::MAX),
        bucket: settings.source.s3_bucket.clone().into(),
        provider: settings.embed.image_embedding_provider.name(),
        base_path: BasePath::new(settings.api.glimpse_public_url.as_ref()),
        cookie_name: CookieName::new(
            settings.api.glimpse_public_url.as_ref(),
            addr.port(),
            settings.tls.files().is_some(),
        ),
        has_tls: settings.tls.files().is_some(),
    }
}

/// Removes records that the embedded index has lost from the ledger, so that the next job indexes their images again.
async fn forget_lost(ledger: &Ledger, lost: stores::Lost) -> Result<(), BuildError> {
    for (collection, ids) in lost {
        tracing::warn!(%collection, records = ids.len(), "records were lost; the next job indexes their images again");
        ledger.in_steps(objects::forget::forget_ids(collection, StoreKind::Embedded.name(), ids)).await?;
    }
    Ok(())
}

/// Returns what happens when a collection is dropped.
fn drop_listener(calibration: Calibration, recall: RecallReports) -> DropListener {
    DropListener::new(move |collection| {
        calibration.forget_collection(collection);
        recall.forget(collection);
    })
}
