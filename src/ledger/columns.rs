//! How typed values are stored in columns.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::{
    CollectionName, FailureClass, GenerationState, ImageUri, JobId, JobState, KeyName, MirrorName, MirrorState, Role,
    SignIn, StoreSet, Timestamp,
};

/// Stores a type as text.
macro_rules! text_column {
    ($type:ty, |$value:ident| $write:expr, |$text:ident| $parse:expr) => {
        impl ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                let $value = self;
                Ok(ToSqlOutput::from($write))
            }
        }

        impl FromSql for $type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let $text = value.as_str()?;
                $parse.ok_or_else(|| {
                    FromSqlError::Other(format!("the value `{}` was not written by this service", $text).into())
                })
            }
        }
    };
}

text_column!(JobId, |id| id.to_string(), |text| text.parse().ok());
text_column!(JobState, |state| state.as_str(), |text| Self::from_name(text));
text_column!(KeyName, |name| name.as_str(), |text| Self::parse(text).ok());
text_column!(Role, |role| role.as_str(), |text| Self::from_name(text));
text_column!(SignIn, |kind| kind.as_str(), |text| Self::from_name(text));
text_column!(MirrorName, |name| name.as_str(), |text| Self::parse(text).ok());
text_column!(MirrorState, |state| state.as_str(), |text| Self::from_name(text));
text_column!(CollectionName, |name| name.as_str(), |text| Self::parse(text).ok());
text_column!(GenerationState, |state| state.as_str(), |text| Self::from_name(text));
text_column!(ImageUri, |uri| uri.as_str(), |text| Self::parse(text).ok());
text_column!(FailureClass, |class| class.as_str(), |text| Self::from_name(text));
text_column!(StoreSet, |stores| stores.to_string(), |text| Some(Self::parse(text)));
text_column!(Timestamp, |time| time.to_string(), |text| Self::parse(text).ok());

/// A value that is stored as JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = serde_json::to_string(&self.0);
        text.map(ToSqlOutput::from).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Self).map_err(FromSqlError::other)
    }
}
