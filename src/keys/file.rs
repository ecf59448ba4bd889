//! `GLIMPSE_KEYS_FILE`: keys in a file that is read at the start and after each change.
//!
//! Each line has `NAME ROLE KEY`, and optionally when the key ends as RFC 3339. KEY is the key itself, or `sha256:` and its
//! SHA-256 in hexadecimal digits. Empty lines and lines that begin with `#` are ignored.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::entry::Entry;
use super::{MIN_KEY_CHARACTERS, digest};
use crate::domain::{KeyDigest, KeyName, Role, Timestamp};

/// Maximum size of the file in bytes.
const MAX_BYTES: u64 = 256 * 1024;
/// Maximum number of keys in the file.
const MAX_FILE_KEYS: usize = 1_000;

/// Why `GLIMPSE_KEYS_FILE` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("GLIMPSE_KEYS_FILE is `{}`, which cannot be used: {reason}", path.display())]
pub struct InvalidKeysFile {
    path: PathBuf,
    reason: String,
}

/// The file with keys.
#[derive(Debug)]
pub(super) struct KeysFile {
    path: PathBuf,
}

impl KeysFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Reads the keys.
    pub(super) async fn load(&self) -> Result<Vec<Entry>, InvalidKeysFile> {
        let path = self.path.clone();
        let parsed = tokio::task::spawn_blocking(move || parse(&read_text(&path)?)).await;
        let parsed = parsed.unwrap_or_else(|_| Err("reading it failed".to_owned()));
        parsed.map_err(|reason| InvalidKeysFile { path: self.path.clone(), reason })
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    // A device or a pipe may never end, and is not opened.
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if metadata.len() > MAX_BYTES {
        return Err(format!("it has {} bytes, at most {MAX_BYTES} are allowed", metadata.len()));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let mut keys = Vec::new();
    let mut names = BTreeSet::new();
    for (line, number) in text.lines().zip(1..) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields.first().is_none_or(|first| first.starts_with('#')) {
            continue;
        }
        let entry = parse_line(&fields).map_err(|reason| format!("line {number}: {reason}"))?;
        if !names.insert(entry.name.clone()) {
            return Err(format!("line {number}: the name `{}` is used twice", entry.name));
        }
        keys.push(entry);
    }
    if keys.len() > MAX_FILE_KEYS {
        return Err(format!("it has {} keys, at most {MAX_FILE_KEYS} are allowed", keys.len()));
    }
    Ok(keys)
}

/// Parses one line. The error does not contain the key.
fn parse_line(fields: &[&str]) -> Result<Entry, String> {
    let (name, role, key, end) = match *fields {
        [name, role, key] => (name, role, key, None),
        [name, role, key, end] => (name, role, key, Some(end)),
        _ => {
            return Err(format!("it has {} fields; write `NAME ROLE KEY` or `NAME ROLE KEY EXPIRES_AT`", fields.len()));
        }
    };
    let name = KeyName::parse(name).map_err(|error| error.to_string())?;
    let role = role.parse::<Role>().map_err(|error| error.to_string())?;
    let end = end.map(Timestamp::parse).transpose().map_err(|error| error.to_string())?;
    Ok(Entry::new(name.as_str(), role, parse_key(key)?).with_end(end))
}

fn parse_key(key: &str) -> Result<KeyDigest, String> {
    if let Some(digits) = key.strip_prefix("sha256:") {
        let mut digest = [0; 32];
        let wrong = |_| "after `sha256:`, the key must have 64 hexadecimal digits".to_owned();
        return hex::decode_to_slice(digits, &mut digest).map(|()| digest).map_err(wrong);
    }
    let length = key.chars().count();
    if length < MIN_KEY_CHARACTERS {
        return Err(format!("the key has {length} characters; it must have at least {MIN_KEY_CHARACTERS}"));
    }
    Ok(digest(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_key_or_its_digest() {
        let hex = hex::encode(digest("another-long-secret"));
        let text = format!(
            "# team\n\nci write a-long-enough-secret\r\nviewer read sha256:{hex} 2999-01-01T00:00:00Z\n  # end\n"
        );
        let keys = parse(&text).unwrap();
        assert_eq!(keys.len(), 2);
        assert!(keys[0].matches(&digest("a-long-enough-secret")) && keys[0].role == Role::Write);
        assert!(keys[1].matches(&digest("another-long-secret")) && !keys[1].is_expired(Timestamp::now()));
    }

    #[test]
    fn a_wrong_line_is_named_without_its_key() {
        for (line, expected) in [
            ("ci write", "line 1: it has 2 fields"),
            ("c/i write a-long-enough-secret", "not a name of a key"),
            ("ci root a-long-enough-secret", "read, write or admin"),
            ("ci read short-secret", "has 12 characters; it must have at least 16"),
            ("ci read sha256:abc-secret", "64 hexadecimal digits"),
            ("ci read a-long-enough-secret tomorrow", "RFC 3339"),
            ("a read a-long-enough-secret\na read a-long-enough-secret2", "line 2: the name `a` is used twice"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(expected) && !error.contains("-secret"), "{line}: {error}");
        }
    }
}
