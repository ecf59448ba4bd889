//! Why a token is refused.

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token is not valid. Another try with the same token fails, too.
    #[error("the token is not valid: {0}")]
    Invalid(String),
    /// The keys of the identity provider cannot be read. A later try may succeed.
    #[error("the token cannot be verified now, because the keys of the identity provider cannot be read")]
    Unavailable,
}

impl TokenError {
    pub(super) fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid(reason.into())
    }
}
