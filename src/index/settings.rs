//! Which stores are used, their addresses, and the default collection.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::stores::ALL_STORES;
use crate::domain::{CollectionName, Secret, words};
use crate::resilience::BreakerSettings;

/// The settings of the stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IndexSettings {
    /// `VECTOR_DB_PROVIDER`: `embedded` (default), `qdrant`, `weaviate`, a comma-separated list of them, or `all`. The
    /// first store answers searches that do not name one.
    pub vector_db_provider: String,
    /// `VECTOR_DB_COLLECTION`: the collection that is used if a request names none; `documents` by default.
    pub vector_db_collection: String,
    /// `VECTOR_DB_TIMEOUT`: time limit for one call of a store outside this process, in seconds; 30 by default.
    pub vector_db_timeout: u64,
    /// `VECTOR_DB_CIRCUIT_BREAKER_THRESHOLD`: the number of consecutive failed calls that opens a store's circuit
    /// breaker; 5 by default.
    pub vector_db_circuit_breaker_threshold: u32,
    /// `VECTOR_DB_CIRCUIT_BREAKER_TIMEOUT`: how long the breaker stays open, in seconds; 10 by default.
    pub vector_db_circuit_breaker_timeout: u64,
    /// `QDRANT_URL`: Qdrant's gRPC address; `http://127.0.0.1:6334` by default. If it has the REST port, 6333, the gRPC
    /// port is used instead.
    pub qdrant_url: String,
    /// `QDRANT_API_KEY`: if empty (default), no key is sent.
    pub qdrant_api_key: Secret,
    /// `WEAVIATE_URL`: Weaviate's REST address; `http://127.0.0.1:8081` by default, as published by the compose stack.
    pub weaviate_url: String,
    /// `WEAVIATE_GRPC_URL`: its gRPC address. If empty (default), the host of `WEAVIATE_URL` with port 50051, or 443 if
    /// that URL is `https`.
    pub weaviate_grpc_url: String,
    /// `WEAVIATE_API_KEY`: if empty (default), no key is sent.
    pub weaviate_api_key: Secret,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self {
            vector_db_provider: StoreKind::Embedded.name().to_owned(),
            vector_db_collection: "documents".to_owned(),
            vector_db_timeout: 30,
            vector_db_circuit_breaker_threshold: 5,
            vector_db_circuit_breaker_timeout: 10,
            qdrant_url: "http://127.0.0.1:6334".to_owned(),
            qdrant_api_key: Secret::default(),
            weaviate_url: "http://127.0.0.1:8081".to_owned(),
            weaviate_grpc_url: String::new(),
            weaviate_api_key: Secret::default(),
        }
    }
}

/// The settings of a store cannot be used. The message names the setting and says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidStoreSettings(pub String);

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

impl IndexSettings {
    /// Returns the configured stores without repetition, the default first.
    ///
    /// # Errors
    /// Returns a message that names the setting and the allowed values.
    pub fn kinds(&self) -> Result<Vec<StoreKind>, String> {
        let named = words(&self.vector_db_provider);
        if named == [ALL_STORES] {
            return Ok(StoreKind::ALL.to_vec());
        }
        let mut kinds = Vec::new();
        for name in &named {
            let kind = StoreKind::ALL.into_iter().find(|kind| kind.name() == name);
            let kind = kind.filter(|kind| !kinds.contains(kind)).ok_or_else(|| self.invalid_provider())?;
            kinds.push(kind);
        }
        if kinds.is_empty() { Err(self.invalid_provider()) } else { Ok(kinds) }
    }

    fn invalid_provider(&self) -> String {
        format!(
            "VECTOR_DB_PROVIDER is `{}`; it must be `embedded`, `qdrant`, `weaviate`, a comma-separated list of \
             them (each once), or `all`",
            self.vector_db_provider
        )
    }

    /// Returns the collection that is used if a request names none.
    ///
    /// # Errors
    /// Returns a message that names the setting and the allowed values.
    pub fn collection(&self) -> Result<CollectionName, String> {
        CollectionName::parse(&self.vector_db_collection).map_err(|error| format!("VECTOR_DB_COLLECTION: {error}"))
    }

    /// Returns the time limit for one call of a store outside this process.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.vector_db_timeout)
    }

    /// Returns the settings of the circuit breaker of a store outside this process.
    pub fn breaker(&self) -> BreakerSettings {
        BreakerSettings {
            threshold: self.vector_db_circuit_breaker_threshold,
            cool_down: Duration::from_secs(self.vector_db_circuit_breaker_timeout),
        }
    }

    /// Checks what can be checked without a network call.
    ///
    /// # Errors
    /// Returns a message that names the setting and the allowed values.
    pub fn validate(&self) -> Result<(), String> {
        self.collection()?;
        self.kinds()?;
        for (name, value, max) in [
            ("VECTOR_DB_TIMEOUT", self.vector_db_timeout, 3_600),
            ("VECTOR_DB_CIRCUIT_BREAKER_THRESHOLD", self.vector_db_circuit_breaker_threshold.into(), 1_000),
            ("VECTOR_DB_CIRCUIT_BREAKER_TIMEOUT", self.vector_db_circuit_breaker_timeout, 3_600),
        ] {
            if !(1..=max).contains(&value) {
                return Err(format!("{name} is {value}; it must be between 1 and {max}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(provider: &str) -> Result<Vec<StoreKind>, String> {
        IndexSettings { vector_db_provider: provider.to_owned(), ..IndexSettings::default() }.kinds()
    }

    #[test]
    fn vector_db_provider_accepts_one_several_or_all_stores() {
        assert_eq!(kinds("qdrant").unwrap(), [StoreKind::Qdrant]);
        assert_eq!(kinds("weaviate, embedded").unwrap(), [StoreKind::Weaviate, StoreKind::Embedded]);
        assert_eq!(kinds("all").unwrap(), StoreKind::ALL);
        for wrong in ["pinecone", "qdrant,qdrant", "qdrant,all", ",", "Qdrant"] {
            let message = kinds(wrong).unwrap_err();
            assert!(message.contains("VECTOR_DB_PROVIDER") && message.contains("weaviate"), "{message}");
        }
    }
}
