//! The marker of an archive: a small file that shows that the other files of its folder are those of backups. Without it,
//! a backup would remove or overwrite files of users that have the same names.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ArchiveError;

/// The name of the marker.
pub(super) const MARKER: &str = "glimpse-archive.json";
/// The newest format of archives that this program writes.
const FORMAT: u64 = 1;

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u64,
    version: String,
}

/// Returns the content of a new marker.
pub(super) fn content() -> Bytes {
    let version = env!("CARGO_PKG_VERSION");
    Bytes::from(format!("{{\"format\":{FORMAT},\"version\":\"{version}\"}}"))
}

/// Fails if an archive with this marker must not be written.
pub(super) fn check(location: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
    let marker: Marker = serde_json::from_slice(bytes).map_err(|error| ArchiveError::Marker {
        location: location.to_owned(),
        problem: error.to_string(),
        content: String::from_utf8_lossy(&content()).into_owned(),
    })?;
    if marker.format > FORMAT {
        let Marker { format: found, version } = marker;
        return Err(ArchiveError::Newer { version, what: "archive format", found, supported: FORMAT });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_marker_and_one_of_a_newer_format_are_refused() {
        check("/a", &content()).unwrap();
        let damaged = check("/a", b"{").unwrap_err().to_string();
        assert!(damaged.contains("of /a is damaged") && damaged.contains("\"format\":1"), "{damaged}");
        let newer = check("/a", br#"{"format":2,"version":"9.0.0"}"#).unwrap_err().to_string();
        assert!(newer.contains("Glimpse 9.0.0 (archive format 2"), "{newer}");
    }
}
