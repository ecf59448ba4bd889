//! Builds the stores of the settings, in two variants: for jobs, which retry for as long as needed, and for searches,
//! which answer quickly. Both variants share one circuit breaker.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::BuildError;
use crate::config::Settings;
use crate::domain::{CollectionName, ImageId};
use crate::index::embedded::EmbeddedIndex;
use crate::index::qdrant::{QdrantIndex, QdrantSettings, grpc_url};
use crate::index::remote::{RecordsClient, RemoteIndex};
use crate::index::several_stores::Generations;
use crate::index::weaviate::{WeaviateIndex, WeaviateSettings};
use crate::index::{ImageIndex, IndexSettings, Resilient, StoreKind, Stores as StoreSet};
use crate::resilience::{Breaker, Guard, WaitList};

/// Maximum number of concurrent calls of all jobs to one store.
const JOB_PERMITS: usize = 16;
/// Maximum number of concurrent calls of searches to one store, independent of the calls of jobs.
const SEARCH_PERMITS: usize = 64;
/// Number of retries of a search.
const SEARCH_RETRIES: usize = 2;

/// The ids of records that the embedded store has lost, by collection.
pub(super) type Lost = HashMap<CollectionName, HashSet<ImageId>>;

/// The stores, in the variant for each of their users.
pub(super) struct Stores {
    pub(super) jobs: StoreSet,
    pub(super) searches: StoreSet,
    /// Records that were lost in a power failure since the embedded store was last open.
    pub(super) lost: Lost,
    /// The embedded store, if it is one of them.
    pub(super) embedded: Option<EmbeddedIndex>,
}

/// A store for jobs, and the same store for searches.
type Variants = (Arc<dyn ImageIndex>, Arc<dyn ImageIndex>);

/// Opens the stores. Makes no network call to remote stores yet: a store that is down now may be up when it is needed.
pub(super) async fn open(settings: &Settings, wait_list: &WaitList) -> Result<Stores, BuildError> {
    let (mut jobs, mut searches, mut lost, mut opened) = (Vec::new(), Vec::new(), Lost::new(), None);
    for kind in settings.index.vector_db_provider.as_slice() {
        let (background, interactive) = if let Some(variants) = open_server(*kind, settings, wait_list)? {
            variants
        } else {
            let index = embedded(settings).await?;
            for (collection, id) in index.lost_records() {
                lost.entry(collection.clone()).or_default().insert(*id);
            }
            opened = Some(index.clone());
            let index: Arc<dyn ImageIndex> = Arc::new(index);
            // Jobs wait while the disk is full. A local store needs no circuit breaker and no timeout.
            let guard = Guard::background(kind.name(), wait_list.clone());
            (Arc::new(Resilient::new(index.clone(), guard)) as _, index)
        };
        jobs.push(background);
        searches.push(interactive);
    }
    let generations = Generations::default();
    let with_generations = |stores| StoreSet::new(stores).with_generations(generations.clone());
    Ok(Stores { jobs: with_generations(jobs), searches: with_generations(searches), lost, embedded: opened })
}

/// Returns the stores for a remote worker. It writes to the embedded store through the service, because only the
/// service can open it.
pub(super) fn open_for_worker(
    settings: &Settings,
    service: &Arc<dyn RecordsClient>,
    wait_list: &WaitList,
) -> Result<Vec<Arc<dyn ImageIndex>>, BuildError> {
    let store = |kind: &StoreKind| -> Result<Arc<dyn ImageIndex>, BuildError> {
        let variants = open_server(*kind, settings, wait_list)?;
        Ok(variants.map_or_else(|| Arc::new(RemoteIndex::new(service.clone())) as _, |(background, _)| background))
    };
    settings.index.vector_db_provider.as_slice().iter().map(store).collect()
}

pub(super) async fn embedded(settings: &Settings) -> Result<EmbeddedIndex, BuildError> {
    let folder = settings.locations.glimpse_data_dir.join("index");
    let opened = tokio::task::spawn_blocking(move || EmbeddedIndex::open(&folder)).await;
    Ok(opened.map_err(|_| BuildError::Panicked("opening the embedded index"))??)
}

pub(super) fn qdrant(settings: &IndexSettings) -> QdrantSettings {
    QdrantSettings {
        url: settings.qdrant_url.clone(),
        api_key: settings.qdrant_api_key.clone(),
        timeout: settings.vector_db_timeout.duration(),
        quantization: settings.vector_db_quantization,
    }
}

pub(super) fn weaviate(settings: &IndexSettings) -> WeaviateSettings {
    WeaviateSettings {
        url: settings.weaviate_url.clone(),
        grpc_url: settings.weaviate_grpc_url.clone(),
        api_key: settings.weaviate_api_key.clone(),
        timeout: settings.vector_db_timeout.duration(),
        quantization: settings.vector_db_quantization,
    }
}

/// Returns two variants of a store outside this process: for jobs, which wait as long as needed, and for searches, which
/// must answer quickly. Returns `None` for the embedded store.
fn open_server(kind: StoreKind, settings: &Settings, wait_list: &WaitList) -> Result<Option<Variants>, BuildError> {
    let raw: Arc<dyn ImageIndex> = match kind {
        StoreKind::Embedded => return Ok(None),
        StoreKind::Qdrant => Arc::new(QdrantIndex::new(qdrant(&settings.index))?),
        StoreKind::Weaviate => Arc::new(WeaviateIndex::new(weaviate(&settings.index))?),
    };
    let timeout = settings.index.vector_db_timeout.duration();
    let breaker = Arc::new(Breaker::new(settings.index.breaker()).with_metrics(raw.name()));
    let background = Guard::background(raw.name(), wait_list.clone()).with_breaker(breaker.clone());
    // Half of the timeout of the request, so that the client still gets the reason of a failure.
    let search_timeout = timeout.min(settings.api.glimpse_request_timeout.duration() / 2);
    let interactive = Guard::interactive(raw.name(), SEARCH_RETRIES).with_breaker(breaker);
    Ok(Some((
        Arc::new(Resilient::new(raw.clone(), background.with_permits(JOB_PERMITS).with_timeout(timeout))),
        Arc::new(Resilient::new(raw, interactive.with_permits(SEARCH_PERMITS).with_timeout(search_timeout))),
    )))
}

/// Returns the start line: where vectors are stored, and which settings change it.
pub(super) fn start_line(settings: &IndexSettings) -> String {
    let descriptions = settings.vector_db_provider.as_slice().iter().map(|kind| match kind {
        StoreKind::Embedded => "embedded".to_owned(),
        StoreKind::Qdrant => match grpc_url(&settings.qdrant_url) {
            (url, true) => format!("qdrant at {url}, the gRPC port of QDRANT_URL"),
            (url, false) => format!("qdrant at {url} (QDRANT_URL)"),
        },
        StoreKind::Weaviate => format!("weaviate at {} (WEAVIATE_URL)", settings.weaviate_url),
    });
    let descriptions = descriptions.collect::<Vec<_>>().join(", ");
    format!(
        "store    {descriptions} (VECTOR_DB_PROVIDER), collection {} (VECTOR_DB_COLLECTION)",
        settings.vector_db_collection
    )
}
