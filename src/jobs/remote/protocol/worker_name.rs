//! The name of a worker. It comes from outside the service and is used in logs, in the ledger and in paths.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Maximum bytes of a name.
const MAX_BYTES: usize = 64;

/// The name of a worker: 1 to 64 ASCII letters, digits, `.`, `_` or `-`, of which at least one is not a dot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkerName(String);

/// The text is not a valid name of a worker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{shown}` is not a valid worker name (--name): a name has 1 to {MAX_BYTES} ASCII letters, digits, `.`, `_` or \
     `-`, and not only dots"
)]
pub struct InvalidWorkerName {
    shown: String,
}

impl WorkerName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`InvalidWorkerName`]
    pub fn parse(text: &str) -> Result<Self, InvalidWorkerName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let valid = text.len() <= MAX_BYTES && text.bytes().all(allowed) && text.bytes().any(|byte| byte != b'.');
        if valid {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text
            .chars()
            .take(MAX_BYTES)
            .map(|character| if character.is_control() { ' ' } else { character })
            .collect();
        let more = if shown.len() < text.len() { "…" } else { "" };
        Err(InvalidWorkerName { shown: shown + more })
    }

    /// Returns the name, which is safe to use in logs and paths.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WorkerName {
    type Error = InvalidWorkerName;
    fn try_from(text: String) -> Result<Self, InvalidWorkerName> {
        Self::parse(&text)
    }
}

impl From<WorkerName> for String {
    fn from(name: WorkerName) -> Self {
        name.0
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_printable() {
        for name in ["w", "worker-0192f", "node0-1-ab12cd", "a.b_c", &"x".repeat(64)] {
            assert_eq!(WorkerName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", ".", "..", "a b", "a/b", "a\nSUCCEEDED", "ä", "\u{1b}[31m", &"x".repeat(65)] {
            WorkerName::parse(name).unwrap_err();
        }
        let message = WorkerName::parse(&"a\n".repeat(500_000)).unwrap_err().to_string();
        assert!(message.len() < 300 && !message.contains('\n'), "{message}");
    }
}
