//! The stores that the settings ask for, as each of their users needs them: patient for jobs, prompt for whoever waits
//! for an answer, with one breaker for both.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::BuildError;
use crate::config::Settings;
use crate::domain::{CollectionName, ImageId};
use crate::index::embedded::EmbeddedIndex;
use crate::index::qdrant::{QdrantIndex, QdrantSettings, grpc_url};
use crate::index::remote::{RecordsDoor, RemoteIndex};
use crate::index::weaviate::{WeaviateIndex, WeaviateSettings};
use crate::index::{ImageIndex, IndexSettings, Resilient, StoreKind, Stores as Named};
use crate::resilience::{Breaker, Guard, WaitBoard};

/// Calls of jobs under way at once in one store, over all jobs.
const JOB_PERMITS: usize = 16;
/// Calls of searches under way at once in one store, however many calls jobs make.
const SEARCH_PERMITS: usize = 64;
/// How often a search tries again.
const SEARCH_RETRIES: usize = 2;

/// What the embedded store has lost, by collection.
pub(super) type Lost = HashMap<CollectionName, HashSet<ImageId>>;

/// The stores, as each of their users needs them.
pub(super) struct Stores {
    pub(super) jobs: Named,
    pub(super) searches: Named,
    /// What was lost to a loss of power since the embedded store was last open.
    pub(super) lost: Lost,
}

/// Opens what is in this process. What is elsewhere is asked nothing yet: it may be up when it is needed.
pub(super) async fn open(settings: &Settings, board: &WaitBoard) -> Result<Stores, BuildError> {
    let (mut jobs, mut searches, mut lost) = (Vec::new(), Vec::new(), Lost::new());
    for kind in settings.index.kinds().map_err(BuildError::Settings)? {
        let (patient, prompt) = match kind {
            StoreKind::Embedded => {
                let index = embedded(settings).await?;
                for (collection, id) in index.lost() {
                    lost.entry(collection.clone()).or_default().insert(*id);
                }
                let index: Arc<dyn ImageIndex> = Arc::new(index);
                // A disk that is full is waited for. There is nothing to break and nothing to time here.
                let patient = Guard::background(kind.name(), board.clone());
                (Arc::new(Resilient::new(index.clone(), patient)) as _, index)
            }
            StoreKind::Qdrant => around(Arc::new(QdrantIndex::new(qdrant(&settings.index))?), settings, board),
            StoreKind::Weaviate => around(Arc::new(WeaviateIndex::new(weaviate(&settings.index))?), settings, board),
        };
        jobs.push(patient);
        searches.push(prompt);
    }
    Ok(Stores { jobs: Named::new(jobs), searches: Named::new(searches), lost })
}

/// The stores as a worker elsewhere writes to them: the embedded one through the service, which alone opens it.
pub(super) fn of_worker(
    settings: &Settings,
    service: &Arc<dyn RecordsDoor>,
    board: &WaitBoard,
) -> Result<Vec<Arc<dyn ImageIndex>>, BuildError> {
    let kinds = settings.index.kinds().map_err(BuildError::Settings)?.into_iter();
    let store = |kind| -> Result<Arc<dyn ImageIndex>, BuildError> {
        Ok(match kind {
            StoreKind::Embedded => Arc::new(RemoteIndex::new(service.clone())),
            StoreKind::Qdrant => around(Arc::new(QdrantIndex::new(qdrant(&settings.index))?), settings, board).0,
            StoreKind::Weaviate => around(Arc::new(WeaviateIndex::new(weaviate(&settings.index))?), settings, board).0,
        })
    };
    kinds.map(store).collect()
}

pub(super) async fn embedded(settings: &Settings) -> Result<EmbeddedIndex, BuildError> {
    let folder = settings.place.glimpse_data_dir.join("index");
    let opened = tokio::task::spawn_blocking(move || EmbeddedIndex::open(&folder)).await;
    Ok(opened.map_err(|_| BuildError::Settings("opening the index panicked; see the log".to_owned()))??)
}

pub(super) fn qdrant(of: &IndexSettings) -> QdrantSettings {
    QdrantSettings { url: of.qdrant_url.clone(), api_key: of.qdrant_api_key.clone(), timeout: of.timeout() }
}

pub(super) fn weaviate(of: &IndexSettings) -> WeaviateSettings {
    WeaviateSettings {
        url: of.weaviate_url.clone(),
        grpc_url: Some(of.weaviate_grpc_url.clone()).filter(|url| !url.is_empty()),
        api_key: of.weaviate_api_key.clone(),
        timeout: of.timeout(),
    }
}

/// The same store twice: for those who wait as long as it takes, and for those who wait for an answer.
fn around(
    raw: Arc<dyn ImageIndex>,
    settings: &Settings,
    board: &WaitBoard,
) -> (Arc<dyn ImageIndex>, Arc<dyn ImageIndex>) {
    let of = &settings.index;
    let breaker = Arc::new(Breaker::new(of.breaker()).of(raw.name()));
    let patient = Guard::background(raw.name(), board.clone()).through(breaker.clone());
    // Half of what the request itself has: whoever waits shall hear what was wrong.
    let prompt = of.timeout().min(Duration::from_secs(settings.api.glimpse_request_timeout) / 2);
    let guard = Guard::interactive(raw.name(), SEARCH_RETRIES).through(breaker);
    (
        Arc::new(Resilient::new(raw.clone(), patient.with_permits(JOB_PERMITS).within(of.timeout()))),
        Arc::new(Resilient::new(raw, guard.with_permits(SEARCH_PERMITS).within(prompt))),
    )
}

/// The line that says at the start where vectors are kept, and how to change it.
pub(super) fn line(of: &IndexSettings) -> String {
    let places = of.kinds().unwrap_or_default().into_iter().map(|kind| match kind {
        StoreKind::Embedded => "embedded".to_owned(),
        // Settings that come so far have been checked; the URLs have no password in them.
        StoreKind::Qdrant => match grpc_url(&of.qdrant_url) {
            Ok((url, true)) => format!("qdrant at {url}, the gRPC port of QDRANT_URL"),
            Ok((url, false)) => format!("qdrant at {url} (QDRANT_URL)"),
            Err(_) => "qdrant".to_owned(),
        },
        StoreKind::Weaviate => format!("weaviate at {} (WEAVIATE_URL)", of.weaviate_url),
    });
    let places = places.collect::<Vec<_>>().join(", ");
    format!("store    {places} (VECTOR_DB_PROVIDER), collection {} (VECTOR_DB_COLLECTION)", of.vector_db_collection)
}
