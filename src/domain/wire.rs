//! Records as a worker elsewhere sends them to the service, which alone may open the embedded index.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{CollectionInfo, Embedding, ImageId, ImageRecord, Payload};

/// A record as JSON: its payload, and its vector as little-endian `f32` in base64, half the size of decimals and exact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WireRecord {
    /// Its address is in here, and by that its id.
    pub payload: Payload,
    /// The vector.
    pub vector: String,
}

/// The vector of a record that came over the wire is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record of {uri}: {reason}")]
pub struct InvalidWireRecord {
    uri: String,
    reason: String,
}

/// What a worker asks of the embedded index of its service, always of its job's collection.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum RecordsRequest {
    /// Write these.
    Upsert {
        /// As many as fit into one body.
        records: Vec<WireRecord>,
    },
    /// Those of these ids that are there.
    Get {
        /// Of any images.
        ids: Vec<ImageId>,
    },
    /// Space and count of the collection.
    Describe,
}

/// What the service answers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RecordsReply {
    /// To `get`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<WireRecord>,
    /// To `describe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<CollectionInfo>,
    /// To `upsert`: a record that the index refuses, and why. The others of that request are not written.
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
            return Err(invalid(format!("{} bytes are no vector of f32", bytes.len())));
        };
        let numbers: Vec<f32> = numbers.iter().map(|four| f32::from_le_bytes(*four)).collect();
        let size = numbers.len();
        let embedding = Embedding::normalised(numbers, size).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { id: uri.id(), uri, embedding, payload })
    }
}
