//! Records are written and deleted, in requests of bounded size.

use std::collections::HashMap;

use super::error::{Refusal, failed, of_status, refusal, words};
use super::wire::{BatchDeleteRequest, BatchObject, BatchObjectsRequest};
use super::{WeaviateIndex, filter, objects, schema};
use crate::domain::{CollectionName, ImageId, ImageRecord, Trouble};
use crate::index::IndexError;

/// Objects in one request: at some thousand a second it takes well under a second.
const OBJECTS: usize = 256;
/// Bytes in one request, unless one object alone is longer.
const BYTES: usize = 16 << 20;
/// Bytes of one object: the server takes messages of 100 MB.
const OBJECT_BYTES: usize = 64 << 20;
/// Ids in one request of deletion; the server deletes at most 10,000 at once.
const DELETED: usize = 1_000;

/// Writes records; of the same id, the last. Sizes are checked before anything is sent, because the server stores an
/// object of the wrong size without its vector where it is among the first of its class.
pub(super) async fn upsert(
    index: &WeaviateIndex,
    collection: &CollectionName,
    records: &[ImageRecord],
) -> Result<(), IndexError> {
    let dimension = schema::find(&index.rest, collection).await?.known(collection)?.space.dimension;
    if let Some(record) = records.iter().find(|record| record.embedding.dimension() != dimension) {
        let actual = record.embedding.dimension();
        let reason = format!("its vector has {actual} numbers, the collection's have {dimension}");
        return Err(IndexError::Rejected { id: record.id, reason });
    }
    let place: HashMap<ImageId, usize> = records.iter().map(|record| record.id).zip(0..).collect();
    let last = records.iter().enumerate().filter(|(at, record)| place.get(&record.id) == Some(at));
    // In two requests at least: one that replaces every object of a class empties its graph for a moment, and a search at
    // that moment may panic in the server (seen on 1.39) and leave a lock behind that no write gets past.
    let most = OBJECTS.min(place.len().div_ceil(2));
    let (class, mut batch, mut bytes) = (collection.weaviate_class(), Vec::new(), 0);
    for (_, record) in last {
        let object = objects::object(&class, record)?;
        let size = prost::Message::encoded_len(&object);
        if size > OBJECT_BYTES {
            let reason = format!("it has {size} bytes, {OBJECT_BYTES} are allowed");
            return Err(IndexError::Rejected { id: record.id, reason });
        }
        if batch.len() == most || (bytes + size > BYTES && !batch.is_empty()) {
            write(index, collection, std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
        bytes += size;
        batch.push((record.id, object));
    }
    if batch.is_empty() { Ok(()) } else { write(index, collection, batch).await }
}

/// One request. The reply is read object by object: what was refused may be stored all the same, without a vector and
/// counted (seen on 1.39), so it is deleted, and with it what an earlier write had put there.
async fn write(
    index: &WeaviateIndex,
    collection: &CollectionName,
    batch: Vec<(ImageId, BatchObject)>,
) -> Result<(), IndexError> {
    let (ids, objects): (Vec<ImageId>, Vec<BatchObject>) = batch.into_iter().unzip();
    let reply = index.rpc.write(BatchObjectsRequest { objects }).await;
    let errors = reply.map_err(|status| of_status(&status, collection))?.errors;
    if errors.is_empty() {
        return Ok(());
    }
    let mut refused: Vec<(usize, ImageId, Refusal, String)> = Vec::with_capacity(errors.len());
    for error in errors {
        let at = usize::try_from(error.index).unwrap_or(usize::MAX);
        let id = *ids.get(at).ok_or_else(|| failed(Trouble::Failed, "it refused an object that was not sent"))?;
        refused.push((at, id, refusal(&error.error), words(error.error.as_bytes())));
    }
    refused.sort_by_key(|(at, ..)| *at);
    // The server's own trouble is what all share, whatever it says of the others.
    let of = |kind| refused.iter().find(|(_, _, refusal, _)| *refusal == kind);
    if of(Refusal::NoClass).is_some() {
        return Err(IndexError::UnknownCollection(collection.clone()));
    }
    if let Some((.., said)) = of(Refusal::OtherClass) {
        return Err(failed(Trouble::Refused, format!("the class was replaced: {said}")));
    }
    let gone: Vec<ImageId> = refused.iter().map(|(_, id, ..)| *id).collect();
    let deleted = remove(index, collection, &gone).await;
    if let Some((.., said)) = of(Refusal::Server) {
        return Err(failed(Trouble::Failed, format!("{} objects were not taken: {said}", refused.len())));
    }
    deleted?;
    let Some((_, id, _, said)) = refused.into_iter().next() else { return Ok(()) };
    tracing::warn!(%id, %collection, said, "weaviate refuses an object");
    Err(IndexError::Rejected { id, reason: "weaviate does not take it; what it says is in the log".to_owned() })
}

/// Deletes ids of a collection that was looked up: a class of others has nothing to fear.
pub(super) async fn delete(
    index: &WeaviateIndex,
    collection: &CollectionName,
    ids: &[ImageId],
) -> Result<(), IndexError> {
    schema::find(&index.rest, collection).await?.known(collection)?;
    remove(index, collection, ids).await
}

async fn remove(index: &WeaviateIndex, collection: &CollectionName, ids: &[ImageId]) -> Result<(), IndexError> {
    for ids in ids.chunks(DELETED) {
        let filters = Some(filter::of_ids(ids));
        let request = BatchDeleteRequest { collection: collection.weaviate_class(), filters };
        let reply = index.rpc.delete(request).await.map_err(|status| of_status(&status, collection))?;
        if reply.failed > 0 {
            return Err(failed(Trouble::Failed, format!("it could not delete {} objects", reply.failed)));
        }
    }
    Ok(())
}
