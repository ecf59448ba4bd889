//! Files with vectors, for programs outside this service: Parquet files, which this module writes and reads, and the files that
//! clip-retrieval writes. What a file contains is checked and bounded; a damaged file is an error.

mod clip_retrieval;
mod error;
mod npy;
mod read;
mod rows;
mod write;

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::domain::Space;

pub use clip_retrieval::{ClipRetrieval, KeyRule};
pub use error::ExchangeError;
pub use read::ParquetImages;
pub use write::ParquetWriter;

/// The version of the files that this version writes.
pub const FORMAT_VERSION: u32 = 1;
/// Maximum numbers of a vector.
pub const MAX_DIMENSION: usize = 16_384;
/// Maximum bytes of a URI: a bucket, and a key of at most 1024 bytes.
const MAX_URI: usize = 2_048;
/// Maximum bytes of a payload.
const MAX_PAYLOAD: usize = 256 << 10;

/// What all vectors of a file have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileHeader {
    /// The collection that was exported.
    pub collection: Option<String>,
    /// The number of its generation.
    pub generation: Option<u32>,
    /// The name of the model.
    pub model: Option<String>,
    /// Numbers of a vector.
    pub dimension: usize,
    /// The space of the vectors. A file of another program has none.
    pub space: Option<Space>,
}

/// One image of a file.
#[derive(Clone, Debug)]
pub struct FileImage {
    /// The number of the row in its file, from 1.
    pub row: u64,
    /// `s3://bucket/key`, which is not checked; empty if the file has none.
    pub uri: String,
    /// The vector of the image.
    pub vector: Vec<f32>,
    /// The payload of the record, if the file has it.
    pub payload: Option<Box<RawValue>>,
    /// Metadata of the image, if the file has no payload.
    pub meta: BTreeMap<String, String>,
}
