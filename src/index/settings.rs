//! Which stores, where they are, and the collection that is meant where none is named.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::stores::ALL;
use crate::domain::{CollectionName, Secret, words};
use crate::resilience::BreakerSettings;

/// The settings of the stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IndexSettings {
    /// `VECTOR_DB_PROVIDER`: `embedded` (default), `qdrant`, `weaviate`, several of them by commas, or `all`. The first is
    /// the one that answers a search that names none.
    pub vector_db_provider: String,
    /// `VECTOR_DB_COLLECTION`: the collection that is meant where none is named; `documents` by default.
    pub vector_db_collection: String,
    /// `VECTOR_DB_TIMEOUT`: seconds until a call of a store elsewhere is given up; 30 by default.
    pub vector_db_timeout: u64,
    /// `VECTOR_DB_CIRCUIT_BREAKER_THRESHOLD`: failed calls in a row after which a store is left alone; 5 by default.
    pub vector_db_circuit_breaker_threshold: u32,
    /// `VECTOR_DB_CIRCUIT_BREAKER_TIMEOUT`: seconds for which it is left alone; 10 by default.
    pub vector_db_circuit_breaker_timeout: u64,
    /// `QDRANT_URL`: Qdrant's gRPC address; `http://127.0.0.1:6334` by default. Of its REST port, 6333, the gRPC port is
    /// derived.
    pub qdrant_url: String,
    /// `QDRANT_API_KEY`: empty (default): none.
    pub qdrant_api_key: Secret,
    /// `WEAVIATE_URL`: Weaviate's REST address; `http://127.0.0.1:8081` by default, the host's port of the compose stack.
    pub weaviate_url: String,
    /// `WEAVIATE_GRPC_URL`: its gRPC address; empty (default): the host of `WEAVIATE_URL` with port 50051, or 443 where
    /// that is `https`.
    pub weaviate_grpc_url: String,
    /// `WEAVIATE_API_KEY`: empty (default): none.
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

/// The stores that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// In the process.
    Embedded,
    /// A Qdrant server.
    Qdrant,
    /// A Weaviate server.
    Weaviate,
}

impl StoreKind {
    /// Every one, as `all` means them.
    pub const ALL: [Self; 3] = [Self::Embedded, Self::Qdrant, Self::Weaviate];

    /// The word of `VECTOR_DB_PROVIDER`, of `provider=` and of replies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Qdrant => "qdrant",
            Self::Weaviate => "weaviate",
        }
    }
}

impl IndexSettings {
    /// The configured stores, the default first, each once.
    ///
    /// # Errors
    /// A sentence that names the setting and what is allowed.
    pub fn kinds(&self) -> Result<Vec<StoreKind>, String> {
        let named = words(&self.vector_db_provider);
        if named == [ALL] {
            return Ok(StoreKind::ALL.to_vec());
        }
        let mut kinds = Vec::new();
        for name in &named {
            let kind = StoreKind::ALL.into_iter().find(|kind| kind.name() == name);
            let kind = kind.filter(|kind| !kinds.contains(kind)).ok_or_else(|| self.no_provider())?;
            kinds.push(kind);
        }
        if kinds.is_empty() { Err(self.no_provider()) } else { Ok(kinds) }
    }

    fn no_provider(&self) -> String {
        format!(
            "VECTOR_DB_PROVIDER is `{}`; it must be `embedded`, `qdrant`, `weaviate`, several of them by commas (each once), \
             or `all`",
            self.vector_db_provider
        )
    }

    /// The collection that is meant where none is named.
    ///
    /// # Errors
    /// A sentence that names the setting and what is allowed.
    pub fn collection(&self) -> Result<CollectionName, String> {
        CollectionName::parse(&self.vector_db_collection).map_err(|error| format!("VECTOR_DB_COLLECTION: {error}"))
    }

    /// How long a call of a store elsewhere may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.vector_db_timeout)
    }

    /// When a store elsewhere is left alone, and for how long.
    pub fn breaker(&self) -> BreakerSettings {
        BreakerSettings {
            threshold: self.vector_db_circuit_breaker_threshold,
            cool_down: Duration::from_secs(self.vector_db_circuit_breaker_timeout),
        }
    }

    /// Checks what can be checked without asking anyone.
    ///
    /// # Errors
    /// A sentence that names the setting and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        self.collection()?;
        self.kinds()?;
        for (name, value, most) in [
            ("VECTOR_DB_TIMEOUT", self.vector_db_timeout, 3_600),
            ("VECTOR_DB_CIRCUIT_BREAKER_THRESHOLD", self.vector_db_circuit_breaker_threshold.into(), 1_000),
            ("VECTOR_DB_CIRCUIT_BREAKER_TIMEOUT", self.vector_db_circuit_breaker_timeout, 3_600),
        ] {
            if !(1..=most).contains(&value) {
                return Err(format!("{name} is {value}; it must be between 1 and {most}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(provider: &str) -> Result<Vec<StoreKind>, String> {
        IndexSettings { vector_db_provider: provider.to_owned(), ..IndexSettings::default() }.kinds()
    }

    #[test]
    fn one_several_or_all_stores_can_be_named() {
        assert_eq!(of("qdrant").unwrap(), [StoreKind::Qdrant]);
        assert_eq!(of("weaviate, embedded").unwrap(), [StoreKind::Weaviate, StoreKind::Embedded]);
        assert_eq!(of("all").unwrap(), StoreKind::ALL);
        for wrong in ["pinecone", "qdrant,qdrant", "qdrant,all", ",", "Qdrant"] {
            let said = of(wrong).unwrap_err();
            assert!(said.contains("VECTOR_DB_PROVIDER") && said.contains("weaviate"), "{said}");
        }
    }
}
