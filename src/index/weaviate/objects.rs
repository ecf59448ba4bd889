//! Converts records into objects of Weaviate and back.

use std::collections::BTreeMap;

use prost_types::value::Kind;
use prost_types::{Struct, Value};

use super::error::failed;
use super::filter::{folder_term, meta_term, micros};
use super::names;
use super::wire::{BatchObject, EmptyObject, ObjectProperties, ObjectProperty, SearchResult, TextArrayProperty};
use crate::domain::{Embedding, FailureKind, Hit, ImageId, ImageRecord, Payload};
use crate::index::IndexError;

/// Converts a record into an object of this class.
///
/// # Errors
/// Returns [`IndexError::Rejected`] if the payload cannot be written as JSON.
pub(super) fn object(class: &str, record: &ImageRecord) -> Result<BatchObject, IndexError> {
    let payload = &record.payload;
    let json = |what: serde_json::Result<String>| {
        what.map_err(|error| IndexError::Rejected { id: record.id, reason: error.to_string() })
    };
    let mut fields = BTreeMap::new();
    let mut put = |name: &str, kind: Kind| drop(fields.insert(name.to_owned(), Value { kind: Some(kind) }));
    for (name, text) in [
        (names::S3_KEY, &payload.s3_key),
        (names::S3_URI, &payload.s3_uri.as_str().to_owned()),
        (names::S3_BUCKET, &payload.s3_bucket),
        (names::FORMAT, &payload.format.as_str().to_owned()),
        (names::CONTENT_SHA256, &payload.content_sha256),
        (names::SPACE, &payload.space),
        (names::INDEXED_AT, &payload.indexed_at.to_string()),
        (names::META, &json(serde_json::to_string(&payload.meta))?),
        (names::PAYLOAD, &json(serde_json::to_string(payload))?),
    ] {
        put(name, Kind::StringValue(text.clone()));
    }
    for (name, text) in [(names::THUMBNAIL_KEY, &payload.thumbnail_key), (names::ETAG, &payload.etag)] {
        if let Some(text) = text {
            put(name, Kind::StringValue(text.clone()));
        }
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers that must be exact are below 2^53 or are read from the payload"
    )]
    let (size, micros) = (payload.size_bytes as f64, micros(payload.indexed_at) as f64);
    for (name, number) in [
        (names::WIDTH, f64::from(payload.width)),
        (names::HEIGHT, f64::from(payload.height)),
        (names::FRAMES, f64::from(payload.frames)),
        (names::SIZE_BYTES, size.min(MAX_EXACT_NUMBER)),
        (names::INDEXED_MICROS, micros),
    ] {
        put(name, Kind::NumberValue(number));
    }
    let mut properties =
        ObjectProperties { non_ref_properties: Some(Struct { fields }), ..ObjectProperties::default() };
    for (name, list) in [
        (names::S3_FOLDERS, payload.s3_folders.clone()),
        (names::META_KV, payload.meta_kv.clone()),
        (names::TERMS, terms(payload)),
    ] {
        if list.is_empty() {
            properties.empty_list_props.push(name.to_owned());
        } else {
            properties.text_array_properties.push(TextArrayProperty { values: list, prop_name: name.to_owned() });
        }
    }
    let guard = ObjectProperty { value: Some(EmptyObject {}), prop_name: names::GUARD.to_owned() };
    properties.objects.push(guard);
    Ok(BatchObject {
        uuid: record.id.to_string(),
        properties: Some(properties),
        collection: class.to_owned(),
        vector_bytes: bytes(&record.embedding),
    })
}

/// The largest number that a double and an int of Weaviate can both represent (2^53).
const MAX_EXACT_NUMBER: f64 = 9_007_199_254_740_992.0;

fn terms(payload: &Payload) -> Vec<String> {
    let folders = payload.s3_folders.iter().map(|folder| folder_term(folder));
    folders.chain(payload.meta.iter().map(|(key, value)| meta_term(key, value))).collect()
}

/// Returns a vector as little-endian bytes, as requests and replies contain it.
pub(super) fn bytes(embedding: &Embedding) -> Vec<u8> {
    embedding.as_slice().iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Returns the texts of an object, which an error message about it may quote.
pub(super) fn texts(object: &BatchObject) -> Vec<&str> {
    let Some(properties) = &object.properties else { return Vec::new() };
    let fields = properties.non_ref_properties.iter().flat_map(|all| all.fields.values());
    let single = fields.filter_map(|value| match &value.kind {
        Some(Kind::StringValue(text)) => Some(text.as_str()),
        _ => None,
    });
    let lists = properties.text_array_properties.iter().flat_map(|list| list.values.iter().map(String::as_str));
    let mut texts: Vec<&str> = single.chain(lists).collect();
    // The longest first, because a text can be a part of another one.
    texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
    texts
}

/// Returns the id of a found object.
pub(super) fn id(found: &SearchResult) -> Result<ImageId, IndexError> {
    let id = found.metadata.as_ref().and_then(|metadata| metadata.id.parse().ok());
    id.ok_or_else(|| failed(FailureKind::Failed, "the reply has an object without an id"))
}

/// Converts a found object into a hit. The score is the cosine with the vector that came with the object: while an
/// object is replaced, the server may return the distance of the old version with the payload of the new one (observed
/// with 1.39). If no vector was requested, the score is `1 - distance`.
pub(super) fn hit(found: &SearchResult, query: &Embedding) -> Result<Hit, IndexError> {
    let id = id(found)?;
    let metadata = found.metadata.as_ref();
    let score = if metadata.is_some_and(|metadata| !metadata.vector_bytes.is_empty()) {
        vector(id, found, query.dimension())?.cosine(query)
    } else {
        let distance = metadata.filter(|metadata| metadata.distance_present).map(|metadata| metadata.distance);
        let distance = distance.filter(|distance| distance.is_finite());
        1.0 - distance
            .ok_or_else(|| failed(FailureKind::Failed, format!("the reply has no distance for the object {id}")))?
    };
    // Adding zero turns -0 into 0, because sorting treats them as different.
    Ok(Hit { id, score: score.clamp(-1.0, 1.0) + 0.0, payload: payload(id, found)? })
}

/// Converts a found object into a record with a vector of this dimension.
pub(super) fn record(found: &SearchResult, dimension: usize) -> Result<ImageRecord, IndexError> {
    let id = id(found)?;
    let payload = payload(id, found)?;
    Ok(ImageRecord { id, uri: payload.s3_uri.clone(), embedding: vector(id, found, dimension)?, payload })
}

fn vector(id: ImageId, found: &SearchResult, dimension: usize) -> Result<Embedding, IndexError> {
    let raw = found.metadata.as_ref().map_or(&[][..], |metadata| &metadata.vector_bytes);
    let (numbers, _) = raw.as_chunks::<4>();
    let vector = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    Embedding::normalised(vector, dimension)
        .map_err(|error| failed(FailureKind::Failed, format!("the object {id}: {error}")))
}

fn payload(id: ImageId, found: &SearchResult) -> Result<Payload, IndexError> {
    let properties = found.properties.as_ref().and_then(|properties| properties.non_ref_props.as_ref());
    let text = properties.and_then(|properties| properties.fields.get(names::PAYLOAD)?.text_value.as_deref());
    let text = text.ok_or_else(|| failed(FailureKind::Failed, format!("the object {id} has no payload")))?;
    serde_json::from_str(text)
        .map_err(|error| failed(FailureKind::Failed, format!("the payload of the object {id}: {error}")))
}
