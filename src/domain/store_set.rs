//! The set of stores that have a record.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Names of stores, without duplicates, in alphabetical order. As text: comma-separated, `qdrant,weaviate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct StoreSet(BTreeSet<String>);

impl StoreSet {
    /// Parses the text that [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Self {
        super::words(text).into_iter().collect()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the store with this name is in the set.
    pub fn contains(&self, store: &str) -> bool {
        self.0.contains(store)
    }

    /// Adds the store with this name.
    pub fn insert(&mut self, store: &str) {
        self.0.insert(store.to_owned());
    }

    /// Whether every store of `all` is in the set.
    pub fn cover(&self, all: &Self) -> bool {
        self.0.is_superset(&all.0)
    }

    /// Returns the stores that are in both sets.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        Self(&self.0 & &other.0)
    }

    /// Iterates over the names, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<N: Into<String>> FromIterator<N> for StoreSet {
    fn from_iter<I: IntoIterator<Item = N>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

impl From<String> for StoreSet {
    fn from(text: String) -> Self {
        Self::parse(&text)
    }
}

impl From<StoreSet> for String {
    fn from(stores: StoreSet) -> Self {
        stores.to_string()
    }
}

impl fmt::Display for StoreSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.0.iter().enumerate() {
            write!(f, "{}{name}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_parsed_from_its_text() {
        let both: StoreSet = ["weaviate", "qdrant", "qdrant"].into_iter().collect();
        assert_eq!(both.to_string(), "qdrant,weaviate");
        assert_eq!(StoreSet::parse(&both.to_string()), both);
        assert_eq!(StoreSet::parse(""), StoreSet::default());
    }

    #[test]
    fn sets_are_compared_and_intersected() {
        let (one, both) = (StoreSet::parse("qdrant"), StoreSet::parse("qdrant,weaviate"));
        assert!(both.cover(&one) && !one.cover(&both) && both.contains("weaviate"));
        assert_eq!(both.common(&StoreSet::parse("embedded,qdrant")), one);
    }
}
