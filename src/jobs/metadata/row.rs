//! One row, within its bounds: a record's payload holds it, in every store.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// Most columns of one row, `s3_key` aside.
pub(super) const MAX_COLUMNS: usize = 64;
/// Most bytes of a column's name.
pub(super) const MAX_NAME: usize = 128;
/// Most bytes of a value.
const MAX_VALUE: usize = 2_048;
/// Most bytes of a key: S3's own bound.
const MAX_KEY: usize = 1_024;

/// What a metadata file says of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::jobs) struct Row {
    /// The image's key, raw.
    pub(in crate::jobs) key: String,
    /// The other columns; never one that is empty.
    pub(in crate::jobs) columns: BTreeMap<String, String>,
}

impl Row {
    /// A row of this key, checked.
    pub(super) fn new(key: String, columns: BTreeMap<String, String>) -> Result<Self, String> {
        if key.is_empty() {
            return Err("its s3_key is empty".to_owned());
        }
        if key.len() > MAX_KEY {
            return Err(format!("its s3_key has {} bytes, {MAX_KEY} are allowed", key.len()));
        }
        if columns.len() > MAX_COLUMNS {
            return Err(format!("it has {} columns, {MAX_COLUMNS} are allowed", columns.len()));
        }
        for (name, value) in &columns {
            check_name(name)?;
            if value.len() > MAX_VALUE {
                return Err(format!("its `{name}` has {} bytes, {MAX_VALUE} are allowed", value.len()));
            }
        }
        Ok(Self { key, columns })
    }

    /// Tells rows apart: two are equal where their digests are. Says nothing of the key.
    pub(in crate::jobs) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for text in self.columns.iter().flat_map(|(name, value)| [name, value]) {
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        }
        hex::encode(&hash.finalize()[..16])
    }
}

/// Whether a column may be called so.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a column has no name".to_owned());
    }
    if name.len() > MAX_NAME {
        return Err(format!("a column's name has {} bytes, {MAX_NAME} are allowed", name.len()));
    }
    // Stores look for `name=value`: `a=b` of `c` could not be told from `a` of `b=c`.
    if name.contains('=') {
        return Err(format!("the column `{name}` has a `=` in its name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &[(&str, &str)]) -> Result<Row, String> {
        Row::new("a.jpg".into(), columns.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    #[test]
    fn rows_are_kept_within_their_bounds() {
        let long = |bytes| "x".repeat(bytes);
        assert!(row(&[(&long(MAX_NAME), &long(MAX_VALUE))]).is_ok());
        assert!(row(&[(&long(MAX_NAME + 1), "v")]).unwrap_err().contains("name has 129 bytes"));
        assert!(row(&[("taxon", &long(MAX_VALUE + 1))]).unwrap_err().contains("`taxon` has 2049 bytes"));
        assert!(row(&[("a=b", "v")]).unwrap_err().contains('='));
        assert!(row(&[("", "v")]).unwrap_err().contains("no name"));
        assert!(Row::new(String::new(), BTreeMap::new()).unwrap_err().contains("empty"));
        assert!(Row::new(long(1_025), BTreeMap::new()).unwrap_err().contains("1025 bytes"));
        let many = (0..=MAX_COLUMNS).map(|n| (n.to_string(), "v".to_owned())).collect();
        assert!(Row::new("a".into(), many).unwrap_err().contains("65 columns"));
    }

    #[test]
    fn a_digest_tells_rows_apart_wherever_the_border_lies() {
        let digest = |columns| row(columns).unwrap().digest();
        assert_eq!(digest(&[("a", "b"), ("c", "d")]), digest(&[("c", "d"), ("a", "b")]));
        assert_ne!(digest(&[("a", "bc")]), digest(&[("ab", "c")]));
        assert_ne!(digest(&[("a", "b")]), digest(&[("a", "c")]));
        assert_ne!(digest(&[]), "", "a row without columns is a row");
    }
}
