//! Reads whole numbers from JSON. `5.0` is also a whole number (JSON Schema, `integer`), and some clients write it.

use serde::{Deserialize, Deserializer};

/// Reads a whole number, with or without a fraction of zero.
pub(in crate::api) fn whole_number<'de, T: TryFrom<u64>, D: Deserializer<'de>>(json: D) -> Result<T, D::Error> {
    let number = serde_json::Number::deserialize(json)?;
    read(&number).ok_or_else(|| out_of_range(&number))
}

/// Reads a whole number or `null`.
pub(in crate::api) fn optional_whole_number<'de, T: TryFrom<u64>, D: Deserializer<'de>>(
    json: D,
) -> Result<Option<T>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(json)? else { return Ok(None) };
    read(&number).map(Some).ok_or_else(|| out_of_range(&number))
}

/// Reads a whole number; `null` is the default, as if the field were absent.
pub(in crate::api) fn whole_number_or_default<'de, T, D>(json: D) -> Result<T, D::Error>
where
    T: TryFrom<u64> + Default,
    D: Deserializer<'de>,
{
    optional_whole_number(json).map(Option::unwrap_or_default)
}

fn out_of_range<E: serde::de::Error>(number: &serde_json::Number) -> E {
    E::custom(format!("{number} is not a whole number in the range of its field"))
}

/// The largest whole number that every client can represent: 2^53 - 1.
pub(in crate::api) const MAX_WHOLE_NUMBER: u64 = 9_007_199_254_740_991;

fn read<T: TryFrom<u64>>(number: &serde_json::Number) -> Option<T> {
    let whole = number.as_u64().or_else(|| {
        let number = number.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, not negative, and bounded below"
        )]
        Some(number as u64)
    })?;
    T::try_from(whole).ok().filter(|_| whole <= MAX_WHOLE_NUMBER)
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};
    use utoipa::PartialSchema;

    use super::*;
    use crate::api::replies::{
        CompositeQuery, EmbeddingsRequest, FilterRequest, ImportRequest, MirrorRequest, PruneRequest, RaySubmitRequest,
        SubmitRequest, SwitchBody, VerifyRequest,
    };

    #[test]
    fn whole_numbers_may_have_a_fraction_of_zero() {
        let read = |text: &str| super::read::<u8>(&serde_json::from_str(text).unwrap());
        assert_eq!([read("5"), read("5.0"), read("0"), read("255.0")], [Some(5), Some(5), Some(0), Some(255)]);
        assert_eq!([read("5.5"), read("-1"), read("256"), read("1e30"), read("-0.5")], [None; 5]);
        let read = |text: &str| super::read::<u64>(&serde_json::from_str(text).unwrap());
        assert_eq!([read("9007199254740991"), read("9007199254740992")], [Some(MAX_WHOLE_NUMBER), None]);
    }

    /// Checks every integer of a body, and returns their number.
    fn check_integers<T: DeserializeOwned + PartialSchema>(required: &Value) -> usize {
        let schema = serde_json::to_value(T::schema()).unwrap();
        let is_integer = |field: &Value| field["type"].to_string().contains("integer");
        let properties = schema["properties"].as_object().unwrap().iter();
        let integers = properties.filter(|(_, field)| is_integer(field)).map(|(name, _)| {
            let mut body = required.clone();
            body[name] = json!(1.0);
            assert!(serde_json::from_str::<T>(&body.to_string()).is_ok(), "{name}");
        });
        integers.count()
    }

    #[test]
    fn every_integer_of_a_body_may_have_a_fraction_of_zero() {
        let ray = json!({"s3_bucket": "b", "collection": "c"});
        let mirror = json!({"s3_bucket": "b", "collection": "c"});
        let found = [
            check_integers::<CompositeQuery>(&json!({"positive": []})),
            check_integers::<EmbeddingsRequest>(&json!({"input": "a cat"})),
            check_integers::<FilterRequest>(&json!({})),
            check_integers::<ImportRequest>(&json!({"images": []})),
            check_integers::<MirrorRequest>(&mirror),
            check_integers::<PruneRequest>(&json!({})),
            check_integers::<RaySubmitRequest>(&ray),
            check_integers::<SubmitRequest>(&json!({})),
            check_integers::<SwitchBody>(&json!({})),
            check_integers::<VerifyRequest>(&json!({})),
        ];
        assert_eq!(found, [3, 1, 2, 1, 1, 1, 2, 3, 1, 1]);
    }
}
