//! Reads the file of known answers, which has three possible forms.

use serde_json::{Map, Value};

/// A query and the keys of the images that are right answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownAnswer {
    pub(super) query: String,
    pub(super) answers: Vec<String>,
}

/// Reads one group of queries, or a captions file.
pub(super) fn read(text: &str, group: &str) -> Result<Vec<KnownAnswer>, String> {
    let file: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let known: Vec<_> = match &file {
        Value::Array(entries) => entries.iter().map(from_entry).collect::<Result<_, _>>()?,
        Value::Object(file) => match file.get(group) {
            Some(Value::Object(queries)) => from_queries(queries)?,
            _ if file.values().all(Value::is_array) => from_captions(file)?,
            _ => return Err(no_group(file, group)),
        },
        _ => return Err("it must be an object: {\"queries\": {\"a cat\": [\"cat.jpg\"]}}".to_owned()),
    };
    if known.is_empty() { Err("it contains no query".to_owned()) } else { Ok(known) }
}

fn from_queries(queries: &Map<String, Value>) -> Result<Vec<KnownAnswer>, String> {
    let known = |(query, answers): (&String, &Value)| {
        Ok(KnownAnswer { query: query.clone(), answers: strings(query, answers)?.map(str::to_owned).collect() })
    };
    queries.iter().map(known).collect()
}

/// Reads a captions file: each caption is a query, and its file is the right answer.
fn from_captions(files: &Map<String, Value>) -> Result<Vec<KnownAnswer>, String> {
    let mut known = Vec::new();
    for (file, captions) in files {
        for caption in strings(file, captions)? {
            known.push(KnownAnswer { query: caption.to_owned(), answers: vec![file.clone()] });
        }
    }
    Ok(known)
}

/// Reads an entry of a list of files with their captions.
fn from_entry(entry: &Value) -> Result<KnownAnswer, String> {
    match (entry["caption"].as_str(), entry["file"].as_str()) {
        (Some(caption), Some(file)) => Ok(KnownAnswer { query: caption.to_owned(), answers: vec![file.to_owned()] }),
        _ => Err(format!("each entry must be {{\"file\": \"cat.jpg\", \"caption\": \"a cat\"}}, not {entry}")),
    }
}

fn strings<'a>(name: &str, list: &'a Value) -> Result<impl Iterator<Item = &'a str>, String> {
    let wrong = || format!("`{name}` must be a list of strings");
    let list = list.as_array().ok_or_else(wrong)?;
    if !list.iter().all(Value::is_string) {
        return Err(wrong());
    }
    Ok(list.iter().filter_map(Value::as_str))
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

    fn known(query: &str, answers: &[&str]) -> KnownAnswer {
        KnownAnswer { query: query.into(), answers: answers.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn each_form_can_be_read() {
        let queries = r#"{"note": "n", "queries": {"a cat": ["cat.jpg", "b/c.jpg"]}, "hard": {"an eye": ["e.jpg"]}}"#;
        assert_eq!(read(queries, "queries").unwrap(), [known("a cat", &["cat.jpg", "b/c.jpg"])]);
        assert_eq!(read(queries, "hard").unwrap(), [known("an eye", &["e.jpg"])]);
        let captions = r#"{"a.jpg": ["one", "two"], "b.jpg": ["one"]}"#;
        let expected = [known("one", &["a.jpg"]), known("two", &["a.jpg"]), known("one", &["b.jpg"])];
        assert_eq!(read(captions, "queries").unwrap(), expected);
        assert_eq!(read(include_str!("../../../demo/queries.json"), "hard").unwrap().len(), 17);
        assert_eq!(read(include_str!("../../../demo/captions.json"), "queries").unwrap().len(), 26);
    }

    #[test]
    fn other_files_are_refused_with_a_reason() {
        for (text, expected) in [
            ("[", "not JSON"),
            ("7", "must be an object"),
            ("[]", "no query"),
            (r#"[{"file": "a.jpg"}]"#, "each entry must be"),
            ("{}", "no query"),
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
