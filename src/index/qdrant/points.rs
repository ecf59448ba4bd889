//! Converts records into points, and points into records and hits.

use std::collections::HashMap;

use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::vector_output::Vector;
use qdrant_client::qdrant::{PointId, PointStruct, RetrievedPoint, Value, VectorsOutput};

use super::error::Fault;
use super::payload;
use crate::domain::{Embedding, ImageId, ImageRecord, Payload};

/// The maximum number of points in one request.
const MAX_POINTS: usize = 256;
/// The approximate maximum of their bytes: far below the limits of a server, and small enough for the time limit of a
/// call.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of field names, ids and other constant parts of each point.
const POINT_OVERHEAD_BYTES: usize = 512;

/// Splits the records into requests of bounded size. Of several records with the same id, only the last is kept.
pub(super) fn requests(records: &[ImageRecord]) -> Vec<Vec<&ImageRecord>> {
    let place: HashMap<ImageId, usize> = records.iter().map(|record| record.id).zip(0..).collect();
    let mut requests = Vec::new();
    let (mut request, mut bytes) = (Vec::new(), 0);
    for (_, record) in records.iter().enumerate().filter(|(at, record)| place.get(&record.id) == Some(at)) {
        let weight = weight(record);
        if request.len() == MAX_POINTS || (!request.is_empty() && bytes + weight > MAX_BYTES) {
            requests.push(std::mem::take(&mut request));
            bytes = 0;
        }
        request.push(record);
        bytes += weight;
    }
    if !request.is_empty() {
        requests.push(request);
    }
    requests
}

/// Returns the approximate number of bytes of a record in a request.
pub(super) fn weight(record: &ImageRecord) -> usize {
    let Payload { s3_key, s3_folders, meta, meta_kv, .. } = &record.payload;
    let folders: usize = s3_folders.iter().map(String::len).sum();
    let pairs: usize = meta.iter().map(|(key, value)| 2 * (key.len() + value.len())).sum();
    let texts: usize = meta_kv.iter().map(String::len).sum();
    POINT_OVERHEAD_BYTES + record.embedding.dimension() * size_of::<f32>() + 2 * s3_key.len() + folders + pairs + texts
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

pub(super) fn point(record: &ImageRecord) -> PointStruct {
    PointStruct {
        id: Some(point_id(record.id)),
        payload: payload::write(&record.payload),
        vectors: Some(record.embedding.as_slice().into()),
    }
}

/// Returns the vector of a point, if it has a single dense one.
pub(super) fn dense(vectors: Option<&VectorsOutput>) -> Option<Vec<f32>> {
    match vectors?.get_vector()? {
        Vector::Dense(dense) => Some(dense.data),
        Vector::Sparse(_) | Vector::MultiDense(_) => None,
    }
}

/// Converts a point that was requested with its vector and payload.
pub(super) fn record(point: RetrievedPoint) -> Result<ImageRecord, Fault> {
    let id = image_id(point.id)?;
    let payload = payload_of(id, point.payload)?;
    let Some(dense) = dense(point.vectors.as_ref()) else {
        return Err(Fault::unreadable(format!("the point {id} has no vector")));
    };
    let size = dense.len();
    let embedding = Embedding::normalised(dense, size);
    let embedding = embedding.map_err(|error| Fault::unreadable(format!("the point {id}: {error}")))?;
    Ok(ImageRecord { id, uri: payload.s3_uri.clone(), embedding, payload })
}

pub(super) fn payload_of(id: ImageId, fields: HashMap<String, Value>) -> Result<Payload, Fault> {
    payload::read(fields).map_err(|why| Fault::unreadable(format!("the payload of the point {id}: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ImageFormat, ImageUri, Timestamp};

    fn record(key: &str, dimension: usize) -> ImageRecord {
        let uri = ImageUri::new("bucket", key);
        let payload = Payload {
            s3_key: key.to_owned(),
            s3_uri: uri.clone(),
            s3_bucket: "bucket".to_owned(),
            s3_folders: vec![],
            format: ImageFormat::Jpeg,
            width: 1,
            height: 1,
            frames: 1,
            thumbnail_key: None,
            etag: None,
            size_bytes: 1,
            content_sha256: String::new(),
            space: String::new(),
            indexed_at: Timestamp::now(),
            meta: std::collections::BTreeMap::new(),
            meta_kv: vec![],
        };
        let embedding = Embedding::normalised(vec![1.0; dimension], dimension).unwrap();
        ImageRecord { id: uri.id(), uri, embedding, payload }
    }

    #[test]
    fn requests_are_bounded_and_keep_the_last_record_of_an_id() {
        let small: Vec<_> = (0..600).map(|n| record(&format!("{n}.jpg"), 4)).collect();
        assert_eq!(requests(&small).iter().map(Vec::len).collect::<Vec<_>>(), [256, 256, 88]);
        // A vector of 100,000 numbers has 400,000 bytes: ten fit.
        let large: Vec<_> = (0..25).map(|n| record(&format!("{n}.jpg"), 100_000)).collect();
        assert_eq!(requests(&large).iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
        // A record that is too large for any request is still sent, alone: the server refuses it.
        let huge = [record("a.jpg", 4), record("b.jpg", 2_000_000), record("c.jpg", 4)];
        assert_eq!(requests(&huge).iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
        assert!(requests(&[]).is_empty());

        let mut twice = [record("a.jpg", 4), record("b.jpg", 4), record("a.jpg", 4)];
        twice[2].payload.width = 7;
        let kept = requests(&twice);
        assert_eq!(kept[0].iter().map(|record| record.payload.width).collect::<Vec<_>>(), [1, 7]);
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
