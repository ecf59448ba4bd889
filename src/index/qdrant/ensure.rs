//! Creates a collection, or checks the existing one.

use std::collections::HashMap;

use futures::StreamExt;
use qdrant_client::qdrant::{CreateFieldIndexCollectionBuilder, UpdateCollectionBuilder};

use super::QdrantIndex;
use super::collection::{COMPLETE, Found, creation, parse_server_name, server_name};
use super::error::{Fault, trouble};
use super::version::keeps_no_metadata;
use crate::domain::{CollectionName, FailureKind, Space};
use crate::index::{Ensured, IndexError};

/// The maximum number of collections that are requested at the same time.
const MAX_CONCURRENT_REQUESTS: usize = 8;

impl QdrantIndex {
    /// Creates the collection, or checks the existing one and completes its creation. The request that creates it also
    /// sets its metadata. If a caller is interrupted before it has made the indexes, the next caller makes them, and
    /// marks the collection as `complete`. Until then the result is `Created`, because no caller may have received it.
    pub(super) async fn ensure(&self, collection: &CollectionName, space: &Space) -> Result<Ensured, IndexError> {
        self.check_version().await?;
        if let Some(found) = self.find(collection).await? {
            return self.finish(collection, &found, space).await;
        }
        self.refuse_name_conflict(collection).await?;
        let request = creation(collection, space)?;
        let created = match self.client.call(self.client.qdrant.create_collection(request)).await {
            Ok(_) => true,
            // Another caller has created it in the meantime: use that collection.
            Err(Fault::Exists) => false,
            Err(fault) => return Err(fault.about(collection)),
        };
        let vanished = || trouble(FailureKind::Failed, "a collection that was just created does not exist any more");
        let found = self.collection_info(collection).await?.ok_or_else(vanished)?;
        if created && found.is_without_metadata() {
            // The version of the server was unknown, and the new collection is unusable.
            if found.points == 0 {
                self.remove_collection(collection).await?;
            }
            return Err(keeps_no_metadata(&server_name(collection)).into());
        }
        self.finish(collection, &found, space).await
    }

    async fn finish(&self, collection: &CollectionName, found: &Found, space: &Space) -> Result<Ensured, IndexError> {
        found.admits(collection, space)?;
        if found.complete {
            self.index(collection, found).await?;
            return Ok(Ensured::Existed);
        }
        // If two collections with conflicting names are created at the same moment, the first check can miss the
        // conflict. This second check finds it for at least one of them, which is removed again.
        if let Err(error) = self.refuse_name_conflict(collection).await {
            if matches!(error, IndexError::NameTaken { .. }) {
                self.remove_collection(collection).await?;
            }
            return Err(error);
        }
        self.index(collection, found).await?;
        let metadata = HashMap::from([(COMPLETE.to_owned(), serde_json::Value::from(true))]);
        let request = UpdateCollectionBuilder::new(server_name(collection)).metadata(metadata);
        let marked = self.client.call(self.client.qdrant.update_collection(request)).await;
        marked.map_err(|fault| fault.about(collection))?;
        Ok(Ensured::Created)
    }

    /// Creates the missing indexes.
    async fn index(&self, collection: &CollectionName, found: &Found) -> Result<(), IndexError> {
        for (field, kind) in found.missing() {
            let request = CreateFieldIndexCollectionBuilder::new(server_name(collection), field, kind).wait(true);
            let created = self.client.write(self.client.qdrant.create_field_index(request)).await;
            created.map_err(|fault| fault.about(collection))?;
        }
        Ok(())
    }

    /// Fails if another collection of ours has the same class name in Weaviate.
    async fn refuse_name_conflict(&self, wanted: &CollectionName) -> Result<(), IndexError> {
        let class = wanted.weaviate_class();
        for name in self.names().await? {
            if name != *wanted && name.weaviate_class() == class && self.find_own(&name).await?.is_some() {
                return Err(IndexError::NameTaken { wanted: wanted.clone(), existing: name });
            }
        }
        Ok(())
    }

    /// Returns every collection of ours with its space, sorted by name. One that is dropped meanwhile is left out.
    pub(super) async fn own_collections(&self) -> Result<Vec<(CollectionName, Space)>, IndexError> {
        let names = self.names().await?;
        let requests = futures::stream::iter(names).map(|name| async move { self.find_own(&name).await });
        let mut all = Vec::new();
        let mut answers = requests.buffered(MAX_CONCURRENT_REQUESTS);
        while let Some(answer) = answers.next().await {
            all.extend(answer?);
        }
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(all)
    }

    /// Returns the names of collections that may be ours, according to their suffix.
    async fn names(&self) -> Result<Vec<CollectionName>, IndexError> {
        let listed = self.client.call(self.client.qdrant.list_collections()).await;
        let listed = listed.map_err(|fault| match fault {
            Fault::Server(error) => error,
            other => trouble(FailureKind::Refused, format!("the server does not list its collections: {other:?}")),
        })?;
        Ok(listed.collections.iter().filter_map(|there| parse_server_name(&there.name)).collect())
    }

    async fn find_own(&self, name: &CollectionName) -> Result<Option<(CollectionName, Space)>, IndexError> {
        let ours = self.find(name).await?.and_then(Found::into_identity);
        Ok(ours.filter(|(is, _)| is == name))
    }

    /// Returns the collection with that name, even if this service did not create it. If it has no metadata, the
    /// version of the server is checked: a server that was replaced by one that is too old has no metadata at all, and
    /// the user would be asked to remove the collection.
    pub(super) async fn find(&self, collection: &CollectionName) -> Result<Option<Found>, IndexError> {
        let found = self.collection_info(collection).await?;
        if found.as_ref().is_some_and(Found::is_without_metadata) {
            self.check_version_again().await?;
        }
        Ok(found)
    }

    async fn collection_info(&self, collection: &CollectionName) -> Result<Option<Found>, IndexError> {
        let reply = self.client.call(self.client.qdrant.collection_info(server_name(collection))).await;
        match reply {
            Ok(answer) => {
                let info = answer.result.ok_or_else(|| {
                    trouble(FailureKind::Failed, "the server returned no information about a collection")
                })?;
                Ok(Some(Found::read(info)))
            }
            Err(Fault::Unknown) => Ok(None),
            Err(fault) => Err(fault.about(collection)),
        }
    }

    /// Removes the collection. Returns whether it existed.
    pub(super) async fn remove_collection(&self, collection: &CollectionName) -> Result<bool, IndexError> {
        let reply = self.client.call(self.client.qdrant.delete_collection(server_name(collection))).await;
        match reply {
            Ok(answer) => Ok(answer.result),
            Err(Fault::Unknown) => Ok(false),
            Err(fault) => Err(fault.about(collection)),
        }
    }
}
