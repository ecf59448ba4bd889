//! Converts records into points, and points into records, without loss.

use std::collections::HashMap;

use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vector_output::Vector;
use qdrant_client::qdrant::{PointId, PointStruct, RetrievedPoint, Value, VectorsOutput};

use super::error::Fault;
use crate::domain::{Embedding, ImageId, ImageRecord, Payload, parse_date, parse_number, with_causes};

/// An additional field with an unambiguous text for each metadata pair that is ambiguous in `meta_kv`, such as `a` =
/// `b=c` and `a=b` = `c`.
pub(super) const META_PAIRS: &str = "glimpse_meta_pairs";
/// Additional fields with the values of `meta` that are numbers, and with those that are dates.
const META_NUMBERS: &str = "meta_numbers";
const META_DATES: &str = "meta_dates";
pub(super) const SIZE_BYTES: &str = "size_bytes";
pub(super) const CAMERA: &str = "camera";
pub(super) const TAKEN_AT: &str = "taken_at";
/// An additional field: the month of the year, and the month of any year.
pub(super) const TAKEN_MONTHS: &str = "taken_months";
pub(super) const LOCATION: &str = "location";
/// Parts of the location. The boxes of Qdrant do not contain their edges, so boxes are ranges of these.
pub(super) const LATITUDE: &str = "location.lat";
pub(super) const LONGITUDE: &str = "location.lon";

/// Returns the path of a number of metadata, as filters and indexes name it.
pub(super) fn number_path(key: &str) -> String {
    path(META_NUMBERS, key)
}

/// Returns the path of a date of metadata.
pub(super) fn date_path(key: &str) -> String {
    path(META_DATES, key)
}

/// Whether the path is that of a number or a date of metadata.
pub(super) fn is_typed_path(path: &str) -> bool {
    path.split_once('.').is_some_and(|(field, _)| field == META_NUMBERS || field == META_DATES)
}

/// Returns the path in the form in which the server returns it: a key that is not a plain word is in quotation marks.
fn path(field: &str, key: &str) -> String {
    let name = field_name(key);
    let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if plain { format!("{field}.{name}") } else { format!("{field}.\"{name}\"") }
}

/// Returns a different name for each key, without the characters that a path in quotation marks cannot have.
fn field_name(key: &str) -> String {
    key.replace('%', "%25").replace('"', "%22").replace('\\', "%5C")
}

/// Returns whether `key=value` could also be the text of another pair.
pub(super) fn is_ambiguous(key: &str, value: &str) -> bool {
    key.contains('=') || value.contains('=')
}

/// Returns an unambiguous text for a pair.
pub(super) fn unambiguous_pair(key: &str, value: &str) -> String {
    format!("{}:{key}={value}", key.len())
}

pub(super) fn point_id(id: ImageId) -> PointId {
    PointId::from(id.to_string())
}

/// Returns the id of an image. Fails for numeric ids, which this service does not write.
pub(super) fn image_id(id: Option<PointId>) -> Result<ImageId, Fault> {
    match id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Uuid(text)) => {
            text.parse().map_err(|_| Fault::unreadable(format!("the id of a point is `{text}`, which is not a UUID")))
        }
        Some(PointIdOptions::Num(number)) => {
            let message = format!(
                "the collection contains the point {number}, which this service did not write; remove the point"
            );
            Err(Fault::unreadable(message))
        }
        None => Err(Fault::unreadable("a point has no id")),
    }
}

pub(super) fn point(record: &ImageRecord) -> Result<PointStruct, Fault> {
    Ok(PointStruct {
        id: Some(point_id(record.id)),
        payload: write_payload(&record.payload).map_err(|error| Fault::Invalid(error.to_string()))?,
        vectors: Some(record.embedding.as_slice().into()),
    })
}

