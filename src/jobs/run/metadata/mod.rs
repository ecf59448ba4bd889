//! The metadata file of a job: a CSV or NDJSON object in the job's bucket. Its column `s3_key` has the key of the image
//! that a row is about. Its other columns are stored in the image's record, together with the object's own
//! `x-amz-meta-*`. If both have the same name, the file's value is used.
//!
//! The file is read once, before the listing. Its rows go into the ledger, which the plan and the leases read. A row
//! that cannot be used is skipped.

mod csv;
mod load;
mod ndjson;

pub(crate) use load::{MetadataError, load, log_joined};

use crate::domain::MetadataRow;
use crate::source::EncodingError;

/// The column that a row is joined on.
const KEY: &str = "s3_key";
/// Maximum bytes of a metadata file.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// The format of a metadata file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// RFC 4180 with commas and a header row.
    Csv,
    /// One JSON object per line.
    Ndjson,
}

impl FileKind {
    /// Returns the format for the extension of a key; `None` for every other extension.
    pub(crate) fn from_key(key: &str) -> Option<Self> {
        let (_, extension) = key.rsplit('/').next()?.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }

    /// Reads a whole file and passes each row, or the reason why it cannot be used, to `take`. Ends early if `take`
    /// returns `false`.
    fn read(self, bytes: &[u8], take: &mut dyn FnMut(Result<MetadataRow, BadRow>) -> bool) -> Result<(), BadFile> {
        // Spreadsheet programs write a byte order mark first.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let refused = |what: &str| Err(BadFile(what.to_owned()));
        match bytes {
            [0x1f, 0x8b, ..] => {
                return refused("it is compressed with gzip; upload it uncompressed or with Content-Encoding: gzip");
            }
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return refused("it is in UTF-16; save it in UTF-8"),
            _ => {}
        }
        match self {
            Self::Csv => csv::read(bytes, take),
            Self::Ndjson => ndjson::read(bytes, take),
        }
    }
}

/// A row that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BadRow {
    /// The line where the row begins, from 1.
    line: u64,
    /// What is wrong with it.
    reason: String,
}

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadFile(String);

impl From<EncodingError> for BadFile {
    fn from(error: EncodingError) -> Self {
        match error {
            EncodingError::TooLarge { limit, .. } => {
                Self(format!("decoded, it is larger than {} MB, which is the maximum", limit / (1024 * 1024)))
            }
            other => Self(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_selects_the_format() {
        for (key, kind) in [
            ("meta/taxa.csv", Some(FileKind::Csv)),
            ("TAXA.CSV", Some(FileKind::Csv)),
            ("a.b/rows.ndjson", Some(FileKind::Ndjson)),
            ("rows.jsonl", Some(FileKind::Ndjson)),
            ("rows.json", None),
            ("a.csv/rows", None),
            ("csv", None),
            ("", None),
        ] {
            assert_eq!(FileKind::from_key(key), kind, "{key}");
        }
    }
}
