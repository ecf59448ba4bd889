//! A store's settings that cannot be used.

/// Why a store cannot be asked at all: a sentence that names the variable and says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidStore(pub String);
