//! The metadata file of a job: a CSV or NDJSON object in the job's bucket whose column `s3_key` says which image a row is
//! about. Its other columns are kept with the image's record, beside the object's own `x-amz-meta-*`; where both have a
//! name, the file's value counts.
//!
//! The file is read once, before anything is listed; its rows go into the ledger, where the plan and the leases find them. A
//! row that cannot be used costs itself.

mod csv;
mod load;
mod ndjson;
mod row;

pub(super) use load::{MetadataError, load, log_joined};
pub(super) use row::Row;

use crate::source::EncodingError;

/// The column that a row is joined on.
const KEY: &str = "s3_key";
/// Most bytes of a metadata file.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// How a metadata file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// RFC 4180, with a header row; commas.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl FileKind {
    /// By the extension of a key; `None` for every other.
    pub(super) fn of(key: &str) -> Option<Self> {
        let (_, extension) = key.rsplit('/').next()?.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }

    /// Reads a whole file and gives each row, or why it cannot be used, to `take`, until that says no.
    fn read(self, bytes: &[u8], take: &mut dyn FnMut(Result<Row, BadRow>) -> bool) -> Result<(), BadFile> {
        // Spreadsheets put a byte order mark first.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match self {
            Self::Csv => csv::read(bytes, take),
            Self::Ndjson => ndjson::read(bytes, take),
        }
    }
}

/// A row that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BadRow {
    /// Where it begins, from 1.
    line: u64,
    /// What is wrong with it.
    reason: String,
}

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadFile(String);

impl From<EncodingError> for BadFile {
    fn from(error: EncodingError) -> Self {
        match error {
            EncodingError::TooLarge { limit, .. } => {
                Self(format!("decoded it has more than {} MB, which is the most", limit / (1024 * 1024)))
            }
            other => Self(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_says_how_a_file_is_written() {
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
            assert_eq!(FileKind::of(key), kind, "{key}");
        }
    }
}
