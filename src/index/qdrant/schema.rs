//! Finds, creates and removes collections.

use std::collections::HashMap;

use futures::StreamExt;
use qdrant_client::qdrant::{CreateAliasBuilder, CreateFieldIndexCollectionBuilder, UpdateCollectionBuilder};

use super::client::{Client, no_metadata_error};
use super::collection::{
    COMPLETE_KEY, FoundCollection, creation_request, end_of_load_request, parse_server_name, server_name,
};
use super::error::{Fault, dependency_error};
use crate::domain::{CollectionName, FailureKind, Space};
use crate::index::{EnsureOutcome, IndexError, Quantization};

/// The maximum number of collections that are requested at the same time.
const MAX_CONCURRENT_REQUESTS: usize = 8;

/// Creates the collection, or checks the existing one and completes its creation. The request that creates it also sets
/// its metadata. If a caller is interrupted before it has made the indexes, the next caller makes them, and marks the
/// collection as complete. Until then the result is `Created`, because no caller may have received it.
pub(super) async fn ensure(
    client: &Client,
    collection: &CollectionName,
    space: &Space,
    quantization: Quantization,
) -> Result<EnsureOutcome, IndexError> {
    client.check_version().await?;
    if let Some(found) = find(client, collection).await? {
        if found.quantization != quantization {
            let (existing, setting) = (found.quantization, quantization);
            tracing::info!(%collection, ?existing, ?setting, "a collection in Qdrant is left as it was created");
        }
        return complete(client, collection, &found, space).await;
    }
    refuse_name_conflict(client, collection).await?;
    let request = creation_request(collection, space, quantization)?;
    let created = match client.call(client.qdrant().create_collection(request)).await {
        Ok(_) => true,
        // Another caller has created it in the meantime: use that collection.
        Err(Fault::Exists) => false,
        Err(fault) => return Err(fault.into_index_error(collection)),
    };
    let vanished =
        || dependency_error(FailureKind::Failed, "a collection that was just created does not exist any more");
    let found = collection_info(client, collection).await?.ok_or_else(vanished)?;
    if created && found.has_no_metadata() {
        // The version of the server was unknown, and the new collection is unusable.
        if found.points == 0 {
            remove(client, collection).await?;
        }
        return Err(no_metadata_error(&server_name(collection)).into());
    }
    complete(client, collection, &found, space).await
}

async fn complete(
    client: &Client,
    collection: &CollectionName,
    found: &FoundCollection,
    space: &Space,
) -> Result<EnsureOutcome, IndexError> {
    found.admits(collection, space)?;
    if found.complete {
        match create_indexes(client, collection, found).await {
            Ok(()) => {}
            // The collection is of an earlier version, and can be searched and written without the indexes of this one.
            Err(Fault::Limit(limit)) => {
                tracing::info!(%collection, reply = limit.message, "Qdrant allows no further index");
            }
            Err(fault) => return Err(fault.into_index_error(collection)),
        }
        return Ok(EnsureOutcome::Existed);
    }
    // If two collections with conflicting names are created at the same moment, the first check can miss the conflict.
    // This second check finds it for at least one of them, which is removed again.
    if let Err(error) = refuse_name_conflict(client, collection).await {
        if matches!(error, IndexError::NameTaken { .. }) {
            remove(client, collection).await?;
        }
        return Err(error);
    }
    create_indexes(client, collection, found).await.map_err(|fault| fault.into_index_error(collection))?;
    let metadata = HashMap::from([(COMPLETE_KEY.to_owned(), serde_json::Value::from(true))]);
    let request = UpdateCollectionBuilder::new(server_name(collection)).metadata(metadata);
    let updated = client.call(client.qdrant().update_collection(request)).await;
    updated.map_err(|fault| fault.into_index_error(collection))?;
    Ok(EnsureOutcome::Created)
}

/// Ends the state in which the collection was created for its first load.
pub(super) async fn finish_load(client: &Client, collection: &CollectionName) -> Result<(), IndexError> {
    if find(client, collection).await?.is_some_and(|found| found.is_loading) {
        let updated = client.call(client.qdrant().update_collection(end_of_load_request(collection))).await;
        updated.map_err(|fault| fault.into_index_error(collection))?;
    }
    Ok(())
}

