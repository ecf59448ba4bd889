//! Which stores are used, their addresses, and the default collection.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::qdrant::check_key;
use super::several_stores::ALL_STORES;
use crate::domain::endpoint::without_path;
use crate::domain::setting::{check_range, keyword};
use crate::domain::{CollectionName, Endpoint, Seconds, Secret, words};
use crate::http::bearer;
use crate::resilience::BreakerSettings;

/// The settings of the stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IndexSettings {
    /// `VECTOR_DB_PROVIDER`: `embedded` (default), `qdrant`, `weaviate`, a comma-separated list of them, or `all`. The
    /// first store answers searches that do not name one.
    pub vector_db_provider: StoreKinds,
    /// `VECTOR_DB_COLLECTION`: the collection that is used if a request names none; `documents` by default.
    pub vector_db_collection: CollectionName,
    /// `VECTOR_DB_TIMEOUT`: time limit for one call of a store outside this process, in seconds; 30 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 3600>")]
    pub vector_db_timeout: Seconds,
    /// `VECTOR_DB_CIRCUIT_BREAKER_THRESHOLD`: the number of consecutive failed calls that opens a store's circuit
    /// breaker; 5 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 1000>")]
    pub vector_db_circuit_breaker_threshold: u32,
    /// `VECTOR_DB_CIRCUIT_BREAKER_TIMEOUT`: how long the breaker stays open, in seconds; 10 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 3600>")]
    pub vector_db_circuit_breaker_timeout: Seconds,
    /// `VECTOR_DB_QUANTIZATION`: how new collections of Qdrant and Weaviate keep vectors in memory: `int8` (default) or `none`.
    pub vector_db_quantization: Quantization,
    /// `VECTOR_DB_RECALL_TEST`: whether the recall of large collections is tested in the background, and the effort of
    /// searches chosen by it; true by default.
    pub vector_db_recall_test: bool,
    /// `VECTOR_DB_RECALL_MAX_MS`: the test raises the effort only as long as the median search takes at most this many
    /// milliseconds in the store; 100 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 60000>")]
    pub vector_db_recall_max_ms: u32,
    /// `QDRANT_URL`: Qdrant's gRPC address; `http://127.0.0.1:6334` by default. If it has the REST port, 6333, the gRPC
    /// port is used instead.
    #[serde(deserialize_with = "without_path")]
    pub qdrant_url: Endpoint,
    /// `QDRANT_API_KEY`: if empty (default), no key is sent.
    pub qdrant_api_key: Secret,
    /// `WEAVIATE_URL`: Weaviate's REST address; `http://127.0.0.1:8081` by default, as published by the compose stack.
    pub weaviate_url: Endpoint,
    /// `WEAVIATE_GRPC_URL`: its gRPC address. If empty (default), the host of `WEAVIATE_URL` with port 50051, or 443 if
    /// that URL is `https`.
    #[serde(deserialize_with = "without_path")]
    pub weaviate_grpc_url: Option<Endpoint>,
    /// `WEAVIATE_API_KEY`: if empty (default), no key is sent.
    pub weaviate_api_key: Secret,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self {
            vector_db_provider: StoreKinds(vec![StoreKind::Embedded]),
            vector_db_collection: CollectionName::default(),
            vector_db_timeout: Seconds::new(30),
            vector_db_circuit_breaker_threshold: 5,
            vector_db_circuit_breaker_timeout: Seconds::new(10),
            vector_db_quantization: Quantization::Int8,
            vector_db_recall_test: true,
            vector_db_recall_max_ms: 100,
            qdrant_url: Endpoint::from_static("http://127.0.0.1:6334"),
            qdrant_api_key: Secret::default(),
            weaviate_url: Endpoint::from_static("http://127.0.0.1:8081"),
            weaviate_grpc_url: None,
            weaviate_api_key: Secret::default(),
        }
    }
}

/// How a store outside this process keeps the vectors of a new collection in memory. With fewer bits than these, the best
/// results of a text are missed: their cosines are too close to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Quantization {
    /// One byte for each number in memory, and the vectors as they are on disk, from which results are scored.
    #[default]
    Int8,
    /// The vectors as they are.
    None,
}

