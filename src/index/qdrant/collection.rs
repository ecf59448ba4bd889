//! A collection as the server stores it: how it is created, and whether an existing one was created by this service.

use std::collections::{BTreeSet, HashMap};

use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CollectionInfo, CollectionStatus, CreateCollectionBuilder, Distance, FieldType, Memory, OptimizersConfigDiff,
    QuantizationType, ScalarQuantizationBuilder, UpdateCollectionBuilder, Value, VectorParams, VectorParamsBuilder,
};

use crate::domain::{CollectionName, FailureKind, Space, SpaceMismatch};
use crate::index::{IndexError, Quantization};

use super::error::dependency_error;
use super::record::{CAMERA, LATITUDE, LOCATION, LONGITUDE, META_PAIRS, TAKEN_AT, TAKEN_MONTHS};

/// The size in kilobytes from which on a segment gets a graph and quantised vectors: the default of the server. 10,000 kB are
/// 5,000 vectors of 512 numbers.
const THRESHOLD_KB: u64 = 10_000;
/// The same during the first job of a collection: with fewer merges of segments, fewer graphs are made again.
const LOAD_THRESHOLD_KB: u64 = 100_000;
/// The share of the numbers whose range the 256 values of a byte cover; the rest is clipped.
const QUANTILE: f32 = 0.99;
/// The suffix of the names of our collections.
const SUFFIX: &str = "_images";
/// Metadata keys of a collection: its name as the user wrote it, its space, and whether its creation was completed.
const COLLECTION_KEY: &str = "glimpse_collection";
const SPACE_KEY: &str = "glimpse_space";
pub(super) const COMPLETE_KEY: &str = "glimpse_complete";

/// The indexed fields: those that filters use, and those that people search for by hand.
const INDEXES: [(&str, FieldType); 17] = [
    ("s3_folders", FieldType::Keyword),
    ("format", FieldType::Keyword),
    ("meta_kv", FieldType::Keyword),
    (META_PAIRS, FieldType::Keyword),
    ("s3_key", FieldType::Keyword),
    ("s3_bucket", FieldType::Keyword),
    ("content_sha256", FieldType::Keyword),
    ("width", FieldType::Integer),
    ("height", FieldType::Integer),
    ("indexed_at", FieldType::Datetime),
    ("version", FieldType::Integer),
    (CAMERA, FieldType::Keyword),
    (TAKEN_MONTHS, FieldType::Keyword),
    (TAKEN_AT, FieldType::Datetime),
    (LOCATION, FieldType::Geo),
    (LATITUDE, FieldType::Float),
    (LONGITUDE, FieldType::Float),
];

/// Returns the name of a collection in the server.
pub(super) fn server_name(collection: &CollectionName) -> String {
    format!("{collection}{SUFFIX}")
}

/// Returns the collection with this name in the server, if the name has the suffix of our collections.
pub(super) fn parse_server_name(server_name: &str) -> Option<CollectionName> {
    CollectionName::parse(server_name.strip_suffix(SUFFIX)?).ok()
}

/// Returns the request that creates a collection. It contains the metadata, so the collection is ours from the start.
pub(super) fn creation_request(
    collection: &CollectionName,
    space: &Space,
    quantization: Quantization,
) -> Result<CreateCollectionBuilder, IndexError> {
    let json = serde_json::to_string(space)
        .map_err(|error| dependency_error(FailureKind::Refused, format!("cannot write the space as JSON: {error}")))?;
    let mut metadata = HashMap::new();
    metadata.insert(COLLECTION_KEY.to_owned(), serde_json::Value::from(collection.as_str()));
    metadata.insert(SPACE_KEY.to_owned(), json.into());
    metadata.insert(COMPLETE_KEY.to_owned(), false.into());
    let vectors = VectorParamsBuilder::new(space.dimension as u64, Distance::Cosine);
    let optimizers =
        OptimizersConfigDiff { indexing_threshold: Some(LOAD_THRESHOLD_KB), ..OptimizersConfigDiff::default() };
    let request =
        CreateCollectionBuilder::new(server_name(collection)).metadata(metadata).optimizers_config(optimizers);
    Ok(match quantization {
        Quantization::None => request.vectors_config(vectors),
        // Servers before 1.19 do not know `memory`, but `on_disk` and `always_ram`.
        Quantization::Int8 => {
            let scalar = ScalarQuantizationBuilder::default()
                .r#type(QuantizationType::Int8.into())
                .quantile(QUANTILE)
                .always_ram(true)
                .memory(Memory::Pinned);
            request.vectors_config(vectors.on_disk(true).memory(Memory::Cold)).quantization_config(scalar)
        }
    })
}

/// Returns the request after which the server makes graphs of small segments, too.
pub(super) fn end_of_load_request(collection: &CollectionName) -> UpdateCollectionBuilder {
    let optimizers = OptimizersConfigDiff { indexing_threshold: Some(THRESHOLD_KB), ..OptimizersConfigDiff::default() };
    UpdateCollectionBuilder::new(server_name(collection)).optimizers_config(optimizers)
}