/// Returns the vector of a point, if it has a single dense one.
pub(super) fn dense_vector(vectors: Option<&VectorsOutput>) -> Option<Vec<f32>> {
    match vectors?.get_vector()? {
        Vector::Dense(dense) => Some(dense.data),
        Vector::Sparse(_) | Vector::MultiDense(_) => None,
    }
}

/// Converts a point that was requested with its vector and payload.
pub(super) fn record(point: RetrievedPoint) -> Result<ImageRecord, Fault> {
    let id = image_id(point.id)?;
    let payload = payload(id, point.payload)?;
    let Some(vector) = dense_vector(point.vectors.as_ref()) else {
        return Err(Fault::unreadable(format!("the point {id} has no vector")));
    };
    let dimension = vector.len();
    let embedding = Embedding::normalised(vector, dimension);
    let embedding = embedding.map_err(|error| Fault::unreadable(format!("the point {id}: {error}")))?;
    Ok(ImageRecord { id, uri: payload.s3_uri.clone(), embedding, payload })
}

/// Converts the fields of a point.
pub(super) fn payload(id: ImageId, fields: HashMap<String, Value>) -> Result<Payload, Fault> {
    read_payload(fields).map_err(|error| Fault::unreadable(format!("the payload of the point {id}: {error}")))
}

/// Returns the fields of a point. Fields that are `None` are left out.
fn write_payload(payload: &Payload) -> serde_json::Result<HashMap<String, Value>> {
    let mut fields: HashMap<String, serde_json::Value> = serde_json::from_value(serde_json::to_value(payload)?)?;
    fields.retain(|_, value| !value.is_null());
    // The largest integer in Qdrant is `i64::MAX`, and a double would be rounded.
    if i64::try_from(payload.size_bytes).is_err() {
        fields.insert(SIZE_BYTES.to_owned(), payload.size_bytes.to_string().into());
    }
    let numbers = payload.meta.iter().filter_map(|(key, text)| Some((field_name(key), parse_number(text)?)));
    let dates = payload.meta.iter().filter_map(|(key, text)| Some((field_name(key), parse_date(text)?.0.to_string())));
    let typed = [(META_NUMBERS, numbers.collect::<serde_json::Value>()), (META_DATES, dates.collect())];
    let typed = typed.into_iter().filter(|(_, values)| values.as_object().is_some_and(|values| !values.is_empty()));
    fields.extend(typed.map(|(name, values)| (name.to_owned(), values)));
    let months = payload.exif.months();
    if !months.is_empty() {
        fields.insert(TAKEN_MONTHS.to_owned(), months.into());
    }
    let ambiguous = payload.meta.iter().filter(|(key, value)| is_ambiguous(key, value));
    let pairs: Vec<String> = ambiguous.map(|(key, value)| unambiguous_pair(key, value)).collect();
    if !pairs.is_empty() {
        fields.insert(META_PAIRS.to_owned(), pairs.into());
    }
    Ok(qdrant_client::Payload::from(fields).into())
}

