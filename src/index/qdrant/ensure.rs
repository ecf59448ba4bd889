//! A collection is made, or found to be fit.

use std::collections::HashMap;

use futures::StreamExt;
use qdrant_client::qdrant::{CreateFieldIndexCollectionBuilder, UpdateCollectionBuilder};

use super::QdrantIndex;
use super::collection::{COMPLETE, Found, creation, name_here, name_there};
use super::error::{Fault, trouble};
use super::version::keeps_no_metadata;
use crate::domain::{CollectionName, Space, Trouble};
use crate::index::{Ensured, IndexError};

/// Collections that are asked about at once.
const AT_ONCE: usize = 8;

impl QdrantIndex {
    /// Makes the collection, or finishes and checks the one that is there. Whoever makes it says who it is in the
    /// same request; what follows (the indexes) is done again by the next caller where it was cut short, and only
    /// then is the collection `complete`. Until it is, the answer is `Created`: nobody may have been told yet.
    pub(super) async fn ensure(&self, collection: &CollectionName, space: &Space) -> Result<Ensured, IndexError> {
        self.check_version().await?;
        if let Some(found) = self.find(collection).await? {
            return self.finish(collection, &found, space).await;
        }
        self.refuse_twins(collection).await?;
        let request = creation(collection, space)?;
        let made = match self.client.call(self.client.qdrant.create_collection(request)).await {
            Ok(_) => true,
            // Another may have been quicker: the one that is there counts.
            Err(Fault::Exists) => false,
            Err(fault) => return Err(fault.about(collection)),
        };
        let gone = || trouble(Trouble::Failed, "a collection that was just made is gone");
        let found = self.look(collection).await?.ok_or_else(gone)?;
        if made && found.is_without_metadata() {
            // The version was not known. What was just made is of no use to anyone.
            if found.points == 0 {
                self.drop_there(collection).await?;
            }
            return Err(keeps_no_metadata(&name_there(collection)).into());
        }
        self.finish(collection, &found, space).await
    }

    async fn finish(&self, collection: &CollectionName, found: &Found, space: &Space) -> Result<Ensured, IndexError> {
        found.admits(collection, space)?;
        if found.complete {
            self.index(collection, found).await?;
            return Ok(Ensured::Existed);
        }
        // Two that are made at one moment do not see each other before, but at least one of them sees the other
        // now, and withdraws.
        if let Err(error) = self.refuse_twins(collection).await {
            if matches!(error, IndexError::NameTaken { .. }) {
                self.drop_there(collection).await?;
            }
            return Err(error);
        }
        self.index(collection, found).await?;
        let metadata = HashMap::from([(COMPLETE.to_owned(), serde_json::Value::from(true))]);
        let request = UpdateCollectionBuilder::new(name_there(collection)).metadata(metadata);
        let marked = self.client.call(self.client.qdrant.update_collection(request)).await;
        marked.map_err(|fault| fault.about(collection))?;
        Ok(Ensured::Created)
    }

    /// Makes the indexes that are missing.
    async fn index(&self, collection: &CollectionName, found: &Found) -> Result<(), IndexError> {
        for (field, kind) in found.missing() {
            let request = CreateFieldIndexCollectionBuilder::new(name_there(collection), field, kind).wait(true);
            let made = self.client.write(self.client.qdrant.create_field_index(request)).await;
            made.map_err(|fault| fault.about(collection))?;
        }
        Ok(())
    }

    /// Refuses a name whose class in Weaviate another collection of ours has.
    async fn refuse_twins(&self, wanted: &CollectionName) -> Result<(), IndexError> {
        let class = wanted.weaviate_class();
        for name in self.names().await? {
            if name != *wanted && name.weaviate_class() == class && self.find_ours(&name).await?.is_some() {
                return Err(IndexError::NameTaken { wanted: wanted.clone(), existing: name });
            }
        }
        Ok(())
    }

    /// Every collection of ours with its space, by name. One that is dropped meanwhile is left out.
    pub(super) async fn all_ours(&self) -> Result<Vec<(CollectionName, Space)>, IndexError> {
        let names = self.names().await?;
        let asked = futures::stream::iter(names).map(|name| async move { self.find_ours(&name).await });
        let mut all = Vec::new();
        let mut answers = asked.buffered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            all.extend(answer?);
        }
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(all)
    }

    /// Names of what may be ours, by how they end.
    async fn names(&self) -> Result<Vec<CollectionName>, IndexError> {
        let listed = self.client.call(self.client.qdrant.list_collections()).await;
        let listed = listed.map_err(|fault| match fault {
            Fault::Server(error) => error,
            other => trouble(Trouble::Refused, format!("does not list its collections: {other:?}")),
        })?;
        Ok(listed.collections.iter().filter_map(|there| name_here(&there.name)).collect())
    }

    async fn find_ours(&self, name: &CollectionName) -> Result<Option<(CollectionName, Space)>, IndexError> {
        let ours = self.find(name).await?.and_then(Found::into_ours);
        Ok(ours.filter(|(is, _)| is == name))
    }

    /// What is there of that name, whoever made it. Of a server that was replaced by one that is too old, nothing would be
    /// ours, and a user would be told to remove it.
    pub(super) async fn find(&self, collection: &CollectionName) -> Result<Option<Found>, IndexError> {
        let found = self.look(collection).await?;
        if found.as_ref().is_some_and(Found::is_without_metadata) {
            self.check_version_again().await?;
        }
        Ok(found)
    }

    async fn look(&self, collection: &CollectionName) -> Result<Option<Found>, IndexError> {
        let asked = self.client.call(self.client.qdrant.collection_info(name_there(collection))).await;
        match asked {
            Ok(answer) => {
                let info = answer.result.ok_or_else(|| trouble(Trouble::Failed, "says nothing of a collection"))?;
                Ok(Some(Found::read(info)))
            }
            Err(Fault::Unknown) => Ok(None),
            Err(fault) => Err(fault.about(collection)),
        }
    }

    /// Removes the collection, and says whether it was there.
    pub(super) async fn drop_there(&self, collection: &CollectionName) -> Result<bool, IndexError> {
        let asked = self.client.call(self.client.qdrant.delete_collection(name_there(collection))).await;
        match asked {
            Ok(answer) => Ok(answer.result),
            Err(Fault::Unknown) => Ok(false),
            Err(fault) => Err(fault.about(collection)),
        }
    }
}