impl TryFrom<String> for Quantization {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        match keyword(&name).as_str() {
            "int8" => Ok(Self::Int8),
            "none" => Ok(Self::None),
            _ => Err("it must be `int8` or `none`"),
        }
    }
}

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// The store inside this process.
    Embedded,
    /// A Qdrant server.
    Qdrant,
    /// A Weaviate server.
    Weaviate,
}

impl StoreKind {
    /// Every kind, in the order that `all` means.
    pub const ALL: [Self; 3] = [Self::Embedded, Self::Qdrant, Self::Weaviate];

    /// Returns the name in `VECTOR_DB_PROVIDER`, in `provider=` and in replies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Qdrant => "qdrant",
            Self::Weaviate => "weaviate",
        }
    }
}

/// The value of `VECTOR_DB_PROVIDER`: at least one store, each once, the default first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoreKinds(Vec<StoreKind>);

impl StoreKinds {
    /// Returns at least one store, the default first.
    pub fn as_slice(&self) -> &[StoreKind] {
        &self.0
    }
}

impl TryFrom<String> for StoreKinds {
    type Error = &'static str;

    fn try_from(list: String) -> Result<Self, &'static str> {
        const ALLOWED: &str = "it must be `embedded`, `qdrant`, `weaviate`, a comma-separated list of them (each once), \
            or `all`";
        let names = words(&keyword(&list));
        if names == [ALL_STORES] {
            return Ok(Self(StoreKind::ALL.to_vec()));
        }
        let mut kinds = Vec::new();
        for name in &names {
            let kind = StoreKind::ALL.into_iter().find(|kind| kind.name() == name);
            kinds.push(kind.filter(|kind| !kinds.contains(kind)).ok_or(ALLOWED)?);
        }
        if kinds.is_empty() { Err(ALLOWED) } else { Ok(Self(kinds)) }
    }
}

impl From<StoreKinds> for String {
    fn from(kinds: StoreKinds) -> Self {
        kinds.to_string()
    }
}

impl fmt::Display for StoreKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|kind| kind.name()).collect();
        f.write_str(&names.join(","))
    }
}

impl IndexSettings {
    /// Checks the keys.
    ///
    /// # Errors
    /// A message that names the setting and what is allowed. It does not repeat the key.
    pub fn validate(&self) -> Result<(), String> {
        check_key(&self.qdrant_api_key).map_err(|problem| problem.to_string())?;
        bearer(&self.weaviate_api_key).map(drop).map_err(|problem| format!("WEAVIATE_API_KEY {problem}"))
    }

    /// Returns the settings of stores that are not used, each with the reason.
    pub fn unused(&self) -> Vec<(&'static str, String)> {
        let names = |kind: &StoreKind| -> &[&str] {
            match kind {
                StoreKind::Embedded => &[],
                StoreKind::Qdrant => &["QDRANT_URL", "QDRANT_API_KEY"],
                StoreKind::Weaviate => &["WEAVIATE_URL", "WEAVIATE_GRPC_URL", "WEAVIATE_API_KEY"],
            }
        };
        let kinds = &self.vector_db_provider;
        let unused = StoreKind::ALL.iter().filter(|kind| !kinds.as_slice().contains(kind));
        unused.flat_map(names).map(|name| (*name, format!("VECTOR_DB_PROVIDER is `{kinds}`"))).collect()
    }

    /// Returns the settings of the circuit breaker of a store outside this process.
    pub fn breaker(&self) -> BreakerSettings {
        BreakerSettings {
            threshold: self.vector_db_circuit_breaker_threshold,
            cool_down: self.vector_db_circuit_breaker_timeout.duration(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_db_provider_accepts_one_several_or_all_stores() {
        let kinds = |list: &str| StoreKinds::try_from(list.to_owned());
        assert_eq!(kinds("qdrant").unwrap().as_slice(), [StoreKind::Qdrant]);
        assert_eq!(kinds("weaviate, embedded").unwrap().to_string(), "weaviate,embedded");
        assert_eq!(kinds("all").unwrap().as_slice(), StoreKind::ALL);
        assert_eq!(kinds("Qdrant").unwrap().as_slice(), [StoreKind::Qdrant]);
        for wrong in ["pinecone", "qdrant,qdrant", "qdrant,all", ","] {
            assert!(kinds(wrong).unwrap_err().contains("weaviate"), "{wrong}");
        }
    }
}
