//! The stores: they are there, and their collections are of the provider's space.

use crate::app::stores::{embedded, qdrant, weaviate};
use crate::domain::{CollectionInfo, Space, Trouble};
use crate::index::qdrant::QdrantIndex;
use crate::index::weaviate::WeaviateIndex;
use crate::index::{ImageIndex, IndexError, StoreKind};

use super::{Complaint, Doctor, Finding, Folder, finding};

impl Doctor {
    /// Each configured store.
    pub async fn stores(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for kind in self.settings.index.kinds().unwrap_or_default() {
            findings.push(match kind {
                StoreKind::Embedded => finding("index", self.look_into_the_index()).await,
                StoreKind::Qdrant => {
                    let store = QdrantIndex::new(qdrant(&self.settings.index)).map_err(|error| error.to_string());
                    finding(kind.name(), self.look_elsewhere(store, "QDRANT_URL", "QDRANT_API_KEY")).await
                }
                StoreKind::Weaviate => {
                    let store = WeaviateIndex::new(weaviate(&self.settings.index)).map_err(|error| error.to_string());
                    let address = "WEAVIATE_URL and WEAVIATE_GRPC_URL";
                    finding(kind.name(), self.look_elsewhere(store, address, "WEAVIATE_API_KEY")).await
                }
            });
        }
        findings
    }

    async fn look_elsewhere(
        &self,
        store: Result<impl ImageIndex, String>,
        address: &str,
        key: &str,
    ) -> Result<String, Complaint> {
        let store = store.map_err(|error| Complaint::new(&error, format!("set {address}")))?;
        let advice = |error: &IndexError| match error {
            IndexError::Dependency(down) if down.trouble == Trouble::Refused => format!("check {key} and {address}"),
            IndexError::Dependency(down) if down.trouble == Trouble::Misconfigured => {
                format!("change the server that {address} names, or name another one")
            }
            _ => format!("start it, or set {address} to where it is"),
        };
        let collections = async {
            store.ready().await?;
            store.collections().await
        };
        let collections = collections.await.map_err(|error| Complaint::new(&error, advice(&error)))?;
        self.counted(&collections)
    }

    async fn look_into_the_index(&self) -> Result<String, Complaint> {
        match self.folder {
            Folder::Running => return Ok("in use by the running service, which is asked below".to_owned()),
            Folder::Missing => return Ok("embedded; it is made at the first start".to_owned()),
            Folder::JobStance(_) if !self.settings.place.glimpse_data_dir.join("index").exists() => {
                return Ok("embedded; it is made with the first job".to_owned());
            }
            Folder::JobStance(_) => {}
        }
        let broken = |error: String| {
            Complaint::new(&error, "restore the data folder, or index again into a new one (GLIMPSE_DATA_DIR)")
        };
        let index = embedded(&self.settings).await.map_err(|error| broken(error.to_string()))?;
        let collections = index.collections().await.map_err(|error| broken(error.to_string()))?;
        let lost = match index.lost().len() {
            0 => String::new(),
            lost => format!("; {lost} were lost and are indexed again by the next job"),
        };
        Ok(format!("embedded: {}{lost}", self.counted(&collections)?))
    }

    fn counted(&self, collections: &[CollectionInfo]) -> Result<String, Complaint> {
        if let Some(space) = &self.space {
            same_space(collections, space)?;
        }
        let records: u64 = collections.iter().map(|info| info.count).sum();
        Ok(format!("{} collections, {records} images", collections.len()))
    }
}

fn same_space(collections: &[CollectionInfo], space: &Space) -> Result<(), Complaint> {
    for info in collections {
        info.space.admits(space).map_err(|moved| {
            let advice = "use another collection (VECTOR_DB_COLLECTION), or the provider that it was made with";
            Complaint::new(&format!("collection {}: {moved}", info.name), advice)
        })?;
    }
    Ok(())
}
