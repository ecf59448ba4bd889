//! The values of the properties of a filter, in JSON.

use std::collections::BTreeMap;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The values of one property: in JSON a text or a list of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrSeveral", into = "OneOrSeveral")]
pub struct Values(pub Vec<String>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrSeveral {
    One(String),
    Several(Vec<String>),
    Null(()),
}

impl From<OneOrSeveral> for Values {
    fn from(values: OneOrSeveral) -> Self {
        Self(match values {
            OneOrSeveral::One(value) => vec![value],
            OneOrSeveral::Several(values) => values,
            OneOrSeveral::Null(()) => Vec::new(),
        })
    }
}

impl From<Values> for OneOrSeveral {
    fn from(Values(mut values): Values) -> Self {
        match values.pop() {
            Some(value) if values.is_empty() => Self::One(value),
            last => Self::Several(values.into_iter().chain(last).collect()),
        }
    }
}

impl Values {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// Refuses a name that is given twice. A map would keep the last value without a message.
pub(super) fn unique_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Values>, D::Error> {
    struct UniqueNames;
    impl<'de> Visitor<'de> for UniqueNames {
        type Value = BTreeMap<String, Values>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
            let mut all = BTreeMap::new();
            while let Some((name, values)) = fields.next_entry::<String, Values>()? {
                if all.contains_key(&name) {
                    return Err(A::Error::custom(format!("duplicate field `meta.{name}`")));
                }
                all.insert(name, values);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_map(UniqueNames)
}
