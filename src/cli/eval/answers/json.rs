//! Reads a JSON file of known answers, which has one of five forms.

use serde_json::{Map, Value};

use super::KnownQuery;

/// Reads one set of queries, a list of queries, or captions.
pub(super) fn read(text: &str, group: &str) -> Result<Vec<KnownQuery>, String> {
    let file: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    match &file {
        Value::Array(entries) => entries.iter().map(from_entry).collect(),
        Value::Object(file) => match file.get(group) {
            Some(Value::Object(queries)) => from_queries(queries),
            // Also the body of `PUT /collections/{name}/calibration`.
            Some(Value::Array(entries)) if entries.iter().any(Value::is_object) => {
                entries.iter().map(from_entry).collect()
            }
            _ if file.values().all(Value::is_array) => from_captions(file),
            _ => Err(no_group(file, group)),
        },
        _ => Err("it must be an object: {\"queries\": {\"a cat\": [\"cat.jpg\"]}}".to_owned()),
    }
}

fn from_queries(queries: &Map<String, Value>) -> Result<Vec<KnownQuery>, String> {
    queries.iter().map(|(query, answers)| Ok(known(query, strings(query, answers)?))).collect()
}

/// Reads captions: each caption is a query, and its file is the right answer.
fn from_captions(files: &Map<String, Value>) -> Result<Vec<KnownQuery>, String> {
    let mut queries = Vec::new();
    for (file, captions) in files {
        queries.extend(strings(file, captions)?.iter().map(|caption| known(caption, vec![file.clone()])));
    }
    Ok(queries)
}

/// Reads an entry of a list: a query with its answers, or a file with its caption. Other texts and numbers of the entry
/// are its fields.
fn from_entry(entry: &Value) -> Result<KnownQuery, String> {
    let wrong = || {
        format!(
            "each entry must be {{\"query\": \"a cat\", \"answers\": [\"cat.jpg\"]}} (or `text` for `query`) or {{\"file\": \"cat.jpg\", \
             \"caption\": \"a cat\"}}, not {entry}"
        )
    };
    let (text, answers, names) = match (&entry["query"], &entry["caption"], &entry["file"], &entry["text"]) {
        (Value::String(query), ..) => (query, strings("answers", &entry["answers"])?, ["query", "answers"]),
        (_, Value::String(caption), Value::String(file), _) => (caption, vec![file.clone()], ["caption", "file"]),
        (.., Value::String(text)) => (text, strings("answers", &entry["answers"])?, ["text", "answers"]),
        _ => return Err(wrong()),
    };
    let field = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Some((name.clone(), text.clone())),
        Value::Number(number) => Some((name.clone(), number.to_string())),
        _ => None,
    };
    let others = entry.as_object().into_iter().flatten().filter(|(name, _)| !names.contains(&name.as_str()));
    Ok(KnownQuery { fields: others.filter_map(field).collect(), ..known(text, answers) })
}

fn known(text: &str, answers: Vec<String>) -> KnownQuery {
    KnownQuery { text: text.to_owned(), answers, ..KnownQuery::default() }
}

fn strings(name: &str, list: &Value) -> Result<Vec<String>, String> {
    serde_json::from_value(list.clone()).map_err(|_| format!("`{name}` must be a list of strings"))
}

fn no_group(file: &Map<String, Value>, group: &str) -> String {
    let groups = file.iter().filter(|(_, value)| value.is_object()).map(|(name, _)| name.as_str());
    match groups.collect::<Vec<_>>().as_slice() {
        [] => format!("it has no group `{group}`, and it is not a captions file {{\"file\": [\"caption\", …]}}"),
        groups => format!("it has no group `{group}`; its groups are: {}", groups.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(query: &str, answers: &[&str]) -> KnownQuery {
        super::known(query, answers.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_form_can_be_read() {
        let queries = r#"{"note": "n", "queries": {"a cat": ["cat.jpg", "b/c.jpg"]}, "hard": {"an eye": ["e.jpg"]}}"#;
        assert_eq!(read(queries, "queries").unwrap(), [known("a cat", &["cat.jpg", "b/c.jpg"])]);
        assert_eq!(read(queries, "hard").unwrap(), [known("an eye", &["e.jpg"])]);
        let captions = r#"{"a.jpg": ["one", "two"], "b.jpg": ["one"]}"#;
        let expected = [known("one", &["a.jpg"]), known("two", &["a.jpg"]), known("one", &["b.jpg"])];
        assert_eq!(read(captions, "queries").unwrap(), expected);
        let body = r#"{"queries": [{"text": "a cat", "answers": ["cat.jpg"]}, {"text": "rent", "answers": []}]}"#;
        assert_eq!(read(body, "queries").unwrap(), [known("a cat", &["cat.jpg"]), known("rent", &[])]);
        assert_eq!(read(r#"{"queries": ["one"]}"#, "queries").unwrap(), [known("one", &["queries"])]);
        assert_eq!(read(include_str!("../../../../demo/queries.json"), "hard").unwrap().len(), 17);
        assert_eq!(read(include_str!("../../../../demo/captions.json"), "queries").unwrap().len(), 26);
    }

    #[test]
    fn a_list_can_have_fields() {
        let list = r#"[{"query": "a cat", "answers": ["a.jpg", "b.jpg"], "category": "animals", "page": 3, "ok": true},
            {"file": "c.jpg", "caption": "a car", "category": "things"}]"#;
        let read = read(list, "queries").unwrap();
        assert_eq!((read[0].text.as_str(), read[0].answers.len()), ("a cat", 2));
        let fields = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(read[0].fields, fields(&[("category", "animals"), ("page", "3")]));
        assert_eq!((read[1].text.as_str(), &read[1].fields), ("a car", &fields(&[("category", "things")])));
    }

    #[test]
    fn other_files_are_refused_with_a_reason() {
        for (text, expected) in [
            ("[", "not JSON"),
            ("7", "must be an object"),
            (r#"[{"file": "a.jpg"}]"#, "each entry must be"),
            (r#"[{"query": "a", "answers": "a.jpg"}]"#, "`answers` must be a list of strings"),
            (r#"{"queries": {"a": "b"}}"#, "`a` must be a list of strings"),
            (r#"{"a.jpg": [1]}"#, "`a.jpg` must be a list of strings"),
            (r#"{"hard": {}}"#, "its groups are: hard"),
            (r#"{"note": "n"}"#, "not a captions file"),
        ] {
            let error = read(text, "queries").unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
