//! API keys and roles: who may do what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;

/// What a client may do. A role includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Search, and read images, jobs and the status.
    Read,
    /// Change images: jobs, mirrors, uploads, removals.
    Write,
    /// Drop and repair collections, and manage keys.
    Admin,
}

impl Role {
    /// Every role, the lowest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// Returns the name of the role.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Returns the role with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// The text is not a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role: use read, write or admin")]
pub struct InvalidRole(String);

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        Self::from_name(text).ok_or_else(|| InvalidRole(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the sender of a request has shown who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignIn {
    /// A key of the service, or a session that was started with one.
    Key,
    /// A trusted proxy names the user.
    Proxy,
    /// A token of the identity provider.
    Token,
}

impl SignIn {
    const ALL: [Self; 3] = [Self::Key, Self::Proxy, Self::Token];

    /// Returns the name, as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Proxy => "proxy",
            Self::Token => "token",
        }
    }

    /// Returns the kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The name of an API key: 1 to 64 of the characters `A-Z a-z 0-9 _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(String);

/// The text is not a name of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name of a key: 1 to 64 letters, digits, `_` or `-` are allowed")]
pub struct InvalidKeyName(String);

impl KeyName {
    /// Maximum number of characters.
    pub const MAX_CHARACTERS: usize = 64;

    /// Parses the name of a key.
    ///
    /// # Errors
    /// Returns [`InvalidKeyName`] with the beginning of the text if it is not a valid name.
    pub fn parse(text: &str) -> Result<Self, InvalidKeyName> {
        let valid = (1..=Self::MAX_CHARACTERS).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidKeyName(text.chars().take(128).collect())) }
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for KeyName {
    type Error = InvalidKeyName;
    fn try_from(text: String) -> Result<Self, InvalidKeyName> {
        Self::parse(&text)
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> Self {
        name.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of a key.
pub type KeyDigest = [u8; 32];

/// A key in the ledger, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// The name of the key.
    pub name: KeyName,
    /// What the key may do.
    pub role: Role,
    /// SHA-256 of the key. Keys of the ledger are random, so no slow hash is needed.
    pub digest: KeyDigest,
    /// When the key was made.
    pub created_at: Timestamp,
    /// When the key ends; `None` if it does not.
    pub expires_at: Option<Timestamp>,
    /// When the key was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// One change of data, and who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When the request ended.
    pub at: Timestamp,
    /// The name of the key, or of the user that a proxy or an identity provider has signed in; `None` on a service without keys.
    pub name: Option<String>,
    /// Whether the name is that of a key or of a user; `None` on a service without keys, and for entries of earlier versions.
    pub sign_in: Option<SignIn>,
    /// The role that the request needs.
    pub role: Role,
    /// The method and the route, such as `DELETE /collections/{name}`.
    pub action: String,
    /// The path of the request.
    pub path: String,
    /// The status of the reply.
    pub status: u16,
    /// The header `Location` of the reply: the job, mirror or object that was made.
    pub location: Option<String>,
    /// The id of the request in the log.
    pub request_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_include_those_before_them() {
        assert!(Role::Read < Role::Write && Role::Write < Role::Admin);
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().unwrap_err().to_string().contains("read, write or admin"));
    }

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "ci-2_B", &"x".repeat(64)] {
            assert_eq!(KeyName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(KeyName::parse(bad).is_err(), "{bad}");
        }
    }
}
