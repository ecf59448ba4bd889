//! How the vector is made of a `last_hidden_state`, which has one row for each patch or token.

use serde_json::Value;

use super::OutputRule;
use super::descriptions::{Descriptions, POOLING};
use super::json::{given, quoted};

/// A rule of pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// The first row.
    First,
    /// The mean of the rows of all real tokens.
    Mean,
}

/// The keys of sentence-transformers, each with its rule.
const MODES: [(&str, Pooling); 2] =
    [("pooling_mode_mean_tokens", Pooling::Mean), ("pooling_mode_cls_token", Pooling::First)];

impl OutputRule {
    /// Replaces the pooling of a family by that of the file of sentence-transformers, if the model has it.
    pub(super) fn with_pooling_of(self, files: &Descriptions) -> Result<Self, String> {
        let (Some(_), Some(file)) = (self.hidden, files.get(POOLING)) else { return Ok(self) };
        let is_on = |value: &Value| *value == Value::Bool(true);
        let on: Vec<_> = file
            .iter()
            .filter(|(key, value)| key.starts_with("pooling_mode_") && is_on(value))
            .map(|(key, _)| &**key)
            .collect();
        let known = |key: &str| MODES.iter().find(|(name, _)| *name == key).map(|(_, pooling)| *pooling);
        if let Some(value) = given(file, "include_prompt").filter(|value| **value != Value::Bool(true)) {
            return Err(format!("{POOLING}: include_prompt is {}; only true is supported", quoted(value)));
        }
        match on[..] {
            [] => Ok(self),
            [one] if known(one).is_some() => Ok(Self { hidden: known(one), ..self }),
            _ => Err(format!(
                "{POOLING}: {} is true; it must be {} alone",
                on.join(" and "),
                MODES.map(|(name, _)| name).join(" or ")
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pooling_of_sentence_transformers_replaces_that_of_the_family() {
        let rule = OutputRule { pooler: false, hidden: Some(Pooling::Mean) };
        let read = |rule: OutputRule, json: &str| {
            let path = format!("text/{POOLING}");
            rule.with_pooling_of(&Descriptions::parse([(path, json.as_bytes().to_vec())])?).map(|rule| rule.hidden)
        };
        let cls = r#"{"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false}"#;
        assert_eq!(read(rule, cls), Ok(Some(Pooling::First)));
        assert_eq!(read(OutputRule::default(), cls), Ok(None));
        assert_eq!(read(rule, "{}"), Ok(Some(Pooling::Mean)));
        for (json, message) in [
            (r#"{"pooling_mode_max_tokens":true}"#, "1_Pooling/config.json: pooling_mode_max_tokens is true"),
            (
                r#"{"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":true}"#,
                "pooling_mode_cls_token and pooling_mode_mean_tokens is true",
            ),
            (r#"{"pooling_mode_mean_tokens":true,"include_prompt":false}"#, "include_prompt is false"),
        ] {
            let error = read(rule, json).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
