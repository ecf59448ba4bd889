//! The error for store settings that cannot be used.

/// The settings of a store cannot be used. The message names the variable and says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidStore(pub String);
