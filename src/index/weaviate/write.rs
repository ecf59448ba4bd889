//! Writes and deletes records, in requests of bounded size.

use prost::Message;

use super::error::failed;
use super::limit::{Bound, find_limit};
use super::refusal::{self, Refusal};
use super::search::{request_page, search_request};
use super::wire::{BatchDeleteRequest, BatchError, BatchObject, BatchObjectsRequest, MetadataRequest, SearchRequest};
use super::{WeaviateIndex, filter, record, schema};
use crate::domain::{CollectionName, FailureKind, ImageId, ImageRecord};
use crate::http::one_line;
use crate::index::IndexError;
use crate::index::shared::{check_dimensions, last_of_each_id};

/// Objects in one request. A server writes a few thousand each second, so a request takes well under a second.
const MAX_OBJECTS: usize = 256;
/// Bytes in one request, unless a single object has more.
const MAX_BYTES: usize = 16 << 20;
/// The maximum bytes of one object. The server accepts messages of 100 MB.
const MAX_OBJECT_BYTES: usize = 64 << 20;
/// Ids in one delete request. The server deletes at most 10,000 objects in one request.
const IDS_PER_DELETE: usize = 1_000;

/// Writes records; of several with the same id, only the last. The dimensions are checked before anything is sent,
/// because the server stores an object with the wrong dimension without its vector if it is among the first of its
/// class.
pub(super) async fn upsert(
    index: &WeaviateIndex,
    collection: &CollectionName,
    records: &[ImageRecord],
) -> Result<(), IndexError> {
    let stored = schema::writable(&index.rest, collection).await?;
    check_dimensions(records.iter().map(|record| (record.id, &record.embedding)), stored.space.dimension)?;
    let records: Vec<&ImageRecord> = last_of_each_id(records).collect();
    // Uses at least two requests: a request that replaces every object of a class empties its graph for a moment. A
    // search at that moment may panic in the server (observed with 1.39), which then keeps a lock that blocks every
    // write.
    let max_objects = MAX_OBJECTS.min(records.len().div_ceil(2));
    let (class, mut batch, mut bytes) = (collection.weaviate_class(), Vec::new(), 0);
    for record in records {
        let object = record::object(&class, record)?;
        let size = object.encoded_len();
        if size > MAX_OBJECT_BYTES {
            let reason = format!("it has {size} bytes; at most {MAX_OBJECT_BYTES} are allowed");
            return Err(IndexError::Rejected { id: record.id, reason });
        }
        if batch.len() == max_objects || (bytes + size > index.limits.bytes.cap(MAX_BYTES) && !batch.is_empty()) {
            send(index, collection, std::mem::take(&mut batch)).await?;
            bytes = 0;
        }
        bytes += size;
        batch.push((record.id, object));
    }
    if batch.is_empty() { Ok(()) } else { send(index, collection, batch).await }
}

/// Writes a batch in one request, or in several if the server does not accept one of that size.
async fn send(
    index: &WeaviateIndex,
    collection: &CollectionName,
    batch: Vec<(ImageId, BatchObject)>,
) -> Result<(), IndexError> {
    // The next request is on top.
    let mut pending = vec![&batch[..]];
    while let Some(request) = pending.pop() {
        let bytes: usize = request.iter().map(|(_, object)| object.encoded_len()).sum();
        if request.len() > 1 && bytes > index.limits.bytes.cap(bytes) {
            let (first, rest) = request.split_at(request.len() / 2);
            pending.extend([rest, first]);
            continue;
        }
        let objects = request.iter().map(|(_, object)| object.clone()).collect();
        match index.rpc.write(BatchObjectsRequest { objects }).await {
            Ok(reply) => handle_errors(index, collection, request, reply.errors).await?,
            Err(status) => match (find_limit(&status), request) {
                (Some(limit), [(id, _)]) if limit.bound == Bound::Bytes => {
                    return Err(IndexError::Rejected { id: *id, reason: limit.reason() });
                }
                (Some(limit), [_, _, ..]) if limit.bound == Bound::Bytes => {
                    // A message also contains names and lengths in addition to the objects.
                    let smaller = limit.allowed.map_or(bytes, |allowed| allowed / 8 * 7).min(bytes / 2);
                    let reply = status.message();
                    tracing::info!(
                        bytes,
                        smaller,
                        reply,
                        "Weaviate limits the size of messages; smaller ones are sent"
                    );
                    index.limits.bytes.lower(smaller);
                    pending.push(request);
                }
                _ => return Err(index.call_failed(&status, collection).await),
            },
        }
    }
    Ok(())
}

/// An object that was not stored.
struct RefusedObject {
    /// The position in the request.
    position: usize,
    id: ImageId,
    refusal: Refusal,
    message: String,
}

