//! Converts records into objects of Weaviate and back.

use std::collections::BTreeMap;

use prost_types::value::Kind;
use prost_types::{Struct, Value};

use super::error::failed;
use super::filter::{folder_term, meta_term, micros};
use super::range_terms::value_terms;
use super::wire::{BatchObject, EmptyObject, ObjectProperties, ObjectProperty, SearchResult, TextArrayProperty};
use crate::domain::{Embedding, FailureKind, Hit, ImageId, ImageRecord, Payload, StoredImage, Timestamp};
use crate::index::IndexError;
use crate::index::shared::shown_score;

/// The names of the properties of an object.
pub(super) mod property {
    pub(in super::super) const S3_KEY: &str = "s3_key";
    pub(in super::super) const S3_URI: &str = "s3_uri";
    pub(in super::super) const S3_BUCKET: &str = "s3_bucket";
    pub(in super::super) const S3_FOLDERS: &str = "s3_folders";
    pub(in super::super) const FORMAT: &str = "format";
    pub(in super::super) const WIDTH: &str = "width";
    pub(in super::super) const HEIGHT: &str = "height";
    pub(in super::super) const FRAMES: &str = "frames";
    pub(in super::super) const THUMBNAIL_KEY: &str = "thumbnail_key";
    pub(in super::super) const ETAG: &str = "etag";
    pub(in super::super) const SIZE_BYTES: &str = "size_bytes";
    pub(in super::super) const CONTENT_SHA256: &str = "content_sha256";
    pub(in super::super) const SPACE: &str = "space";
    pub(in super::super) const INDEXED_AT: &str = "indexed_at";
    /// The user's metadata as JSON: its keys are arbitrary, and must not become names of properties.
    pub(in super::super) const META: &str = "meta";
    pub(in super::super) const META_KV: &str = "meta_kv";

    /// `indexed_at` in microseconds. Range filters on it are exact, and fast for any number of records.
    pub(in super::super) const INDEXED_MICROS: &str = "indexed_micros";
    /// Folders and metadata pairs as terms that filters compare as a whole. A term does not begin or end with a space,
    /// because the server trims terms, and it is different for `a=b` with the value `c` and `a` with the value `b=c`.
    pub(in super::super) const TERMS: &str = "terms";
    /// The terms of the numbers and dates of metadata, see `range_terms.rs`. They are not among [`TERMS`], whose values are
    /// counted.
    pub(in super::super) const RANGE_TERMS: &str = "range_terms";
    pub(in super::super) const CAMERA: &str = "camera";
    pub(in super::super) const TAKEN_AT: &str = "taken_at";
    /// `taken_at` in microseconds.
    pub(in super::super) const TAKEN_MICROS: &str = "taken_micros";
    /// The month of the year in which the image was taken, and the month of any year.
    pub(in super::super) const TAKEN_MONTHS: &str = "taken_months";
    /// The position, for circles. The server keeps it in single precision.
    pub(in super::super) const LOCATION: &str = "location";
    /// The position in steps of 10⁻⁷ degrees, for boxes, which the server does not have.
    pub(in super::super) const LATITUDE_E7: &str = "latitude_e7";
    pub(in super::super) const LONGITUDE_E7: &str = "longitude_e7";
    /// The whole payload as JSON. It is read back instead of the properties, because Weaviate stores numbers as doubles
    /// and an empty list as a missing one.
    pub(in super::super) const PAYLOAD: &str = "payload";
    /// The version of the payload. Objects of glimpse 0.1 do not have it, and have no terms for numbers and dates.
    pub(in super::super) const VERSION: &str = "version";
    /// Always an empty object. If the class exists, it is an object without its single optional field. If the class
    /// does not exist, auto-schema (on by default) would create it from the written object; but it cannot create a
    /// property from an object without fields, so the write fails. So no write creates a class or a property, even if
    /// the class is dropped in the meantime, and no check is needed before each write.
    pub(in super::super) const GUARD: &str = "guard";
    /// The name of the object id in filters.
    pub(in super::super) const ID: &str = "_id";
}

