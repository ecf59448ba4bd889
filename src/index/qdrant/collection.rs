//! A collection as it stands in the server: what it is, whether it is ours, and how it is made.

use std::collections::{BTreeSet, HashMap};

use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CollectionInfo, CreateCollectionBuilder, Distance, FieldType, Value, VectorParams, VectorParamsBuilder,
};

use crate::domain::{CollectionName, Space, SpaceMismatch, Trouble};
use crate::index::IndexError;

use super::error::trouble;

/// What our collections' names end in.
const SUFFIX: &str = "_images";
/// Metadata of a collection: its name as the user wrote it, its whole space, and whether all of it is made.
const COLLECTION: &str = "glimpse_collection";
const SPACE: &str = "glimpse_space";
pub(super) const COMPLETE: &str = "glimpse_complete";

/// The fields that are filtered by, or looked up by hand.
const INDEXES: [(&str, FieldType); 10] = [
    ("s3_folders", FieldType::Keyword),
    ("format", FieldType::Keyword),
    ("meta_kv", FieldType::Keyword),
    (super::payload::META_PAIRS, FieldType::Keyword),
    ("s3_key", FieldType::Keyword),
    ("s3_bucket", FieldType::Keyword),
    ("content_sha256", FieldType::Keyword),
    ("width", FieldType::Integer),
    ("height", FieldType::Integer),
    ("indexed_at", FieldType::Datetime),
];

/// The collection's name in the server.
pub(super) fn name_there(collection: &CollectionName) -> String {
    format!("{collection}{SUFFIX}")
}

/// The collection of that name in the server, if it can be one of ours.
pub(super) fn name_here(there: &str) -> Option<CollectionName> {
    CollectionName::parse(there.strip_suffix(SUFFIX)?).ok()
}

/// The request that makes it, with all that says what it is: it is ours from its first moment.
pub(super) fn creation(collection: &CollectionName, space: &Space) -> Result<CreateCollectionBuilder, IndexError> {
    let json = serde_json::to_string(space)
        .map_err(|error| trouble(Trouble::Refused, format!("the space cannot be written: {error}")))?;
    let mut metadata = HashMap::new();
    metadata.insert(COLLECTION.to_owned(), serde_json::Value::from(collection.as_str()));
    metadata.insert(SPACE.to_owned(), json.into());
    metadata.insert(COMPLETE.to_owned(), false.into());
    let vectors = VectorParamsBuilder::new(space.dimension as u64, Distance::Cosine);
    Ok(CreateCollectionBuilder::new(name_there(collection)).vectors_config(vectors).metadata(metadata))
}

/// A collection that is there.
#[derive(Debug, PartialEq)]
pub(super) struct Found {
    /// Its one, unnamed vector; `None` where it has several or named ones.
    vectors: Option<(u64, Distance)>,
    /// Name and space; `None` where the collection is not ours.
    ours: Option<(CollectionName, Space)>,
    /// Whether whoever made it came to the end, and was told so.
    pub(super) complete: bool,
    /// Fields with an index.
    indexed: BTreeSet<String>,
    /// Points, about.
    pub(super) points: u64,
}

impl Found {
    pub(super) fn read(info: CollectionInfo) -> Self {
        let config = info.config.unwrap_or_default();
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
        let name = text(COLLECTION).and_then(|name| CollectionName::parse(name).ok());
        let space = text(SPACE).and_then(|json| serde_json::from_str(json).ok());
        let incomplete = config.metadata.get(COMPLETE) == Some(&Value::from(false));
        Self {
            vectors,
            ours: name.zip(space),
            complete: !incomplete,
            indexed: info.payload_schema.into_keys().collect(),
            points,
        }
    }

    /// Whether nothing says whose it is.
    pub(super) fn is_without_metadata(&self) -> bool {
        self.ours.is_none()
    }

    /// The indexes that it lacks.
    pub(super) fn missing(&self) -> impl Iterator<Item = (&'static str, FieldType)> {
        INDEXES.into_iter().filter(|(field, _)| !self.indexed.contains(*field))
    }

    /// The space of `collection`, if this is that collection and is as we make them.
    ///
    /// # Errors
    /// Says how it is another's.
    pub(super) fn space(&self, collection: &CollectionName) -> Result<&Space, IndexError> {
        let there = name_there(collection);
        let foreign = |what: &str| {
            let detail = format!("the collection `{there}` {what}; choose another name or remove it");
            IndexError::Dependency(trouble(Trouble::Refused, detail))
        };
        let Some((size, distance)) = self.vectors else {
            return Err(foreign("has no single unnamed vector"));
        };
        let Some((name, space)) = &self.ours else {
            return Err(foreign("was not made by this service: its metadata holds no space"));
        };
        if name != collection {
            return Err(foreign(&format!("says in its metadata that it is `{name}`")));
        }
        if size != space.dimension as u64 {
            return Err(foreign(&format!("has vectors of {size} numbers, its space has {}", space.dimension)));
        }
        match distance {
            Distance::Cosine => Ok(space),
            other => Err(foreign(&format!("compares by {}, not by cosine", other.as_str_name()))),
        }
    }

    /// Whether vectors of `offered` may be written to it as `collection`.
    ///
    /// # Errors
    /// [`IndexError::Space`] where they are of another space or size, otherwise as [`Self::space`].
    pub(super) fn admits(&self, collection: &CollectionName, offered: &Space) -> Result<(), IndexError> {
        match (self.space(collection), self.vectors) {
            (Ok(space), _) => Ok(space.admits(offered)?),
            (Err(_), Some((size, _))) if self.ours.is_none() && size != offered.dimension as u64 => {
                let stored = format!("the collection `{}`, which is not ours", name_there(collection));
                let reason = format!("{size} numbers against {}", offered.dimension);
                Err(SpaceMismatch { stored, offered: offered.name(), reason }.into())
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Its name and space, where it is one of ours.
    pub(super) fn into_ours(self) -> Option<(CollectionName, Space)> {
        let (name, _) = self.ours.as_ref()?;
        self.space(name).is_ok().then_some(self.ours)?
    }
}
