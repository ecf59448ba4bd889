//! Where a token has the groups or the name of its user.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Maximum number of names in a path.
const MAX_NAMES: usize = 8;

/// The path of a claim: names of nested objects, separated by dots, such as `realm_access.roles`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClaimPath(String);

impl ClaimPath {
    /// The claim of groups that most providers use.
    pub(super) fn groups() -> Self {
        Self("groups".to_owned())
    }

    /// The claim that every token has: the user at this provider (RFC 7519, 4.1.2).
    pub(super) fn subject() -> Self {
        Self("sub".to_owned())
    }

    /// Returns the value at this path. A claim whose name is the whole path comes first, because names may contain dots:
    /// `https://glimpse.example/roles`.
    pub(super) fn find<'a>(&self, claims: &'a Value) -> Option<&'a Value> {
        let nested = || self.0.split('.').try_fold(claims, |value, name| value.get(name));
        claims.get(&self.0).or_else(nested)
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ClaimPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let names: Vec<&str> = text.split('.').collect();
        if names.len() > MAX_NAMES || names.iter().any(|name| name.trim().is_empty()) {
            return Err(format!(
                "it must be the name of a claim, or at most {MAX_NAMES} names separated by single dots, such as `groups` or `realm_access.roles`"
            ));
        }
        Ok(Self(text))
    }
}

impl From<ClaimPath> for String {
    fn from(path: ClaimPath) -> Self {
        path.0
    }
}
