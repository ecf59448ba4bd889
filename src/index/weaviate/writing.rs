//! Records are written and deleted, in requests of bounded size.

use std::collections::HashMap;

use super::error::{Bound, Refusal, failed, limit, of_status, refusal, words};
use super::reading::{ask_page, request};
use super::wire::{BatchDeleteRequest, BatchError, BatchObject, BatchObjectsRequest, MetadataRequest, SearchRequest};
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
        if batch.len() == most || (bytes + size > index.limits.bytes.cap(BYTES) && !batch.is_empty()) {
            write(index, collection, std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
        bytes += size;
        batch.push((record.id, object));
    }
    if batch.is_empty() { Ok(()) } else { write(index, collection, batch).await }
}

/// One request, or several if the server does not take so much at once.
async fn write(
    index: &WeaviateIndex,
    collection: &CollectionName,
    batch: Vec<(ImageId, BatchObject)>,
) -> Result<(), IndexError> {
    let (ids, objects): (Vec<ImageId>, Vec<BatchObject>) = batch.into_iter().unzip();
    // The next is on top.
    let mut todo = vec![(&ids[..], &objects[..])];
    while let Some((ids, objects)) = todo.pop() {
        let bytes: usize = objects.iter().map(prost::Message::encoded_len).sum();
        if ids.len() > 1 && bytes > index.limits.bytes.cap(bytes) {
            let ((first, rest), (first_objects, rest_objects)) =
                (ids.split_at(ids.len() / 2), objects.split_at(ids.len() / 2));
            todo.extend([(rest, rest_objects), (first, first_objects)]);
            continue;
        }
        match index.rpc.write(BatchObjectsRequest { objects: objects.to_vec() }).await {
            Ok(reply) => taken(index, collection, (ids, objects), reply.errors).await?,
            Err(status) => match (limit(&status), ids) {
                (Some(limit), [id]) if limit.bound == Bound::Bytes => {
                    return Err(IndexError::Rejected { id: *id, reason: limit.reason() });
                }
                (Some(limit), [_, _, ..]) if limit.bound == Bound::Bytes => {
                    // Names and lengths around the objects are in a message, too.
                    let most = limit.allowed.map_or(bytes, |allowed| allowed / 8 * 7).min(bytes / 2);
                    tracing::info!(
                        bytes,
                        most,
                        said = status.message(),
                        "Weaviate limits messages; smaller ones are sent"
                    );
                    index.limits.bytes.learn(most);
                    todo.push((ids, objects));
                }
                _ => return Err(of_status(&status, collection)),
            },
        }
    }
    Ok(())
}

/// Reads the reply to a request, object by object. An object that was refused itself may be stored all the same, without a
/// vector and counted (seen on 1.39), so it is deleted, and with it what an earlier write had put there. An object that
/// the server could not take is left as it is: what is there is its last good version.
async fn taken(
    index: &WeaviateIndex,
    collection: &CollectionName,
    (ids, objects): (&[ImageId], &[BatchObject]),
    errors: Vec<BatchError>,
) -> Result<(), IndexError> {
    if errors.is_empty() {
        return Ok(());
    }
    let class = collection.weaviate_class();
    let mut refused: Vec<(usize, ImageId, Refusal, String)> = Vec::with_capacity(errors.len());
    for error in errors {
        let at = usize::try_from(error.index).unwrap_or(usize::MAX);
        let sent = ids.get(at).zip(objects.get(at));
        let (id, object) = sent.ok_or_else(|| failed(Trouble::Failed, "it refused an object that was not sent"))?;
        let why = refusal(&error.error, &class, &objects::texts(object));
        refused.push((at, *id, why, words(error.error.as_bytes())));
    }
    refused.sort_by_key(|(at, ..)| *at);
    // If nothing of several was taken, for whatever reason, it is not any one object's.
    if refused.len() == ids.len() && ids.len() > 1 {
        for (_, _, why, _) in refused.iter_mut().filter(|(_, _, why, _)| *why == Refusal::Unknown) {
            *why = Refusal::Server;
        }
    }
    // The server's own trouble is what all share, whatever it says of the others.
    let of = |kind| refused.iter().find(|(_, _, refusal, _)| *refusal == kind);
    if of(Refusal::NoClass).is_some() {
        return Err(IndexError::UnknownCollection(collection.clone()));
    }
    if let Some((.., said)) = of(Refusal::OtherClass) {
        return Err(failed(Trouble::Refused, format!("the class was replaced: {said}")));
    }
    let all = |kind| refused.iter().filter(move |(_, _, why, _)| *why == kind).map(|(_, id, ..)| *id);
    let mut gone: Vec<ImageId> = all(Refusal::Object).collect();
    gone.extend(without_vector(index, collection, &all(Refusal::Unknown).collect::<Vec<_>>()).await?);
    let deleted = remove(index, collection, &gone).await;
    if let Some((.., said)) = of(Refusal::Server) {
        return Err(failed(Trouble::Failed, format!("{} objects were not taken: {said}", refused.len())));
    }
    deleted?;
    let Some((_, id, _, said)) = refused.into_iter().next() else { return Ok(()) };
    tracing::warn!(%id, %collection, said, "weaviate refuses an object");
    Err(IndexError::Rejected { id, reason: "weaviate does not take it; what it says is in the log".to_owned() })
}

/// Those of these ids that are stored without a vector.
async fn without_vector(
    index: &WeaviateIndex,
    collection: &CollectionName,
    ids: &[ImageId],
) -> Result<Vec<ImageId>, IndexError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let metadata = MetadataRequest { uuid: true, vector: true, distance: false };
    let of = |page| SearchRequest {
        filters: Some(filter::of_ids(&ids[..page])),
        ..request(collection, &[], metadata, page)
    };
    let (reply, _) = ask_page(index, collection, ids.len(), of).await?;
    let bare = reply
        .results
        .iter()
        .filter(|found| found.metadata.as_ref().is_some_and(|metadata| metadata.vector_bytes.is_empty()));
    bare.map(objects::id).collect()
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
    let mut rest = ids;
    while !rest.is_empty() {
        let some = &rest[..index.limits.ids.cap(DELETED).min(rest.len())];
        let filters = Some(filter::of_ids(some));
        let request = BatchDeleteRequest { collection: collection.weaviate_class(), filters };
        match index.rpc.delete(request).await {
            Ok(reply) if reply.failed > 0 => {
                return Err(failed(Trouble::Failed, format!("it could not delete {} objects", reply.failed)));
            }
            // Not more of them at once than its limit of results: the others are deleted by the next request.
            Ok(reply) if reply.matches > reply.successful && reply.successful > 0 => {}
            Ok(reply) if reply.matches > reply.successful => {
                return Err(failed(Trouble::Failed, format!("it deleted none of {} objects", reply.matches)));
            }
            Ok(_) => rest = &rest[some.len()..],
            Err(status) => match limit(&status) {
                Some(_) if some.len() > 1 => index.limits.ids.learn(some.len() / 2),
                Some(_) | None => return Err(of_status(&status, collection)),
            },
        }
    }
    Ok(())
}
