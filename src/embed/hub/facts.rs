//! Facts about a file that the hub, or a mirror, reports before the download.

use reqwest::header::HeaderMap;

const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// Maximum bytes of a JSON file; a larger one is not a description of a model.
const MAX_JSON_BYTES: u64 = 64 * 1024 * 1024;

/// Facts about a file.
pub(super) struct FileFacts {
    /// Etag; it is the name of the blob.
    pub(super) etag: String,
    pub(super) size: Size,
}

/// Size of a file, as far as it is known before the download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// Reported by the hub itself.
    Exact(u64),
    /// From the reply to `HEAD`; the reply to `GET` may correct it.
    Likely(u64),
    /// Not reported, which happens with mirrors.
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

impl FileFacts {
    /// Returns the expected SHA-256; only large files have it, as their etag.
    pub(super) fn sha256(&self) -> Option<&str> {
        Some(&*self.etag).filter(|etag| etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}

/// Returns the maximum size in bytes of a file with this name.
pub(super) fn limit(file: &str) -> u64 {
    if file.to_ascii_lowercase().ends_with(".json") { MAX_JSON_BYTES } else { MAX_FILE_BYTES }
}

/// Values of the replies to one `HEAD`: that of the hub first, then those of the targets of its redirects. The first
/// value counts.
#[derive(Default)]
pub(super) struct LinkedHeaders {
    pub(super) linked_etag: Option<String>,
    pub(super) linked_size: Option<u64>,
}

impl LinkedHeaders {
    pub(super) fn record(&mut self, headers: &HeaderMap) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        self.linked_etag = self.linked_etag.take().or_else(|| text("x-linked-etag").and_then(plain_etag));
        self.linked_size = self.linked_size.or_else(|| text("x-linked-size").and_then(|size| size.trim().parse().ok()));
    }
}

/// Returns an etag without its quotes, if it is a hash of git (40 digits) or a SHA-256. Other etags of a mirror may not
/// be unique.
pub(super) fn plain_etag(etag: &str) -> Option<String> {
    let etag = etag.trim().trim_start_matches("W/").trim_matches('"');
    (matches!(etag.len(), 40 | 64) && etag.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| etag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashes_are_names_of_blobs() {
        let (git, sha) = ("a".repeat(40), "B1".repeat(32));
        assert_eq!(plain_etag(&format!("W/\"{git}\"")), Some(git.clone()));
        assert_eq!(plain_etag(&format!(" {sha} ")), Some(sha));
        for etag in ["", "\"\"", "\"5f-1a\"", "../../x", &git[1..], &"g".repeat(40)] {
            assert_eq!(plain_etag(etag), None, "{etag}");
        }
    }
}