/// Converts a record into an object of this class.
///
/// # Errors
/// Returns [`IndexError::Rejected`] if the payload cannot be written as JSON.
pub(super) fn object(class: &str, record: &ImageRecord) -> Result<BatchObject, IndexError> {
    let payload = &record.payload;
    let rejected = |error: serde_json::Error| IndexError::Rejected { id: record.id, reason: error.to_string() };
    let meta = serde_json::to_string(&payload.meta).map_err(rejected)?;
    let whole_payload = serde_json::to_string(payload).map_err(rejected)?;
    let mut fields = BTreeMap::new();
    let mut put = |name: &str, kind: Kind| drop(fields.insert(name.to_owned(), Value { kind: Some(kind) }));
    for (name, text) in [
        (property::S3_KEY, Some(payload.s3_key.clone())),
        (property::S3_URI, Some(payload.s3_uri.to_string())),
        (property::S3_BUCKET, Some(payload.s3_bucket.clone())),
        (property::FORMAT, Some(payload.format.as_str().to_owned())),
        (property::THUMBNAIL_KEY, payload.thumbnail_key.clone()),
        (property::ETAG, payload.etag.clone()),
        (property::CONTENT_SHA256, Some(payload.content_sha256.clone())),
        (property::SPACE, Some(payload.space.clone())),
        (property::INDEXED_AT, Some(payload.indexed_at.to_string())),
        (property::META, Some(meta)),
        (property::CAMERA, payload.exif.camera.clone()),
        (property::TAKEN_AT, payload.exif.taken_at.map(|taken_at| taken_at.to_string())),
        (property::PAYLOAD, Some(whole_payload)),
    ] {
        if let Some(text) = text {
            put(name, Kind::StringValue(text));
        }
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a size that must be exact is below 2^53 or is read from the payload"
    )]
    let (size, micros) = (payload.size_bytes as f64, exact_micros(payload.indexed_at));
    for (name, number) in [
        (property::WIDTH, f64::from(payload.width)),
        (property::HEIGHT, f64::from(payload.height)),
        (property::FRAMES, f64::from(payload.frames)),
        (property::SIZE_BYTES, size.min(MAX_EXACT_NUMBER)),
        (property::INDEXED_MICROS, micros),
        (property::VERSION, f64::from(payload.version)),
    ] {
        put(name, Kind::NumberValue(number));
    }
    if let Some(taken_at) = payload.exif.taken_at {
        put(property::TAKEN_MICROS, Kind::NumberValue(exact_micros(taken_at.moment())));
    }
    if let Some(location) = payload.exif.location {
        let number = |number: f64| Value { kind: Some(Kind::NumberValue(number)) };
        let degrees = [("latitude", location.lat()), ("longitude", location.lon())];
        let fields = degrees.map(|(name, degrees)| (name.to_owned(), number(degrees))).into();
        put(property::LOCATION, Kind::StructValue(Struct { fields }));
        put(property::LATITUDE_E7, Kind::NumberValue(location.lat_e7().into()));
        put(property::LONGITUDE_E7, Kind::NumberValue(location.lon_e7().into()));
    }
    let mut properties =
        ObjectProperties { non_ref_properties: Some(Struct { fields }), ..ObjectProperties::default() };
    for (name, list) in [
        (property::S3_FOLDERS, payload.s3_folders.clone()),
        (property::META_KV, payload.meta_kv.clone()),
        (property::TERMS, terms(payload)),
        (property::TAKEN_MONTHS, payload.exif.months()),
        (property::RANGE_TERMS, payload.meta.iter().flat_map(|(key, value)| value_terms(key, value)).collect()),
    ] {
        if list.is_empty() {
            properties.empty_list_props.push(name.to_owned());
        } else {
            properties.text_array_properties.push(TextArrayProperty { values: list, prop_name: name.to_owned() });
        }
    }
    let guard = ObjectProperty { value: Some(EmptyObject {}), prop_name: property::GUARD.to_owned() };
    properties.objects.push(guard);
    Ok(BatchObject {
        uuid: record.id.to_string(),
        properties: Some(properties),
        collection: class.to_owned(),
        vector_bytes: vector_bytes(&record.embedding),
    })
}

/// The largest number that a double and an int of Weaviate can both represent (2^53).
const MAX_EXACT_NUMBER: f64 = 9_007_199_254_740_992.0;

/// Returns a moment as a number of a request.
#[expect(clippy::cast_precision_loss, reason = "`micros` returns integers that are exact doubles")]
fn exact_micros(moment: Timestamp) -> f64 {
    micros(moment) as f64
}

fn terms(payload: &Payload) -> Vec<String> {
    let folders = payload.s3_folders.iter().map(|folder| folder_term(folder));
    folders.chain(payload.meta.iter().map(|(key, value)| meta_term(key, value))).collect()
}

/// Returns a vector as little-endian bytes, as requests and replies contain it.
pub(super) fn vector_bytes(embedding: &Embedding) -> Vec<u8> {
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
    Ok(Hit { id, score: shown_score(score), payload: payload(id, found)? })
}

/// Converts a found object into a record with a vector of this dimension.
pub(super) fn record(found: &SearchResult, dimension: usize) -> Result<ImageRecord, IndexError> {
    let id = id(found)?;
    let payload = payload(id, found)?;
    Ok(ImageRecord { id, uri: payload.s3_uri.clone(), embedding: vector(id, found, dimension)?, payload })
}

/// Converts a found object, whose vector was not requested.
pub(super) fn stored_image(found: &SearchResult) -> Result<StoredImage, IndexError> {
    let id = id(found)?;
    Ok(StoredImage { id, payload: payload(id, found)? })
}

fn vector(id: ImageId, found: &SearchResult, dimension: usize) -> Result<Embedding, IndexError> {
    let raw = found.metadata.as_ref().map_or(&[][..], |metadata| &metadata.vector_bytes);
    let (numbers, _) = raw.as_chunks::<4>();
    let vector = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    Embedding::normalised(vector, dimension)
        .map_err(|error| failed(FailureKind::Failed, format!("the object {id}: {error}")))
}

/// Returns a text property of a found object.
pub(super) fn text<'f>(found: &'f SearchResult, property: &str) -> Option<&'f str> {
    found.properties.as_ref()?.non_ref_props.as_ref()?.fields.get(property)?.text_value.as_deref()
}

fn payload(id: ImageId, found: &SearchResult) -> Result<Payload, IndexError> {
    let text = text(found, property::PAYLOAD)
        .ok_or_else(|| failed(FailureKind::Failed, format!("the object {id} has no payload")))?;
    serde_json::from_str(text)
        .map_err(|error| failed(FailureKind::Failed, format!("the payload of the object {id}: {error}")))
}
