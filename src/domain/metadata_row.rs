//! One row of a metadata file, which is about one image. A row is stored in the payload of a record, in every store.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// Maximum columns of one row, without `s3_key`.
pub(crate) const MAX_COLUMNS: usize = 64;
/// Maximum bytes of a column's name.
pub(crate) const MAX_NAME: usize = 128;
/// Maximum bytes of a value.
const MAX_VALUE: usize = 2_048;
/// Maximum bytes of a key: the limit of S3.
const MAX_KEY: usize = 1_024;

/// The metadata of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MetadataRow {
    /// The image's key as it is in the file.
    pub(crate) key: String,
    /// The other columns. Empty values are left out.
    pub(crate) columns: BTreeMap<String, String>,
}

impl MetadataRow {
    /// Makes a row and checks its limits.
    pub(crate) fn new(key: String, columns: BTreeMap<String, String>) -> Result<Self, String> {
        if key.is_empty() {
            return Err("its s3_key is empty".to_owned());
        }
        if key.len() > MAX_KEY {
            return Err(format!("its s3_key has {} bytes; at most {MAX_KEY} are allowed", key.len()));
        }
        if columns.len() > MAX_COLUMNS {
            return Err(format!("it has {} columns; at most {MAX_COLUMNS} are allowed", columns.len()));
        }
        for (name, value) in &columns {
            check_name(name)?;
            if value.len() > MAX_VALUE {
                return Err(format!("its `{name}` has {} bytes; at most {MAX_VALUE} are allowed", value.len()));
            }
        }
        Ok(Self { key, columns })
    }

    /// Returns a digest of the columns: rows with equal digests have equal columns. It does not include the key.
    pub(crate) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for text in self.columns.iter().flat_map(|(name, value)| [name, value]) {
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        }
        hex::encode(&hash.finalize()[..16])
    }
}

/// Checks the name of a column.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a column has no name".to_owned());
    }
    if name.len() > MAX_NAME {
        return Err(format!("a column's name has {} bytes; at most {MAX_NAME} are allowed", name.len()));
    }
    // Stores search for `name=value`, so the name `a=b` with the value `c` would be the same as `a` with `b=c`.
    if name.contains('=') {
        return Err(format!("the name of the column `{name}` contains `=`, which is not allowed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &[(&str, &str)]) -> Result<MetadataRow, String> {
        MetadataRow::new(
            "a.jpg".into(),
            columns.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        )
    }

    #[test]
    fn rows_above_the_limits_are_refused() {
        let long = |bytes| "x".repeat(bytes);
        assert!(row(&[(&long(MAX_NAME), &long(MAX_VALUE))]).is_ok());
        assert!(row(&[(&long(MAX_NAME + 1), "v")]).unwrap_err().contains("name has 129 bytes"));
        assert!(row(&[("taxon", &long(MAX_VALUE + 1))]).unwrap_err().contains("`taxon` has 2049 bytes"));
        assert!(row(&[("a=b", "v")]).unwrap_err().contains('='));
        assert!(row(&[("", "v")]).unwrap_err().contains("no name"));
        assert!(MetadataRow::new(String::new(), BTreeMap::new()).unwrap_err().contains("empty"));
        assert!(MetadataRow::new(long(1_025), BTreeMap::new()).unwrap_err().contains("1025 bytes"));
        let many = (0..=MAX_COLUMNS).map(|n| (n.to_string(), "v".to_owned())).collect();
        assert!(MetadataRow::new("a".into(), many).unwrap_err().contains("65 columns"));
    }

    #[test]
    fn different_columns_have_different_digests() {
        let digest = |columns| row(columns).unwrap().digest();
        assert_eq!(digest(&[("a", "b"), ("c", "d")]), digest(&[("c", "d"), ("a", "b")]));
        assert_ne!(digest(&[("a", "bc")]), digest(&[("ab", "c")]));
        assert_ne!(digest(&[("a", "b")]), digest(&[("a", "c")]));
        assert_ne!(digest(&[]), "", "a row without columns is a row");
    }
}
