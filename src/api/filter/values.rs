//! The values of the properties of a filter, in JSON. What is beyond the allowed numbers is skipped while it is read, but
//! for one, so that the request is refused without using memory for all of it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::MAX_META_NAMES;
use crate::domain::MAX_FILTER_VALUES;

/// The values of one property: in JSON a text or a list of texts. A number or a boolean is the same as its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(pub Vec<String>);

impl Values {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [value] => value.serialize(serializer),
            values => values.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ValuesVisitor { is_item: false }.deserialize(deserializer)
    }
}

/// Reads the values of a property, or one item of their list.
struct ValuesVisitor {
    is_item: bool,
}

impl<'de> DeserializeSeed<'de> for ValuesVisitor {
    type Value = Values;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Values, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl From<String> for Values {
    fn from(value: String) -> Self {
        Self(vec![value])
    }
}

impl<'de> Visitor<'de> for ValuesVisitor {
    type Value = Values;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_item { "a text" } else { "a text or a list of texts" })
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Values, E> {
        Ok(value.to_owned().into())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Values, E> {
        Ok(value.to_string().into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Values, E> {
        Ok(value.to_string().into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Values, E> {
        Ok(value.to_string().into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Values, E> {
        Ok(value.to_string().into())
    }

    fn visit_unit<E: Error>(self) -> Result<Values, E> {
        if self.is_item { Err(E::invalid_type(Unexpected::Unit, &self)) } else { Ok(Values::default()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Values, A::Error> {
        if self.is_item {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        }
        let mut values = Vec::new();
        while values.len() <= MAX_FILTER_VALUES {
            let item = items.next_element_seed(Self { is_item: true })?;
            let Some(Values(item)) = item else { return Ok(Values(values)) };
            values.extend(item);
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Values(values))
    }
}

/// Reads the values by name; `null` has none. Refuses a name that is given twice: a map would keep the last value
/// without a message.
pub(super) fn unique_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Values>, D::Error> {
    deserializer.deserialize_any(UniqueNames)
}

struct UniqueNames;

impl<'de> Visitor<'de> for UniqueNames {
    type Value = BTreeMap<String, Values>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut all = BTreeMap::new();
        while all.len() <= MAX_META_NAMES {
            let Some((name, values)) = fields.next_entry::<String, Values>()? else { return Ok(all) };
            if all.contains_key(&name) {
                return Err(A::Error::custom(format!("duplicate field `meta.{name}`")));
            }
            all.insert(name, values);
        }
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(all)
    }
}