/// Creates the indexes that a collection of an earlier version does not have. Lists and counts need them; a filter works
/// without.
pub(super) async fn add_missing_indexes(client: &Client, collection: &CollectionName) -> Result<(), Fault> {
    let reply = client.call(client.qdrant().collection_info(server_name(collection))).await?;
    match reply.result {
        Some(info) => create_indexes(client, collection, &FoundCollection::from_info(info)).await,
        None => Ok(()),
    }
}

/// Creates the missing indexes.
async fn create_indexes(client: &Client, collection: &CollectionName, found: &FoundCollection) -> Result<(), Fault> {
    for (field, kind) in found.missing_indexes() {
        let request = CreateFieldIndexCollectionBuilder::new(server_name(collection), field, kind).wait(true);
        client.write(client.qdrant().create_field_index(request)).await?;
    }
    Ok(())
}

/// Fails if another collection of this service has the same class name in Weaviate.
async fn refuse_name_conflict(client: &Client, wanted: &CollectionName) -> Result<(), IndexError> {
    let class = wanted.weaviate_class();
    for name in names(client).await? {
        if name != *wanted && name.weaviate_class() == class && find_own(client, &name).await?.is_some() {
            return Err(IndexError::NameTaken { wanted: wanted.clone(), existing: name });
        }
    }
    Ok(())
}

/// Returns every collection of this service with its space, sorted by name. One that is dropped meanwhile is left out.
pub(super) async fn own_collections(client: &Client) -> Result<Vec<(CollectionName, Space)>, IndexError> {
    let names = names(client).await?;
    let requests = futures::stream::iter(names).map(|name| async move { find_own(client, &name).await });
    let mut all = Vec::new();
    let mut replies = requests.buffered(MAX_CONCURRENT_REQUESTS);
    while let Some(reply) = replies.next().await {
        all.extend(reply?);
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(all)
}

/// Returns the names of the collections that this service may have created, according to their suffix. The request
/// needs the key if the server has one.
pub(super) async fn names(client: &Client) -> Result<Vec<CollectionName>, IndexError> {
    let listed = client.call(client.qdrant().list_collections()).await;
    let listed = listed.map_err(|fault| match fault {
        Fault::Server(error) => error,
        other => dependency_error(FailureKind::Refused, format!("the server does not list its collections: {other:?}")),
    })?;
    Ok(listed.collections.iter().filter_map(|collection| parse_server_name(&collection.name)).collect())
}

async fn find_own(client: &Client, name: &CollectionName) -> Result<Option<(CollectionName, Space)>, IndexError> {
    let identity = find(client, name).await?.and_then(FoundCollection::into_identity);
    Ok(identity.filter(|(own_name, _)| own_name == name))
}

/// Returns the collection with that name, even if this service did not create it. If it has no metadata, the version of
/// the server is checked: a server that was replaced by one that is too old has no metadata at all, and the user would
/// be asked to remove the collection.
pub(super) async fn find(client: &Client, collection: &CollectionName) -> Result<Option<FoundCollection>, IndexError> {
    let found = collection_info(client, collection).await?;
    if found.as_ref().is_some_and(FoundCollection::has_no_metadata) {
        client.recheck_version().await?;
    }
    Ok(found)
}

async fn collection_info(client: &Client, collection: &CollectionName) -> Result<Option<FoundCollection>, IndexError> {
    match client.call(client.qdrant().collection_info(server_name(collection))).await {
        Ok(reply) => {
            let missing =
                || dependency_error(FailureKind::Failed, "the server returned no information about a collection");
            Ok(Some(FoundCollection::from_info(reply.result.ok_or_else(missing)?)))
        }
        Err(Fault::Unknown) => Ok(None),
        Err(fault) => Err(fault.into_index_error(collection)),
    }
}

/// Makes `documents_images_current` an alias of a collection. The server replaces an alias that exists.
pub(super) async fn set_alias(
    client: &Client,
    alias_of: &CollectionName,
    physical: &CollectionName,
) -> Result<(), IndexError> {
    let alias = format!("{}_current", server_name(alias_of));
    let request = CreateAliasBuilder::new(server_name(physical), alias);
    let set = client.call(client.qdrant().create_alias(request)).await;
    set.map(drop).map_err(|fault| fault.into_index_error(physical))
}

/// Removes the collection. Returns whether it existed.
pub(super) async fn remove(client: &Client, collection: &CollectionName) -> Result<bool, IndexError> {
    match client.call(client.qdrant().delete_collection(server_name(collection))).await {
        Ok(reply) => Ok(reply.result),
        Err(Fault::Unknown) => Ok(false),
        Err(fault) => Err(fault.into_index_error(collection)),
    }
}