/// Handles the errors in the reply to a write, object by object. A refused object may be stored nevertheless, without a
/// vector but counted (observed with 1.39). So it is deleted, together with its earlier version. An object that the
/// server could not store for another reason is left as it is: the stored version is its last good one.
async fn handle_errors(
    index: &WeaviateIndex,
    collection: &CollectionName,
    request: &[(ImageId, BatchObject)],
    errors: Vec<BatchError>,
) -> Result<(), IndexError> {
    if errors.is_empty() {
        return Ok(());
    }
    let class = collection.weaviate_class();
    let mut refused = Vec::with_capacity(errors.len());
    for error in errors {
        let position = usize::try_from(error.index).unwrap_or(usize::MAX);
        let (id, object) = request
            .get(position)
            .ok_or_else(|| failed(FailureKind::Failed, "the reply refuses an object that was not sent"))?;
        let refusal = refusal::classify(&error.error, &class, &record::texts(object));
        refused.push(RefusedObject { position, id: *id, refusal, message: one_line(error.error.as_bytes()) });
    }
    refused.sort_by_key(|object| object.position);
    // If none of several objects was stored, the reason is not a single object.
    if refused.len() == request.len() && request.len() > 1 {
        for object in refused.iter_mut().filter(|object| object.refusal == Refusal::Unknown) {
            object.refusal = Refusal::Server;
        }
    }
    // An error of the server is reported first, because it affects all objects.
    let first = |refusal| refused.iter().find(|object| object.refusal == refusal);
    if first(Refusal::NoClass).is_some() {
        return Err(IndexError::UnknownCollection(collection.clone()));
    }
    if let Some(RefusedObject { message, .. }) = first(Refusal::OtherClass) {
        return Err(failed(FailureKind::Refused, format!("the class was replaced during the write: {message}")));
    }
    let ids_with = |refusal| refused.iter().filter(move |object| object.refusal == refusal).map(|object| object.id);
    let mut to_delete: Vec<ImageId> = ids_with(Refusal::Object).collect();
    to_delete.extend(without_vector(index, collection, &ids_with(Refusal::Unknown).collect::<Vec<_>>()).await?);
    let deleted = remove(index, collection, &to_delete).await;
    if let Some(RefusedObject { message, .. }) = first(Refusal::Server) {
        let error = failed(FailureKind::Failed, format!("{} objects were not stored: {message}", refused.len()));
        return Err(index.unless_dropped(error, collection).await);
    }
    deleted?;
    let Some(RefusedObject { id, message, .. }) = refused.into_iter().next() else { return Ok(()) };
    tracing::warn!(%id, %collection, reply = message, "Weaviate refuses an object");
    Err(IndexError::Rejected { id, reason: "Weaviate refuses it; its message is in the log".to_owned() })
}

/// Returns those of these ids that are stored without a vector.
async fn without_vector(
    index: &WeaviateIndex,
    collection: &CollectionName,
    ids: &[ImageId],
) -> Result<Vec<ImageId>, IndexError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let metadata = MetadataRequest { uuid: true, vector: true, distance: false };
    let request = |page| SearchRequest {
        filters: Some(filter::ids_filter(&ids[..page])),
        ..search_request(collection, &[], metadata, page)
    };
    let (reply, _) = request_page(index, collection, ids.len(), request).await?;
    let incomplete = reply
        .results
        .iter()
        .filter(|found| found.metadata.as_ref().is_some_and(|metadata| metadata.vector_bytes.is_empty()));
    incomplete.map(record::id).collect()
}

/// Deletes records by id. The class is checked first, so that classes of other applications are not changed.
pub(super) async fn delete(
    index: &WeaviateIndex,
    collection: &CollectionName,
    ids: &[ImageId],
) -> Result<(), IndexError> {
    schema::find(&index.rest, collection).await?.require_own(collection)?;
    remove(index, collection, ids).await
}

async fn remove(index: &WeaviateIndex, collection: &CollectionName, ids: &[ImageId]) -> Result<(), IndexError> {
    let mut rest = ids;
    while !rest.is_empty() {
        let chunk = &rest[..index.limits.ids.cap(IDS_PER_DELETE).min(rest.len())];
        let filters = Some(filter::ids_filter(chunk));
        let request = BatchDeleteRequest { collection: collection.weaviate_class(), filters };
        match index.rpc.delete(request).await {
            Ok(reply) if reply.failed > 0 => {
                return Err(failed(
                    FailureKind::Failed,
                    format!("the server could not delete {} objects", reply.failed),
                ));
            }
            // The server deletes at most its limit of results in one request: the next one deletes the others.
            Ok(reply) if reply.matches > reply.successful && reply.successful > 0 => {}
            Ok(reply) if reply.matches > reply.successful => {
                return Err(failed(
                    FailureKind::Failed,
                    format!("the server deleted none of {} objects", reply.matches),
                ));
            }
            Ok(_) => rest = &rest[chunk.len()..],
            Err(status) => match find_limit(&status) {
                Some(_) if chunk.len() > 1 => index.limits.ids.lower(chunk.len() / 2),
                Some(_) | None => return Err(index.call_failed(&status, collection).await),
            },
        }
    }
    Ok(())
}
