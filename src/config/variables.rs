//! The variables of the environment that are settings, and how they become the settings of a module.

use std::collections::BTreeMap;

use config::{Config, Environment};
use serde::de::value::{Error, MapDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::SettingsError;
use super::named_providers;
use super::secret_files::SECRETS;
use crate::domain::endpoint::masked;

/// Maximum number of characters of a value that a message repeats.
const MAX_SHOWN_CHARS: usize = 200;

/// Settings by the names of their fields, which are the names of the variables in lower case.
pub(super) type Variables = BTreeMap<String, String>;

/// Returns the variables of the environment with their names in lower case and without empty ones.
pub(super) fn collect<N: Into<String>, V: Into<String>>(
    variables: impl IntoIterator<Item = (N, V)>,
) -> Result<Variables, SettingsError> {
    let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let environment = Environment::default().ignore_empty(true).source(Some(variables));
    let values: BTreeMap<String, config::Value> = Config::builder()
        .add_source(environment)
        .build()
        .and_then(Config::try_deserialize)
        .map_err(|error| SettingsError(error.to_string()))?;
    // A name with a dot becomes a table; it is not a setting.
    Ok(values.into_iter().filter_map(|(name, value)| Some((name, value.into_string().ok()?))).collect())
}

/// Returns the settings of one module. Appends a message to `errors` for each value that cannot be used, and then uses the
/// default in its place.
pub(super) fn read<T: DeserializeOwned>(variables: &Variables, errors: &mut Vec<String>) -> Result<T, Error> {
    let is_valid = |(name, value): &(&String, &String)| match from_fields::<T>([(*name, *value)]) {
        Ok(_) => true,
        Err(error) => {
            errors.push(describe(name, value, &error));
            false
        }
    };
    let valid: Vec<_> = variables.iter().filter(is_valid).collect();
    from_fields(valid)
}

fn from_fields<'a, T: DeserializeOwned>(
    fields: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<T, Error> {
    let fields = fields.into_iter().map(|(name, value)| (name.as_str(), Text(value)));
    T::deserialize(MapDeserializer::new(fields))
}

/// Returns a message with the variable, its value and what is allowed. Secrets are not repeated; passwords in URLs are
/// masked.
fn describe(name: &str, value: &str, error: &Error) -> String {
    let name = name.to_uppercase();
    if SECRETS.contains(&name.as_str()) || named_providers::is_secret(&name) {
        return format!("{name} has a value that cannot be used; {error}");
    }
    let value = masked(value);
    let shown: String = value.chars().take(MAX_SHOWN_CHARS).collect();
    let cut = if shown.len() < value.len() { "…" } else { "" };
    format!("{name} is `{shown}{cut}`; {error}")
}

/// The value of a variable.
#[derive(Clone, Copy)]
struct Text<'a>(&'a str);

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.trim().to_lowercase().as_str() {
            "true" | "on" | "yes" | "1" => visitor.visit_bool(true),
            "false" | "off" | "no" | "0" => visitor.visit_bool(false),
            _ => Err(Error::custom("it must be `true` or `false`")),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.trim().parse() {
            Ok(number) => visitor.visit_u64(number),
            Err(_) => Err(Error::custom("it must be a whole number")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct enum identifier ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Text<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
