//! For whom a key is compared with the bucket.

use std::fmt;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::domain::{CollectionName, MirrorName};

/// For whom a key is compared with the bucket. In the column `mirror`, uploads are `/` and their collection: the name of a
/// mirror has no `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeyOwner {
    /// An event of this mirror named the key.
    Mirror(MirrorName),
    /// The object was uploaded through the service, into this collection.
    Uploads(CollectionName),
}

impl KeyOwner {
    /// Returns the label of metrics: the name of the mirror, or an empty text for uploads.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Mirror(name) => name.to_string(),
            Self::Uploads(_) => String::new(),
        }
    }
}

impl fmt::Display for KeyOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mirror(name) => name.fmt(f),
            Self::Uploads(collection) => write!(f, "/{collection}"),
        }
    }
}

impl ToSql for KeyOwner {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.to_string()))
    }
}

impl FromSql for KeyOwner {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        let owner = match text.strip_prefix('/') {
            Some(collection) => CollectionName::parse(collection).ok().map(Self::Uploads),
            None => MirrorName::parse(text).ok().map(Self::Mirror),
        };
        owner.ok_or_else(|| FromSqlError::Other(format!("`{text}` was not written by this service").into()))
    }
}
