//! Compares what a request contains with the schemas of the OpenAPI document, and says what is allowed instead.

use axum::http::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::bounded_json::outline;
use super::error::ApiError;
use crate::domain::nearest;

/// Maximum number of characters of a name or value of the client in a message.
const MAX_SHOWN: usize = 100;

/// Checks a value of a query string.
pub(super) fn check_parameter(name: &str, text: &str, schema: &Value) -> Result<(), ApiError> {
    let value = match schema["type"].as_str() {
        Some("integer") => text.parse::<i64>().map_or(Value::from(text), Value::from),
        Some("number") => text.parse::<f64>().map_or(Value::from(text), Value::from),
        Some("boolean") => text.parse::<bool>().map_or(Value::from(text), Value::from),
        _ => Value::from(text),
    };
    if allows(schema, &value) { Ok(()) } else { Err(ApiError::invalid(name, wrong_value(schema, &Value::from(text)))) }
}

/// Whether a parameter can be repeated.
pub(super) fn is_list(schema: &Value) -> bool {
    types(schema).contains(&"array")
}

/// 422 for a body that its type refused with `error`. The schema of the type shows which field is wrong.
pub(in crate::api) fn wrong_body(schema: &Value, body: &[u8], error: &serde_json::Error) -> ApiError {
    let Ok(body) = outline(body) else { return ApiError::malformed("the body is not valid JSON") };
    invalid_body(problem(schema, &body, "").unwrap_or_else(|| match error.to_string().split('`').nth(1) {
        // The schema does not show this: a parsed object has each field once.
        Some(name) if error.to_string().starts_with("duplicate") => {
            format!("{name}: is given more than once; send it once")
        }
        _ => "the body cannot be used; /docs describes it".to_owned(),
    }))
}

/// 422 for a field or a body with a wrong value.
pub(in crate::api) fn invalid_body(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", message)
}

/// Returns what is wrong with an object. `path` is its place in the body, empty for the body itself.
fn problem(schema: &Value, body: &Value, path: &str) -> Option<String> {
    let Some(fields) = body.as_object() else {
        let subject = if path.is_empty() { "the body".to_owned() } else { format!("{path}:") };
        return Some(format!("{subject} must be a JSON object, not {}", shown(body)));
    };
    let place = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let known = schema["properties"].as_object()?;
    for (name, value) in fields {
        match known.get(name) {
            None => {
                let unknown = unknown_name("field", name, known.keys().map(String::as_str));
                return Some(if path.is_empty() { unknown } else { format!("{path}: {unknown}") });
            }
            Some(schema) => {
                if let Some(problem) = field_problem(schema, value, &place(name)) {
                    return Some(problem);
                }
            }
        }
    }
    let mut required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing = required.find(|name| !fields.contains_key(*name))?;
    Some(format!("{}: is missing; it must be {}", place(missing), expected(known.get(missing)?)))
}

/// Returns what is wrong with the value of a field.
fn field_problem(schema: &Value, value: &Value, path: &str) -> Option<String> {
    if value.is_null() && allows(schema, value) {
        return None;
    }
    // The description of a field is kept beside an inlined object by a choice of one.
    let choices = schema["oneOf"].as_array().into_iter().flatten();
    if let Some(object) = choices.chain([schema]).find(|choice| choice["properties"].is_object()) {
        return problem(object, value, path);
    }
    let item = &schema["items"];
    if let Some(items) = value.as_array().filter(|_| item["properties"].is_object()) {
        return items.iter().enumerate().find_map(|(at, value)| problem(item, value, &format!("{path}[{at}]")));
    }
    let values = &schema["additionalProperties"];
    if let Some(fields) = value.as_object().filter(|_| values.is_object()) {
        return fields.iter().find_map(|(name, value)| field_problem(values, value, &format!("{path}.{name}")));
    }
    (!allows(schema, value)).then(|| format!("{path}: {}", wrong_value(schema, value)))
}

/// Says that a route does not have a parameter or a field, and which it has.
pub(in crate::api) fn unknown_name<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let name: String = name.chars().take(MAX_SHOWN).collect();
    let advice = match nearest(&name, known.clone()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => match known.collect::<Vec<_>>().join(", ") {
            names if names.is_empty() => format!("this route has no {kind}s"),
            names => format!("the {kind}s of this route are: {names}"),
        },
    };
    format!("the {kind} `{name}` is not known; {advice}")
}

fn wrong_value(schema: &Value, value: &Value) -> String {
    format!("must be {}, not {}", expected(schema), shown(value))
}

/// Whether a schema allows a value. A reference stands for a list of words, which the handler checks.
fn allows(schema: &Value, value: &Value) -> bool {
    if let Some(choices) = schema["oneOf"].as_array() {
        return choices.iter().any(|choice| allows(choice, value));
    }
    types(schema).into_iter().any(|kind| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0 && is_in_range(schema, number)),
        "number" => value.as_f64().is_some_and(|number| is_in_range(schema, number)),
        "object" => value.is_object(),
        "array" => value.as_array().is_some_and(|items| items.iter().all(|item| allows(&schema["items"], item))),
        _ => value.as_str().is_some_and(|text| schema["format"] != "uuid" || Uuid::parse_str(text).is_ok()),
    })
}

fn is_in_range(schema: &Value, number: f64) -> bool {
    schema["minimum"].as_f64().is_none_or(|minimum| number >= minimum)
        && schema["exclusiveMinimum"].as_f64().is_none_or(|minimum| number > minimum)
        && schema["maximum"].as_f64().is_none_or(|maximum| number <= maximum)
}