/// An existing collection.
#[derive(Debug, PartialEq)]
pub(super) struct FoundCollection {
    /// The dimension and distance of its single unnamed vector; `None` if it has several or named vectors.
    vectors: Option<(u64, Distance)>,
    /// The name and the space; `None` if this service did not create the collection.
    identity: Option<(CollectionName, Space)>,
    /// Whether its creation was completed and reported.
    pub(super) complete: bool,
    /// How vectors are kept in memory.
    pub(super) quantization: Quantization,
    /// Whether the collection is set up for its first load.
    pub(super) is_loading: bool,
    /// The fields with an index.
    pub(super) indexed: BTreeSet<String>,
    /// Whether the optimiser of the server does not work.
    pub(super) is_optimised: bool,
    /// The approximate number of points.
    pub(super) points: u64,
}

impl FoundCollection {
    pub(super) fn from_info(info: CollectionInfo) -> Self {
        // Grey waits for a write, and red for an operator: neither ends by itself.
        let is_optimised = info.status() != CollectionStatus::Yellow;
        let config = info.config.unwrap_or_default();
        let threshold = config.optimizer_config.and_then(|optimizers| optimizers.indexing_threshold);
        let quantization = if config.quantization_config.is_some() { Quantization::Int8 } else { Quantization::None };
        let vectors = config.params.and_then(|params| params.vectors_config).and_then(|vectors| vectors.config);
        let vectors = match vectors {
            Some(Config::Params(VectorParams { size, distance, multivector_config: None, .. })) => {
                Some((size, Distance::try_from(distance).unwrap_or_default()))
            }
            Some(Config::Params(_) | Config::ParamsMap(_)) | None => None,
        };
        let points = info.points_count.unwrap_or_default();
        let text = |name: &str| match config.metadata.get(name) {
            Some(Value { kind: Some(Kind::StringValue(text)) }) => Some(text.as_str()),
            _ => None,
        };
        let name = text(COLLECTION_KEY).and_then(|name| CollectionName::parse(name).ok());
        let space = text(SPACE_KEY).and_then(|json| serde_json::from_str(json).ok());
        let incomplete = config.metadata.get(COMPLETE_KEY) == Some(&Value::from(false));
        Self {
            vectors,
            identity: name.zip(space),
            complete: !incomplete,
            quantization,
            is_loading: threshold == Some(LOAD_THRESHOLD_KB),
            indexed: info.payload_schema.into_keys().collect(),
            is_optimised,
            points,
        }
    }

    pub(super) fn has_no_metadata(&self) -> bool {
        self.identity.is_none()
    }

    pub(super) fn missing_indexes(&self) -> impl Iterator<Item = (&'static str, FieldType)> {
        INDEXES.into_iter().filter(|(field, _)| !self.indexed.contains(*field))
    }

    /// Returns the space of `collection`, if this is that collection and it has the form in which this service creates
    /// collections.
    ///
    /// # Errors
    /// Returns an error with the difference.
    pub(super) fn space(&self, collection: &CollectionName) -> Result<&Space, IndexError> {
        let server_name = server_name(collection);
        let unusable = |what: &str| {
            let detail = format!("the collection `{server_name}` {what}; choose another name or remove the collection");
            IndexError::Dependency(dependency_error(FailureKind::Refused, detail))
        };
        let Some((size, distance)) = self.vectors else {
            return Err(unusable("does not have exactly one unnamed vector"));
        };
        let Some((name, space)) = &self.identity else {
            return Err(unusable("was not created by this service: its metadata has no space"));
        };
        if name != collection {
            return Err(unusable(&format!("belongs to the collection `{name}` according to its metadata")));
        }
        if size != space.dimension as u64 {
            return Err(unusable(&format!("has vectors of {size} numbers, but its space has {}", space.dimension)));
        }
        match distance {
            Distance::Cosine => Ok(space),
            other => Err(unusable(&format!("uses the distance {} instead of cosine", other.as_str_name()))),
        }
    }

    /// Checks that vectors of the space `offered` may be written to this collection as `collection`.
    ///
    /// # Errors
    /// Returns [`IndexError::Space`] if the space or the dimension differs, and otherwise the errors of
    /// [`Self::space`].
    pub(super) fn admits(&self, collection: &CollectionName, offered: &Space) -> Result<(), IndexError> {
        match (self.space(collection), self.vectors) {
            (Ok(space), _) => Ok(space.admits(offered)?),
            (Err(_), Some((size, _))) if self.identity.is_none() && size != offered.dimension as u64 => {
                let stored = format!("the collection `{}`, which this service did not create", server_name(collection));
                let reason = format!("{size} numbers against {}", offered.dimension);
                Err(SpaceMismatch { stored, offered: offered.name(), reason }.into())
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Returns the name and the space, if this service created the collection.
    pub(super) fn into_identity(self) -> Option<(CollectionName, Space)> {
        let (name, _) = self.identity.as_ref()?;
        self.space(name).is_ok().then_some(self.identity)?
    }
}
