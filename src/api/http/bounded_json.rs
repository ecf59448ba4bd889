//! Reads JSON with bounded memory: a small body can be the text of a very large value.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Value;

/// A value that is an object in JSON. A derived `Deserialize` also accepts an array with the fields in order.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

/// Reads a value; `null` is the default, as if the field were absent.
pub(in crate::api) fn or_default<'de, T, D>(json: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Option::deserialize(json).map(Option::unwrap_or_default)
}

/// Reads an object, and not an array with its fields in order; `null` is the default.
pub(in crate::api) fn object_or_default<'de, T, D>(json: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    optional_object(json).map(Option::unwrap_or_default)
}

/// Reads an object or `null`.
pub(in crate::api) fn optional_object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(json)?.map(|Object(value)| value))
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// The first `MAX` objects of an array. The others only have to be valid JSON.
struct First<const MAX: usize, T>(Vec<T>);

impl<'de, const MAX: usize, T: Deserialize<'de>> Deserialize<'de> for First<MAX, T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_seq(FirstVisitor::<MAX, T>(PhantomData)).map(Self)
    }
}

/// Reads the first `MAX` objects of an array.
pub(in crate::api) fn first_objects<'de, const MAX: usize, T: Deserialize<'de>, D: Deserializer<'de>>(
    json: D,
) -> Result<Vec<T>, D::Error> {
    First::<MAX, T>::deserialize(json).map(|First(items)| items)
}

/// Reads the first `MAX` objects of an array; `null` is an empty one.
pub(in crate::api) fn first_objects_or_none<'de, const MAX: usize, T: Deserialize<'de>, D: Deserializer<'de>>(
    json: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::<First<MAX, T>>::deserialize(json)?.map_or_else(Vec::new, |First(items)| items))
}

struct FirstVisitor<const MAX: usize, T>(PhantomData<T>);

impl<'de, const MAX: usize, T: Deserialize<'de>> Visitor<'de> for FirstVisitor<MAX, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut first = Vec::new();
        while first.len() < MAX {
            let Some(Object(item)) = items.next_element()? else { return Ok(first) };
            first.push(item);
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }
}

/// Maximum number of values in an outline.
const MAX_VALUES: usize = 4096;
/// Maximum number of characters of a text in an outline.
const MAX_CHARACTERS: usize = 200;

/// Reads the beginning of a JSON value, for an error message: long texts are cut, and after 4,096 values the others are
/// left out.
pub(super) fn outline(json: &[u8]) -> serde_json::Result<Value> {
    let left = Cell::new(MAX_VALUES);
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = Outline { left: &left }.deserialize(&mut reader)?;
    reader.end().map(|()| value)
}

#[derive(Clone, Copy)]
struct Outline<'a> {
    left: &'a Cell<usize>,
}

impl Outline<'_> {
    /// Whether one more value may be kept.
    fn take(self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }

    fn text(text: &str) -> String {
        text.chars().take(MAX_CHARACTERS).collect()
    }
}

impl<'de> DeserializeSeed<'de> for Outline<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Outline<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Self::text(text).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while self.take() {
            let Some(item) = items.next_element_seed(self)? else { return Ok(kept.into()) };
            kept.push(item);
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(kept.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut kept = serde_json::Map::new();
        while self.take() {
            let Some(name) = fields.next_key::<String>()? else { return Ok(kept.into()) };
            kept.insert(Self::text(&name), fields.next_value_seed(self)?);
        }
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(kept.into())
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::json;
    use utoipa::PartialSchema;

    use super::*;
    use crate::api::replies::{
        CompositeQuery, FilterRequest, RaySubmitRequest, SubmitRequest, TermRequest, VerifyRequest,
    };

    #[derive(Debug, PartialEq, Deserialize)]
    struct Point {
        x: u8,
    }

    #[test]
    fn only_the_first_objects_are_kept_and_arrays_are_not_objects() {
        let read = |json: &str| first_objects::<2, Point, _>(&mut serde_json::Deserializer::from_str(json));
        let many = format!("[{{\"x\":1}},{{\"x\":2}}{}]", ",{\"y\":[]}".repeat(1000));
        assert_eq!(read(&many).unwrap(), [Point { x: 1 }, Point { x: 2 }]);
        assert_eq!(read("[]").unwrap(), []);
        assert!(read("[[1]]").is_err() && read("{}").is_err() && read("[{\"x\":1},{\"x\":2},]").is_err());
    }

    /// Checks that every field beside the required ones can be `null`, and that its schema says so.
    fn assert_optional_fields_can_be_null<T: DeserializeOwned + PartialSchema>(required: &Value) {
        let schema = serde_json::to_value(T::schema()).unwrap();
        for (name, field) in schema["properties"].as_object().unwrap() {
            if required.get(name).is_none() {
                let mut body = required.clone();
                body[name] = Value::Null;
                assert!(serde_json::from_value::<T>(body).is_ok(), "{name}");
                assert!(field.to_string().contains("\"null\""), "{name}: {field}");
            }
        }
    }

    #[test]
    fn null_is_the_same_as_an_absent_field() {
        assert_optional_fields_can_be_null::<SubmitRequest>(&json!({}));
        assert_optional_fields_can_be_null::<RaySubmitRequest>(&json!({"s3_bucket": "b", "collection": "c"}));
        assert_optional_fields_can_be_null::<VerifyRequest>(&json!({}));
        assert_optional_fields_can_be_null::<CompositeQuery>(&json!({"positive": []}));
        assert_optional_fields_can_be_null::<TermRequest>(&json!({}));
        assert_optional_fields_can_be_null::<FilterRequest>(&json!({}));
        let nulls = r#"{"positive": [], "negative": null, "filter": null, "limit": null, "offset": null}"#;
        let query: CompositeQuery = serde_json::from_str(nulls).unwrap();
        assert_eq!((query.limit, query.offset, query.negative.len()), (10, 0, 0));
        let verify: VerifyRequest = serde_json::from_str(r#"{"repair": null, "sample": null}"#).unwrap();
        assert!(!verify.repair && verify.sample == 1_000);
    }

    #[test]
    fn an_outline_has_the_beginning_of_everything() {
        let small = json!({"a": [1, -1, 1.5, true, null, "text", {"b": []}]});
        assert_eq!(outline(small.to_string().as_bytes()).unwrap(), small);
        let long = json!(["ä".repeat(1000)]);
        assert_eq!(outline(long.to_string().as_bytes()).unwrap(), json!(["ä".repeat(200)]));
        let many = format!("{{\"a\":[{}1],\"b\":[[],{{}}]}}", "[1,{\"c\":2}],".repeat(100_000));
        let kept = outline(many.as_bytes()).unwrap();
        assert!(kept.to_string().len() < 40_000 && kept["a"][0] == json!([1, {"c": 2}]), "{}", kept.to_string().len());
        assert!(outline(b"[1] 2").is_err() && outline(b"[1").is_err());
    }
}