/// Reads the fields that [`write_payload`] wrote.
fn read_payload(mut fields: HashMap<String, Value>) -> Result<Payload, String> {
    let mut large_size = None;
    if let Some(Value { kind: Some(Kind::StringValue(digits)) }) = fields.get(SIZE_BYTES) {
        large_size = Some(digits.parse().map_err(|_| format!("{SIZE_BYTES} is `{digits}`, which is not a number"))?);
        fields.insert(SIZE_BYTES.to_owned(), 0.into());
    }
    let payload: Payload = qdrant_client::Payload::from(fields).deserialize().map_err(|error| with_causes(&error))?;
    Ok(Payload { size_bytes: large_size.unwrap_or(payload.size_bytes), ..payload })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{ExifFacts, ExifLevel, ImageFormat, ImageUri, Position, TakenAt, Timestamp};

    fn example() -> Payload {
        let uri = ImageUri::new("bucket", "a b/ü+%25'\".jpg");
        Payload {
            s3_key: uri.key().to_owned(),
            s3_bucket: "bucket".to_owned(),
            s3_folders: uri.folders(),
            s3_uri: uri,
            format: ImageFormat::Webp,
            width: u32::MAX,
            height: 0,
            frames: 1,
            thumbnail_key: None,
            etag: Some(String::new()),
            size_bytes: u64::MAX,
            content_sha256: "00".to_owned(),
            space: "m/4/none".to_owned(),
            indexed_at: Timestamp::parse("2026-01-31T12:00:00.000001Z").unwrap(),
            meta: [("a.b[0]".to_owned(), "c=d".to_owned()), (String::new(), "\u{1F426}".to_owned())].into(),
            meta_kv: vec!["a.b[0]=c=d".to_owned(), String::new()],
            version: 1,
            hashes: None,
            exif: ExifFacts {
                level: ExifLevel::All,
                taken_at: Some(TakenAt::parse("2024-07-01T00:30:00.000001+02:00").unwrap()),
                location: Position::new(-48.137_154_3, 180.0),
                rating: Some(-1),
                keywords: vec!["a".to_owned()],
                ..ExifFacts::default()
            },
        }
    }

    #[test]
    fn a_written_payload_is_read_without_loss() {
        let written = write_payload(&example()).unwrap();
        assert_eq!(written["size_bytes"], Value::from("18446744073709551615"));
        assert_eq!(written["width"], Value::from(4_294_967_295_i64));
        assert_eq!(written["format"], Value::from("webp"));
        assert_eq!(written["indexed_at"], Value::from("2026-01-31T12:00:00.000001Z"));
        assert_eq!(written[META_PAIRS], Value::from(vec!["6:a.b[0]=c=d"]));
        assert_eq!(written[TAKEN_MONTHS], Value::from(vec!["2024-07", "07"]));
        assert_eq!(written[TAKEN_AT], Value::from("2024-07-01T00:30:00.000001+02:00"));
        assert_eq!(written.len(), 23);
        assert_eq!(read_payload(written), Ok(example()));
        let plain = Payload {
            thumbnail_key: Some("t".into()),
            etag: None,
            s3_folders: vec![],
            size_bytes: 7,
            meta: BTreeMap::new(),
            meta_kv: vec![],
            ..example()
        };
        let written = write_payload(&plain).unwrap();
        assert_eq!(written["size_bytes"], Value::from(7));
        assert_eq!(written["s3_folders"], Value::from(Vec::<String>::new()));
        assert!(!written.contains_key("etag") && !written.contains_key(META_PAIRS));
        assert_eq!(read_payload(written), Ok(plain));
    }

    #[test]
    fn a_field_of_another_type_or_range_is_an_error() {
        let changed = |name: &str, value: Option<Value>| {
            let mut fields = write_payload(&example()).unwrap();
            fields.remove(name);
            fields.extend(value.map(|value| (name.to_owned(), value)));
            read_payload(fields).expect_err(name)
        };
        for name in ["s3_key", "s3_uri", "format", "width", "size_bytes", "indexed_at", "meta", "meta_kv"] {
            changed(name, Some(true.into()));
        }
        changed("width", Some((i64::from(u32::MAX) + 1).into()));
        let error = changed("format", Some("svg".into()));
        assert!(error.contains("svg"), "{error}");
        assert!(changed("size_bytes", Some("many".into())).contains("many"));
        assert!(changed("content_sha256", None).contains("content_sha256"));
    }

    #[test]
    fn a_point_of_another_application_is_refused_and_named() {
        let uuid = "E4512532-4A1B-52B4-9F9B-9F4FE8B5BF09";
        assert_eq!(image_id(Some(PointId::from(uuid))).unwrap().to_string(), uuid.to_lowercase());
        let error = image_id(Some(PointId::from(7))).unwrap_err();
        assert!(format!("{error:?}").contains("the point 7"), "{error:?}");
        assert!(image_id(None).is_err());
    }
}
