//! What a collection is in Weaviate: a class, its properties, and what is kept in its description.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::names;
use crate::domain::{CollectionName, Space};

/// What the description of a class of ours holds, as JSON. (200,000 characters came back whole from Weaviate 1.39; a
/// space of 512 numbers has some 30,000.)
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Mark {
    glimpse: Kept,
}

/// The collection's name as its maker wrote it, and its space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) collection: CollectionName,
    pub(super) space: Space,
}

/// A class as `GET /v1/schema` shows it, as far as it is looked at.
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

/// `GET /v1/schema`.
#[derive(Debug, Deserialize)]
pub(super) struct Classes {
    #[serde(default)]
    pub(super) classes: Vec<Class>,
}

/// How a property is declared: its type, and what it is looked up by.
#[derive(Clone, Copy)]
enum Kind {
    /// Text that is only kept.
    Kept,
    /// Text that is compared whole.
    Word,
    /// A list of texts that is only kept.
    KeptList,
    /// A list of texts of which any one may be compared, whole.
    WordList,
    /// A number that is only kept.
    Number,
    /// A number that ranges are asked of.
    Range,
    /// A date that is only kept.
    Date,
    /// See [`names::GUARD`].
    Guard,
}

/// Every property of a class of ours. None is left to auto-schema.
const PROPERTIES: [(&str, Kind); 20] = [
    (names::S3_KEY, Kind::Kept),
    (names::S3_URI, Kind::Kept),
    (names::S3_BUCKET, Kind::Kept),
    (names::S3_FOLDERS, Kind::KeptList),
    (names::FORMAT, Kind::Word),
    (names::WIDTH, Kind::Range),
    (names::HEIGHT, Kind::Range),
    (names::FRAMES, Kind::Number),
    (names::THUMBNAIL_KEY, Kind::Kept),
    (names::ETAG, Kind::Kept),
    (names::SIZE_BYTES, Kind::Number),
    (names::CONTENT_SHA256, Kind::Kept),
    (names::SPACE, Kind::Kept),
    (names::INDEXED_AT, Kind::Date),
    (names::INDEXED_MICROS, Kind::Range),
    (names::META, Kind::Kept),
    (names::META_KV, Kind::KeptList),
    (names::TERMS, Kind::WordList),
    (names::PAYLOAD, Kind::Kept),
    (names::GUARD, Kind::Guard),
];

impl Kind {
    fn data_type(self) -> &'static str {
        match self {
            Self::Kept | Self::Word => "text",
            Self::KeptList | Self::WordList => "text[]",
            Self::Number | Self::Range => "int",
            Self::Date => "date",
            Self::Guard => "object",
        }
    }

    fn declared(self, name: &str) -> Value {
        let looked_up = matches!(self, Self::Word | Self::WordList);
        let mut declared = json!({
            "name": name, "dataType": [self.data_type()], "indexFilterable": looked_up, "indexSearchable": false,
        });
        match self {
            Self::Kept | Self::Word | Self::KeptList | Self::WordList => declared["tokenization"] = "field".into(),
            Self::Range => declared["indexRangeFilters"] = true.into(),
            Self::Guard => {
                let nothing = json!({"name": "nothing", "dataType": ["boolean"], "indexFilterable": false});
                declared["nestedProperties"] = json!([nothing]);
            }
            Self::Number | Self::Date => {}
        }
        declared
    }
}

/// The body of `POST /v1/schema` for this collection. One vector without a name, in the form that every version
/// takes: `vector_bytes` in objects and searches goes with it.
pub(super) fn new_class(collection: &CollectionName, space: &Space) -> serde_json::Result<Vec<u8>> {
    let mark = Mark { glimpse: Kept { collection: collection.clone(), space: space.clone() } };
    let properties: Vec<Value> = PROPERTIES.iter().map(|(name, kind)| kind.declared(name)).collect();
    serde_json::to_vec(&json!({
        "class": collection.weaviate_class(),
        "description": serde_json::to_string(&mark)?,
        // Left out, it would be the server's default, which may call a model.
        "vectorizer": "none",
        "vectorIndexType": "hnsw",
        "vectorIndexConfig": {"distance": "cosine"},
        "multiTenancyConfig": {"enabled": false},
        "properties": properties,
    }))
}

impl Class {
    /// What is kept with the class, if it is one that this program made and can use.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) fn kept(self) -> Result<Kept, String> {
        let name = &self.name;
        let Ok(Mark { glimpse: kept }) = serde_json::from_str(&self.description) else {
            return Err(format!("the class {name} is not Glimpse's: its description does not say so"));
        };
        if kept.collection.weaviate_class() != *name {
            return Err(format!("the class {name} says that it is the collection `{}`", kept.collection));
        }
        if self.vector_index.as_ref().is_none_or(|index| index.distance != "cosine") {
            return Err(format!("the class {name} does not compare by cosine"));
        }
        if self.tenancy.enabled {
            return Err(format!("the class {name} has tenants"));
        }
        let there: BTreeMap<&str, &[String]> =
            self.properties.iter().map(|property| (property.name.as_str(), &property.data_type[..])).collect();
        for (property, kind) in PROPERTIES {
            if there.get(property).is_none_or(|types| types != &[kind.data_type()]) {
                return Err(format!("the class {name} lacks the property {property} of the type {}", kind.data_type()));
            }
        }
        Ok(kept)
    }
}

#[cfg(test)]
#[path = "class_tests.rs"]
mod tests;
