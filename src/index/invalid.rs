//! [`InvalidStore`]: a store's settings that no client can be made of.

/// A store cannot be set up. The sentence names the variable, says what is wrong with it and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidStore(pub String);
