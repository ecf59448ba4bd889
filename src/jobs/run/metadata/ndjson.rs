//! NDJSON files: one JSON object per line. Strings are used as they are. Numbers, booleans and nested values are used
//! as their JSON text in the file. `null` and empty strings are left out.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::domain::MetadataRow;
use crate::jobs::run::metadata::{BadFile, BadRow, KEY};

pub(crate) fn read(bytes: &[u8], take: &mut dyn FnMut(Result<MetadataRow, BadRow>) -> bool) -> Result<(), BadFile> {
    let (mut lines, mut without_key) = (0_u64, 0_u64);
    for (line, text) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        if text.trim_ascii().is_empty() {
            continue;
        }
        lines += 1;
        let row = match row(text) {
            Ok(row) => Ok(row),
            Err(RowError::NoKey) => {
                without_key += 1;
                Err(BadRow { line, reason: format!("it has no `{KEY}`") })
            }
            Err(RowError::Other(reason)) => Err(BadRow { line, reason }),
        };
        if !take(row) {
            return Ok(());
        }
    }
    if lines > 0 && lines == without_key {
        return Err(BadFile(format!("none of its {lines} lines has `{KEY}`")));
    }
    Ok(())
}

enum RowError {
    NoKey,
    Other(String),
}

fn row(text: &[u8]) -> Result<MetadataRow, RowError> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(text)
        .map_err(|error| RowError::Other(format!("it is not a JSON object: {error}").replace(" at line 1", ",")))?;
    let mut key = None;
    let mut columns = BTreeMap::new();
    for (name, value) in fields {
        let value = value.get();
        let text = match value.as_bytes().first() {
            Some(b'"') => serde_json::from_str(value).map_err(|error| RowError::Other(error.to_string()))?,
            _ if value == "null" => String::new(),
            _ => value.to_owned(),
        };
        if name == KEY {
            key = Some(text);
        } else if !text.is_empty() {
            columns.insert(name, text);
        }
    }
    MetadataRow::new(key.ok_or(RowError::NoKey)?, columns).map_err(RowError::Other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::run::metadata::FileKind;

    fn rows(file: &str) -> Result<Vec<Result<MetadataRow, BadRow>>, BadFile> {
        let mut rows = Vec::new();
        FileKind::Ndjson.read(file.as_bytes(), &mut |row| {
            rows.push(row);
            true
        })?;
        Ok(rows)
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let file = "\u{feff}{\"s3_key\": \"a.jpg\", \"taxon\": \"Felis\\ncatus\", \"month\": 5, \"lat\": 47.50, \
            \"id\": 12345678901234567890123, \"wild\": false, \"none\": null, \"empty\": \"\", \"place\": {\"c\": [\"CH\"]}}\r\n\
            \r\n  \n{\"s3_key\":\"b.jpg\"}";
        let read: Vec<MetadataRow> = rows(file).unwrap().into_iter().map(Result::unwrap).collect();
        let columns = [
            ("taxon", "Felis\ncatus"),
            ("month", "5"),
            ("lat", "47.50"),
            ("id", "12345678901234567890123"),
            ("wild", "false"),
            ("place", "{\"c\": [\"CH\"]}"),
        ];
        let columns = columns.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(
            read,
            [
                MetadataRow { key: "a.jpg".into(), columns },
                MetadataRow { key: "b.jpg".into(), columns: BTreeMap::new() },
            ]
        );
    }

    #[test]
    fn a_bad_line_is_skipped() {
        let file = "{\"s3_key\":\"a.jpg\"}\nnot json\n[1]\n{\"taxon\":\"x\"}\n{\"s3_key\":null}\n{\"s3_key\":\"b\", \"a=b\":1}\n{";
        let bad: Vec<_> = rows(file).unwrap().into_iter().filter_map(Result::err).collect();
        assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
        assert!(bad[0].reason.starts_with("it is not a JSON object") && !bad[0].reason.contains("line"), "{bad:?}");
        assert_eq!(bad[2].reason, "it has no `s3_key`");
        assert!(bad[4].reason.contains("`a=b`"), "{bad:?}");
    }

    #[test]
    fn a_file_in_which_no_line_has_a_key_cannot_be_used() {
        let error = rows("{\"key\":\"a\"}\n{\"key\":\"b\"}\n").unwrap_err();
        assert_eq!(error.to_string(), "none of its 2 lines has `s3_key`");
        assert_eq!(rows("\n").unwrap(), []);
    }
}
