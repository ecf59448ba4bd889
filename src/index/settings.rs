//! Which stores, and the collection that is meant where none is named.

use serde::{Deserialize, Serialize};

use crate::domain::CollectionName;

/// The settings of the stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IndexSettings {
    /// `VECTOR_DB_PROVIDER`: `embedded` (default), exact search over a file in the data folder.
    pub vector_db_provider: String,
    /// `VECTOR_DB_COLLECTION`: the collection that is meant where none is named; `documents` by default.
    pub vector_db_collection: String,
}

impl Default for IndexSettings {
    fn default() -> Self {
        Self { vector_db_provider: "embedded".to_owned(), vector_db_collection: "documents".to_owned() }
    }
}

impl IndexSettings {
    /// The collection that is meant where none is named.
    ///
    /// # Errors
    /// A sentence that names the setting and what is allowed.
    pub fn collection(&self) -> Result<CollectionName, String> {
        CollectionName::parse(&self.vector_db_collection).map_err(|error| format!("VECTOR_DB_COLLECTION: {error}"))
    }

    /// Checks what can be checked without asking anyone.
    ///
    /// # Errors
    /// A sentence that names the setting and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        self.collection()?;
        if self.vector_db_provider != "embedded" {
            return Err(format!("VECTOR_DB_PROVIDER is `{}`; this version knows `embedded`", self.vector_db_provider));
        }
        Ok(())
    }
}
