//! The parsed reply of `GET /metrics`.

use std::collections::BTreeMap;

/// The metrics of a service: each family with its kind, and each series with its value.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) text: String,
    pub(super) kinds: BTreeMap<String, String>,
    pub(super) series: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Scrape {
    pub(super) fn parse(text: String) -> Self {
        let (mut kinds, mut series) = (BTreeMap::new(), Vec::new());
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(typed) = line.strip_prefix("# TYPE ") {
                let (name, kind) = typed.split_once(' ').unwrap();
                assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = name.split_once('{').unwrap_or((name, ""));
                let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty()).map(|label| {
                    let (key, value) = label.split_once("=\"").unwrap();
                    (key.to_owned(), value.trim_end_matches('"').to_owned())
                });
                series.push((name.to_owned(), labels.collect(), value.parse().unwrap()));
            }
        }
        Self { text, kinds, series }
    }

    /// Returns the family that a series belongs to.
    pub(super) fn family<'a>(&self, series: &'a str) -> &'a str {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end));
        base.filter(|base| self.kinds.get(*base).is_some_and(|kind| kind == "histogram")).unwrap_or(series)
    }

    /// Returns the sum of all series of this name that have these labels.
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has_labels = |own: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| own.get(*key).is_some_and(|own| own == value))
        };
        let mut found = self.series.iter().filter(|(own, labels, _)| own == name && has_labels(labels)).peekable();
        found.peek()?;
        Some(found.map(|(_, _, value)| value).sum())
    }

    pub(super) fn assert_value(&self, name: &str, labels: &[(&str, &str)], expected: f64) {
        let found = self.value(name, labels);
        assert!(found.is_some_and(|found| (found - expected).abs() < 1e-9), "{name}{labels:?}: {found:?}");
    }
}
