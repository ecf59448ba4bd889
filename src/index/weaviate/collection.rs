//! A collection in Weaviate: a class, its properties, and the data in its description.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::record::property;
use crate::domain::{CollectionName, Space};

/// The JSON in the description of a class that Glimpse created. (Weaviate 1.39 returned 200,000 characters unchanged; a
/// space of 512 numbers has about 30,000.)
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Description {
    glimpse: StoredCollection,
}

/// The name of the collection as its creator wrote it, and its space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredCollection {
    pub(super) collection: CollectionName,
    pub(super) space: Space,
}

/// The parts of a class in `GET /v1/schema` that are read.
#[derive(Debug, Deserialize)]
pub(super) struct Class {
    #[serde(rename = "class")]
    pub(super) name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    properties: Vec<Property>,
    #[serde(default, rename = "vectorIndexConfig")]
    vector_index: Option<VectorIndex>,
    #[serde(default, rename = "multiTenancyConfig")]
    tenancy: Tenancy,
}

#[derive(Debug, Deserialize)]
struct Property {
    name: String,
    #[serde(rename = "dataType")]
    data_type: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct VectorIndex {
    #[serde(default)]
    distance: String,
}

#[derive(Debug, Default, Deserialize)]
struct Tenancy {
    #[serde(default)]
    enabled: bool,
}

/// The reply to `GET /v1/schema`.
#[derive(Debug, Deserialize)]
pub(super) struct Classes {
    #[serde(default)]
    pub(super) classes: Vec<Class>,
}

/// How a property is declared: its type and its index.
#[derive(Clone, Copy)]
enum PropertyKind {
    /// A text without an index.
    Text,
    /// A text that filters compare as a whole.
    Keyword,
    /// A list of texts without an index.
    TextList,
    /// A list of texts whose elements filters compare as a whole.
    KeywordList,
    /// A number without an index.
    Number,
    /// A number with an index for ranges.
    Range,
    /// A date without an index.
    Date,
    /// See [`property::GUARD`].
    Guard,
}

/// All properties of a class that Glimpse creates. Auto-schema adds none.
const PROPERTIES: [(&str, PropertyKind); 20] = [
    (property::S3_KEY, PropertyKind::Text),
    (property::S3_URI, PropertyKind::Text),
    (property::S3_BUCKET, PropertyKind::Text),
    (property::S3_FOLDERS, PropertyKind::TextList),
    (property::FORMAT, PropertyKind::Keyword),
    (property::WIDTH, PropertyKind::Range),
    (property::HEIGHT, PropertyKind::Range),
    (property::FRAMES, PropertyKind::Number),
    (property::THUMBNAIL_KEY, PropertyKind::Text),
    (property::ETAG, PropertyKind::Text),
    (property::SIZE_BYTES, PropertyKind::Number),
    (property::CONTENT_SHA256, PropertyKind::Text),
    (property::SPACE, PropertyKind::Text),
    (property::INDEXED_AT, PropertyKind::Date),
    (property::INDEXED_MICROS, PropertyKind::Range),
    (property::META, PropertyKind::Text),
    (property::META_KV, PropertyKind::TextList),
    (property::TERMS, PropertyKind::KeywordList),
    (property::PAYLOAD, PropertyKind::Text),
    (property::GUARD, PropertyKind::Guard),
];

impl PropertyKind {
    fn data_type(self) -> &'static str {
        match self {
            Self::Text | Self::Keyword => "text",
            Self::TextList | Self::KeywordList => "text[]",
            Self::Number | Self::Range => "int",
            Self::Date => "date",
            Self::Guard => "object",
        }
    }

    fn declaration(self, name: &str) -> Value {
        let filterable = matches!(self, Self::Keyword | Self::KeywordList);
        let mut property = json!({
            "name": name, "dataType": [self.data_type()], "indexFilterable": filterable, "indexSearchable": false,
        });
        match self {
            Self::Text | Self::Keyword | Self::TextList | Self::KeywordList => {
                property["tokenization"] = "field".into();
            }
            Self::Range => property["indexRangeFilters"] = true.into(),
            Self::Guard => {
                let nothing = json!({"name": "nothing", "dataType": ["boolean"], "indexFilterable": false});
                property["nestedProperties"] = json!([nothing]);
            }
            Self::Number | Self::Date => {}
        }
        property
    }
}

/// Returns the body of `POST /v1/schema` for this collection. It declares one unnamed vector, in the form that every
/// version accepts and that matches `vector_bytes` in objects and searches.
pub(super) fn new_class(collection: &CollectionName, space: &Space) -> serde_json::Result<Vec<u8>> {
    let description =
        Description { glimpse: StoredCollection { collection: collection.clone(), space: space.clone() } };
    let properties: Vec<Value> = PROPERTIES.iter().map(|(name, kind)| kind.declaration(name)).collect();
    serde_json::to_vec(&json!({
        "class": collection.weaviate_class(),
        "description": serde_json::to_string(&description)?,
        // Without this, the default of the server would apply, which may call a model.
        "vectorizer": "none",
        "vectorIndexType": "hnsw",
        "vectorIndexConfig": {"distance": "cosine"},
        "multiTenancyConfig": {"enabled": false},
        "properties": properties,
    }))
}

impl Class {
    /// Returns the name and the space in the description, if Glimpse created the class and can use it.
    ///
    /// # Errors
    /// Returns a message with the reason if it cannot.
    pub(super) fn stored_collection(self) -> Result<StoredCollection, String> {
        let name = &self.name;
        let Ok(Description { glimpse: stored }) = serde_json::from_str(&self.description) else {
            return Err(format!("the class {name} was not created by Glimpse: its description has no Glimpse data"));
        };
        if stored.collection.weaviate_class() != *name {
            return Err(format!(
                "the class {name} belongs to the collection `{}` according to its description",
                stored.collection
            ));
        }
        if self.vector_index.as_ref().is_none_or(|index| index.distance != "cosine") {
            return Err(format!("the class {name} does not use the distance cosine"));
        }
        if self.tenancy.enabled {
            return Err(format!("the class {name} has tenants, which Glimpse does not support"));
        }
        let property_types: BTreeMap<&str, &[String]> =
            self.properties.iter().map(|property| (property.name.as_str(), &property.data_type[..])).collect();
        for (property, kind) in PROPERTIES {
            if property_types.get(property).is_none_or(|types| types != &[kind.data_type()]) {
                return Err(format!("the class {name} has no property {property} of the type {}", kind.data_type()));
            }
        }
        Ok(stored)
    }
}

#[cfg(test)]
#[path = "collection_tests.rs"]
mod tests;
