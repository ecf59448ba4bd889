//! Names of collections. A name is checked once, when it enters the service.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Space;

/// A name that every store can hold: 1 to 64 of the characters `A-Z a-z 0-9 _ -`, the first of them a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CollectionName(String);

/// The text is not a valid collection name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a collection name: 1 to 64 letters, digits, `_` or `-` are allowed, the first must be a letter")]
pub struct InvalidCollectionName(String);

impl CollectionName {
    /// Parses a collection name.
    ///
    /// # Errors
    /// Returns [`InvalidCollectionName`] with the text if it is not a valid name.
    pub fn parse(text: &str) -> Result<Self, InvalidCollectionName> {
        let valid = (1..=64).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidCollectionName(text.to_owned())) }
    }

    /// Returns the name as the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of this collection's class in Weaviate: `MyPhotosImages` for `my-photos`. Two collections with
    /// the same class name cannot both exist.
    pub fn weaviate_class(&self) -> String {
        let mut class = String::with_capacity(self.0.len() + 6);
        for word in self.0.split(['-', '_']) {
            let mut letters = word.chars();
            class.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            class.push_str(letters.as_str());
        }
        class.push_str("Images");
        class
    }
}

impl Default for CollectionName {
    /// Returns the name that is used if nothing else is set.
    fn default() -> Self {
        Self("documents".to_owned())
    }
}

impl TryFrom<String> for CollectionName {
    type Error = InvalidCollectionName;
    fn try_from(text: String) -> Result<Self, InvalidCollectionName> {
        Self::parse(&text)
    }
}

impl From<CollectionName> for String {
    fn from(name: CollectionName) -> Self {
        name.0
    }
}

impl fmt::Display for CollectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a store reports about one collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CollectionInfo {
    /// Name of the collection.
    pub name: CollectionName,
    /// The space that its vectors belong to.
    pub space: Space,
    /// Number of records in the collection.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_names_are_accepted_and_others_refused() {
        for name in ["documents", "My-photos_2", "a", &"x".repeat(64)] {
            CollectionName::parse(name).unwrap();
        }
        for name in ["", "1a", "-a", "a b", "a/b", "ä", "a.b", "../x", &"x".repeat(65)] {
            assert!(CollectionName::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn weaviate_class_names_are_camel_case_with_a_suffix() {
        let class = |name: &str| CollectionName::parse(name).unwrap().weaviate_class();
        assert_eq!(class("documents"), "DocumentsImages");
        assert_eq!(class("my-photos"), "MyPhotosImages");
        assert_eq!(class("my_photos"), class("my-photos"));
    }
}
