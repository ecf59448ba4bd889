//! A collection in Weaviate: a class, its properties, and the data in its description.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::record::property;
use crate::domain::{CollectionName, Space};
use crate::index::Quantization;

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
    tenancy: Switch,
}

#[derive(Debug, Deserialize)]
struct Property {
    name: String,
    #[serde(rename = "dataType")]
    data_type: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VectorIndex {
    #[serde(default)]
    distance: String,
    /// A search with a filter that matches fewer objects than this compares all of them.
    #[serde(default)]
    flat_search_cutoff: u64,
    #[serde(default, rename = "rq")]
    rotational: Switch,
}

#[derive(Debug, Default, Deserialize)]
struct Switch {
    #[serde(default)]
    enabled: bool,
}

/// The reply to `GET /v1/schema`.
#[derive(Debug, Deserialize)]
pub(super) struct Classes {
    #[serde(default)]
    pub(super) classes: Vec<Class>,
}

/// The index of a property.
#[derive(Clone, Copy, PartialEq)]
enum Index {
    None,
    /// Filters compare a text, or an element of a list of texts, as a whole.
    Exact,
    /// Filters compare a number with a range.
    Range,
    /// Filters find the objects within a distance.
    Geo,
}

/// All properties of a class that Glimpse creates, with their types. Auto-schema adds none. A class of an earlier version
/// of Glimpse may lack some; `ensure` adds them.
const PROPERTIES: [(&str, &str, Index); 29] = [
    (property::S3_KEY, "text", Index::None),
    (property::S3_URI, "text", Index::None),
    (property::S3_BUCKET, "text", Index::None),
    (property::S3_FOLDERS, "text[]", Index::None),
    (property::FORMAT, "text", Index::Exact),
    (property::WIDTH, "int", Index::Range),
    (property::HEIGHT, "int", Index::Range),
    (property::FRAMES, "int", Index::None),
    (property::THUMBNAIL_KEY, "text", Index::None),
    (property::ETAG, "text", Index::None),
    (property::SIZE_BYTES, "int", Index::None),
    (property::CONTENT_SHA256, "text", Index::None),
    (property::SPACE, "text", Index::None),
    (property::INDEXED_AT, "date", Index::None),
    (property::INDEXED_MICROS, "int", Index::Range),
    (property::META, "text", Index::None),
    (property::META_KV, "text[]", Index::None),
    (property::TERMS, "text[]", Index::Exact),
    (property::RANGE_TERMS, "text[]", Index::Exact),
    (property::PAYLOAD, "text", Index::None),
    (property::VERSION, "int", Index::Range),
    (property::GUARD, "object", Index::None),
    (property::CAMERA, "text", Index::Exact),
    (property::TAKEN_AT, "date", Index::None),
    (property::TAKEN_MICROS, "int", Index::Range),
    (property::TAKEN_MONTHS, "text[]", Index::Exact),
    (property::LOCATION, "geoCoordinates", Index::Geo),
    (property::LATITUDE_E7, "int", Index::Range),
    (property::LONGITUDE_E7, "int", Index::Range),
];

fn declaration((name, data_type, index): (&str, &str, Index)) -> Value {
    let mut declaration = json!({
        "name": name,
        "dataType": [data_type],
        "indexFilterable": matches!(index, Index::Exact | Index::Geo),
        "indexSearchable": false,
    });
    if data_type.starts_with("text") {
        declaration["tokenization"] = "field".into();
    }
    if index == Index::Range {
        declaration["indexRangeFilters"] = true.into();
    }
    if name == property::GUARD {
        let nothing = json!({"name": "nothing", "dataType": ["boolean"], "indexFilterable": false});
        declaration["nestedProperties"] = json!([nothing]);
    }
    declaration
}

/// Returns the body of `POST /v1/schema` for this collection. It declares one unnamed vector, in the form that every
/// version accepts and that matches `vector_bytes` in objects and searches.
pub(super) fn new_class(
    collection: &CollectionName,
    space: &Space,
    quantization: Quantization,
) -> serde_json::Result<Vec<u8>> {
    let description =
        Description { glimpse: StoredCollection { collection: collection.clone(), space: space.clone() } };
    let properties: Vec<Value> = PROPERTIES.into_iter().map(declaration).collect();
    let index = match quantization {
        Quantization::None => json!({"distance": "cosine"}),
        // Rotational quantisation needs no training: the first vectors are quantised, too.
        Quantization::Int8 => json!({"distance": "cosine", "rq": {"enabled": true, "bits": 8}}),
    };
    serde_json::to_vec(&json!({
        "class": collection.weaviate_class(),
        "description": serde_json::to_string(&description)?,
        // Without this, the default of the server would apply, which may call a model.
        "vectorizer": "none",
        "vectorIndexType": "hnsw",
        "vectorIndexConfig": index,
        "multiTenancyConfig": {"enabled": false},
        "properties": properties,
    }))
}

impl Class {
    /// Returns the name and the space in the description, if Glimpse created the class and can use it.
    ///
    /// # Errors
    /// Returns a message with the reason if it cannot.
    pub(super) fn stored_collection(&self) -> Result<StoredCollection, String> {
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
        for (property, data_type, _) in PROPERTIES {
            if self.types_of(property).is_some_and(|types| types != [data_type]) {
                return Err(format!("the property {property} of the class {name} does not have the type {data_type}"));
            }
        }
        Ok(stored)
    }

    /// Returns the number of objects from which on the server does not compare every object that matches a filter.
    pub(super) fn flat_search_cutoff(&self) -> u64 {
        self.vector_index.as_ref().map_or(0, |index| index.flat_search_cutoff)
    }

    /// Returns how vectors are kept in memory.
    pub(super) fn quantization(&self) -> Quantization {
        let is_quantised = self.vector_index.as_ref().is_some_and(|index| index.rotational.enabled);
        if is_quantised { Quantization::Int8 } else { Quantization::None }
    }

    /// Returns the declarations of the properties that the class lacks, because an earlier version created it.
    pub(super) fn missing_properties(&self) -> Vec<Value> {
        let missing = PROPERTIES.into_iter().filter(|(property, _, _)| self.types_of(property).is_none());
        missing.map(declaration).collect()
    }

    fn types_of(&self, property: &str) -> Option<&[String]> {
        self.properties.iter().find(|other| other.name == property).map(|found| &found.data_type[..])
    }
}

#[cfg(test)]
#[path = "collection_tests.rs"]
mod tests;