/// Describes the values that a schema allows.
fn expected(schema: &Value) -> String {
    if let Some(title) = schema["title"].as_str() {
        return title.to_owned();
    }
    let choices: Vec<String> = match schema["oneOf"].as_array() {
        Some(choices) => choices.iter().map(expected).filter(|choice| !choice.is_empty()).collect(),
        None => {
            types(schema).into_iter().filter(|kind| *kind != "null").map(|kind| expected_type(schema, kind)).collect()
        }
    };
    choices.join(" or ")
}

fn expected_type(schema: &Value, kind: &str) -> String {
    let range = match (&schema["minimum"], &schema["maximum"]) {
        (Value::Null, maximum) if schema["exclusiveMinimum"].is_number() => {
            format!(" above {}, at most {maximum}", schema["exclusiveMinimum"])
        }
        (Value::Null, _) => String::new(),
        (minimum, Value::Null) => format!(" of at least {minimum}"),
        (minimum, maximum) => format!(" from {minimum} to {maximum}"),
    };
    match kind {
        "boolean" => "true or false".to_owned(),
        "integer" => format!("a whole number{range}"),
        "number" => format!("a number{range}"),
        "array" if schema["items"]["properties"].is_object() => "a list of objects".to_owned(),
        "array" => "a list of strings".to_owned(),
        "object" => "a JSON object".to_owned(),
        _ if schema["format"] == "uuid" => "an id (UUID)".to_owned(),
        _ => "a string".to_owned(),
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => vec![kind.as_str().unwrap_or("string")],
    }
}

/// Returns a value as it is in the request, without the end of a long one.
fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), |text| format!("`{text}`"));
    let begin: String = text.chars().take(MAX_SHOWN).collect();
    if begin.len() < text.len() { format!("{begin}…") } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use utoipa::PartialSchema;

    use super::*;
    use crate::api::replies::{PruneRequest, SessionRequest, SubmitRequest};

    fn message<T: PartialSchema + serde::de::DeserializeOwned + std::fmt::Debug>(body: &str) -> String {
        let error = serde_json::from_str::<T>(body).unwrap_err();
        let schema = serde_json::to_value(T::schema()).unwrap();
        wrong_body(&schema, body.as_bytes(), &error).into_body().message
    }

    #[test]
    fn a_refused_body_names_the_field_its_value_and_what_is_allowed() {
        for (body, expected) in [
            ("7", "the body must be a JSON object, not 7"),
            (r#"{"s3_prefix": 7}"#, "s3_prefix: must be a string, not 7"),
            (r#"{"s3_prefix": null, "sync": null, "dry_run": 1}"#, "dry_run: must be true or false, not 1"),
            (r#"{"s3_prefx": "a"}"#, "the field `s3_prefx` is not known; did you mean `s3_prefix`?"),
            (r#"{"sync": "yes"}"#, "sync: must be true or false, not `yes`"),
            (r#"{"sync": true, "sync": true}"#, "sync: is given more than once; send it once"),
            (r#"{"exclude": ["a", 1]}"#, r#"exclude: must be a list of strings, not ["a",1]"#),
            (r#"{"executor": 5}"#, "executor: must be a string, not 5"),
            (r#"{"max_delete_percent": 300}"#, "max_delete_percent: must be a whole number from 0 to 100, not 300"),
            (
                r#"{"max_failures": 1.5}"#,
                "max_failures: must be a whole number from 0 to 9007199254740991 or a percentage from 0% to 100%, not 1.5",
            ),
        ] {
            assert_eq!(message::<SubmitRequest>(body), expected);
        }
        let unknown = message::<SubmitRequest>(r#"{"nonsense": 1}"#);
        assert!(unknown.contains("the fields of this route are: ") && unknown.contains("s3_bucket"), "{unknown}");
        assert_eq!(
            message::<PruneRequest>("{}"),
            "keep: is missing; it must be a whole number from 0 to 9007199254740991"
        );
        assert_eq!(message::<SessionRequest>(r#"{"kee": ""}"#), "the field `kee` is not known; did you mean `key`?");
        let long = message::<SubmitRequest>(&json!({"s3_prefix": ["a".repeat(1000)]}).to_string());
        assert!(long.len() < 200 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn a_refused_parameter_has_its_value_and_what_is_allowed() {
        let error = |schema: Value, text: &str| check_parameter("n", text, &schema).unwrap_err().into_body().message;
        let whole = json!({"type": "integer", "minimum": 1, "maximum": 100});
        for text in ["0", "101", "ten", "", "1.5", "99999999999999999999"] {
            assert_eq!(error(whole.clone(), text), format!("n: must be a whole number from 1 to 100, not `{text}`"));
        }
        check_parameter("n", "100", &whole).unwrap();
        let above = json!({"type": "integer", "minimum": 0});
        assert_eq!(error(above, "-1"), "n: must be a whole number of at least 0, not `-1`");
        let score = json!({"type": "number", "minimum": -1, "maximum": 1});
        for text in ["2", "-1.1", "NaN", "high"] {
            assert_eq!(error(score.clone(), text), format!("n: must be a number from -1 to 1, not `{text}`"));
        }
        check_parameter("n", "-0.5", &score).unwrap();
        let flag = json!({"type": "boolean"});
        assert_eq!(error(flag.clone(), "yes"), "n: must be true or false, not `yes`");
        check_parameter("n", "true", &flag).unwrap();
        let id = json!({"type": "string", "format": "uuid"});
        assert_eq!(error(id, "s3://b/k"), "n: must be an id (UUID), not `s3://b/k`");
    }
}
