//! Records as a remote worker sends them to the service. Only the service can open the embedded index.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{CollectionInfo, Embedding, ImageId, ImageRecord, Payload};

/// A record as JSON: its payload, and its vector as little-endian `f32` in base64, which has half the size of decimal
/// numbers and is exact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WireRecord {
    /// The payload; it contains the URI of the image, from which the id follows.
    pub payload: Payload,
    /// The vector, in base64.
    pub vector: String,
}

/// The vector of a received record is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record of {uri}: {reason}")]
pub struct InvalidWireRecord {
    uri: String,
    reason: String,
}

/// A worker's request to the embedded index of its service, always for the collection of its job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum RecordsRequest {
    /// Write these records.
    Upsert {
        /// The records; as many as fit into one request body.
        records: Vec<WireRecord>,
    },
    /// Return the existing records among these ids.
    Get {
        /// Ids of images.
        ids: Vec<ImageId>,
    },
    /// Return the space and the count of the collection.
    Describe,
}

/// The service's reply.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RecordsReply {
    /// Reply to `get`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<WireRecord>,
    /// Reply to `describe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<CollectionInfo>,
    /// Reply to `upsert`: a record that the index refuses, and why. The other records of that request are not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<(ImageId, String)>,
}

impl From<&ImageRecord> for WireRecord {
    fn from(record: &ImageRecord) -> Self {
        let bytes: Vec<u8> = record.embedding.as_slice().iter().flat_map(|number| number.to_le_bytes()).collect();
        Self { payload: record.payload.clone(), vector: STANDARD.encode(bytes) }
    }
}

impl TryFrom<WireRecord> for ImageRecord {
    type Error = InvalidWireRecord;

    fn try_from(wire: WireRecord) -> Result<Self, InvalidWireRecord> {
        let WireRecord { payload, vector } = wire;
        let uri = payload.s3_uri.clone();
        let invalid = |reason: String| InvalidWireRecord { uri: uri.to_string(), reason };
        let bytes = STANDARD.decode(vector).map_err(|error| invalid(error.to_string()))?;
        let (numbers, []) = bytes.as_chunks::<4>() else {
            return Err(invalid(format!(
                "{} bytes are not a vector of f32: the length must be a multiple of 4",
                bytes.len()
            )));
        };
        let numbers: Vec<f32> = numbers.iter().map(|four| f32::from_le_bytes(*four)).collect();
        let size = numbers.len();
        let embedding = Embedding::normalised(numbers, size).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { id: uri.id(), uri, embedding, payload })
    }
}
