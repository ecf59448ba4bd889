//! The models of collections: step 15.

/// The model that makes the vectors of each collection, as JSON ([`ModelRecord`](crate::domain::ModelRecord)). A collection
/// of an earlier version has no row until it is compared with the model of the settings.
pub(super) const COLLECTION_MODELS: &str = "
CREATE TABLE collection_models(
    collection TEXT PRIMARY KEY,
    model TEXT NOT NULL
) WITHOUT ROWID;
";
