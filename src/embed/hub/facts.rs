//! What the hub, or a mirror of it, says of a file before its bytes come.

use reqwest::header::HeaderMap;

const MAX_FILE: u64 = 16 * 1024 * 1024 * 1024;
/// Descriptions are small; a larger one is something else.
const MAX_JSON: u64 = 64 * 1024 * 1024;

/// What the hub says of a file.
pub(super) struct Facts {
    /// The name of its blob.
    pub(super) etag: String,
    pub(super) size: Size,
}

/// What is known of a file's size before its bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// The hub's own word.
    Exact(u64),
    /// Of the reply to `HEAD`; that to `GET` may say it better.
    Likely(u64),
    /// A mirror may leave it out.
    Unknown,
}

impl Size {
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Self::Exact(size) | Self::Likely(size) => Some(size),
            Self::Unknown => None,
        }
    }
}

impl Facts {
    /// What its bytes must sum up to: known of large files, whose etag it is.
    pub(super) fn sha256(&self) -> Option<&str> {
        Some(&*self.etag).filter(|etag| etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}

/// Bytes that a file of this name may have.
pub(super) fn limit(file: &str) -> u64 {
    if file.to_ascii_lowercase().ends_with(".json") { MAX_JSON } else { MAX_FILE }
}

/// What the replies to one `HEAD` say, that of the hub first, then those of the places that it leads to.
#[derive(Default)]
pub(super) struct Told {
    pub(super) linked_etag: Option<String>,
    pub(super) linked_size: Option<u64>,
}

impl Told {
    pub(super) fn hear(&mut self, headers: &HeaderMap) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        self.linked_etag = self.linked_etag.take().or_else(|| text("x-linked-etag").and_then(plain_etag));
        self.linked_size = self.linked_size.or_else(|| text("x-linked-size").and_then(|size| size.trim().parse().ok()));
    }
}

/// An etag without its quotes, if it is a hash of git's (40 digits) or a SHA-256: a mirror's own may be that of two files.
pub(super) fn plain_etag(etag: &str) -> Option<String> {
    let etag = etag.trim().trim_start_matches("W/").trim_matches('"');
    (matches!(etag.len(), 40 | 64) && etag.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| etag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashes_name_a_blob() {
        let (git, sha) = ("a".repeat(40), "B1".repeat(32));
        assert_eq!(plain_etag(&format!("W/\"{git}\"")), Some(git.clone()));
        assert_eq!(plain_etag(&format!(" {sha} ")), Some(sha));
        for etag in ["", "\"\"", "\"5f-1a\"", "../../x", &git[1..], &"g".repeat(40)] {
            assert_eq!(plain_etag(etag), None, "{etag}");
        }
    }
}
