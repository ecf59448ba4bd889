//! Checks the stores: they answer, and their collections have the vector space of the provider.

use crate::app::BuildError;
use crate::app::stores::{embedded, qdrant, weaviate};
use crate::domain::{CollectionInfo, FailureKind, Space};
use crate::index::embedded::OpenError;
use crate::index::qdrant::QdrantIndex;
use crate::index::weaviate::WeaviateIndex;
use crate::index::{ImageIndex, IndexError, StoreKind};

use super::{CheckResult, Doctor, Folder, Problem, finding};

impl Doctor {
    /// Checks each configured store.
    pub async fn stores(&self) -> Vec<CheckResult> {
        let mut findings = Vec::new();
        for kind in self.settings.index.vector_db_provider.as_slice() {
            findings.push(match kind {
                StoreKind::Embedded => finding("index", self.check_embedded()).await,
                StoreKind::Qdrant => {
                    let store = QdrantIndex::new(qdrant(&self.settings.index)).map_err(|error| error.to_string());
                    finding(kind.name(), self.check_remote(store, "QDRANT_URL", "QDRANT_API_KEY")).await
                }
                StoreKind::Weaviate => {
                    let store = WeaviateIndex::new(weaviate(&self.settings.index)).map_err(|error| error.to_string());
                    let address = "WEAVIATE_URL and WEAVIATE_GRPC_URL";
                    finding(kind.name(), self.check_remote(store, address, "WEAVIATE_API_KEY")).await
                }
            });
        }
        findings
    }

    async fn check_remote(
        &self,
        store: Result<impl ImageIndex, String>,
        address: &str,
        key: &str,
    ) -> Result<String, Problem> {
        let store = store.map_err(|error| Problem::new(&error, format!("set {address}")))?;
        let advice = |error: &IndexError| match error {
            IndexError::Dependency(down) if down.failure == FailureKind::Refused => {
                format!("check {key} and {address}")
            }
            IndexError::Dependency(down) if down.failure == FailureKind::Misconfigured => {
                format!("change the configuration of the server, or set {address} to another server")
            }
            _ => format!("start the server, or set {address} to its address"),
        };
        let collections = async {
            store.ready().await?;
            store.collections().await
        };
        let collections = collections.await.map_err(|error| Problem::new(&error, advice(&error)))?;
        Ok(self.count_images(&collections))
    }

    async fn check_embedded(&self) -> Result<String, Problem> {
        match self.folder {
            Folder::Running => return Ok("in use by the running service, which is checked below".to_owned()),
            Folder::Missing => return Ok("embedded; will be created at the first start".to_owned()),
            Folder::Own(_) if !self.settings.locations.glimpse_data_dir.join("index").exists() => {
                return Ok("embedded; will be created by the first job".to_owned());
            }
            Folder::Own(_) => {}
        }
        let broken = |error: String| {
            let advice = "restore the data folder from a backup, or index again into a new folder (GLIMPSE_DATA_DIR)";
            Problem::new(&error, advice)
        };
        let index = embedded(&self.settings).await.map_err(|error| match &error {
            BuildError::Index(OpenError::Sqlite(sqlite)) if sqlite.disk().is_some() => Problem::new(
                &error,
                "make the disk of GLIMPSE_DATA_DIR usable: free some space, or let this user write to it",
            ),
            other => broken(other.to_string()),
        })?;
        let collections = index.collections().await.map_err(|error| broken(error.to_string()))?;
        let lost = match index.lost_records().len() {
            0 => String::new(),
            lost => format!("; {lost} images were lost, and the next job indexes them again"),
        };
        Ok(format!("embedded: {}{lost}", self.count_images(&collections)))
    }

    fn count_images(&self, collections: &[CollectionInfo]) -> String {
        let records: u64 = collections.iter().map(|info| info.count).sum();
        let others = self.space.as_ref().map(|space| other_spaces(collections, space)).unwrap_or_default();
        format!("{} collections, {records} images{others}", collections.len())
    }
}

/// Returns a note about collections that have another space than the model of the settings. They go on with their own model.
fn other_spaces(collections: &[CollectionInfo], space: &Space) -> String {
    let others: Vec<_> = collections.iter().filter_map(|info| Some((info, info.space.admits(space).err()?))).collect();
    let Some((info, mismatch)) = others.first() else { return String::new() };
    let more = match others.len() {
        1 => String::new(),
        count => format!(" ({} more collections too)", count - 1),
    };
    format!(
        "; the collection {} has vectors of `{}`, and the settings describe `{}` (IMAGE_EMBEDDING_PROVIDER, CLIP_MODEL, \
         IMAGE_RESIZE, IMAGE_PAD_COLOR, IMAGE_COLOR){more}: it goes on with the model it was made with, and `glimpse \
         collections rebuild {}` changes it",
        info.name, mismatch.stored, mismatch.offered, info.name
    )
}
