//! Providers with a name: `CLIP_URL_<NAME>`, `CLIP_MODEL_<NAME>` and the like. A provider exists if its URL is set.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::variables::{self, Variables};
use crate::domain::setting::check_range;
use crate::domain::{DEFAULT_PROVIDER, Endpoint, Seconds, Secret};
use crate::embed::NamedProviderSettings;

/// Maximum number of providers.
const MAX_PROVIDERS: usize = 8;
/// Maximum length of a name, in bytes.
const MAX_NAME_BYTES: usize = 32;
/// Names with another meaning: in requests, or as the end of the name of a variable.
const RESERVED: [&str; 4] = [DEFAULT_PROVIDER, "local", "file", "url"];

/// The variable of the URL, and those that belong to it.
const URL: &str = "clip_url_";
const PREFIXES: [&str; 5] = [URL, "clip_model_", "clip_api_key_", "clip_timeout_", "image_embedding_provider_"];
/// The beginning of the names of secrets.
const KEY: &str = "clip_api_key_";
/// The end of the name of a variable that names a file with a secret.
const FILE: &str = "_file";

/// The variables of one provider, without their names.
#[derive(Deserialize)]
struct Fields {
    clip_url: Option<Endpoint>,
    clip_model: Option<String>,
    #[serde(default)]
    clip_api_key: Secret,
    #[serde(default, deserialize_with = "timeout")]
    clip_timeout: Option<Seconds>,
    image_embedding_provider: Option<String>,
}

fn timeout<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Seconds>, D::Error> {
    check_range::<_, _, 1, 3600>(deserializer).map(Some)
}

/// Splits the name of a variable into its beginning and the lower-case name of the provider. `None` if it is another variable.
fn split(variable: &str) -> Option<(&'static str, String)> {
    let variable = variable.to_lowercase();
    let (prefix, name) = PREFIXES.iter().find_map(|prefix| Some((*prefix, variable.strip_prefix(prefix)?)))?;
    let name = name.strip_suffix(FILE).filter(|_| prefix == KEY).unwrap_or(name);
    let is_name = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && name.len() <= MAX_NAME_BYTES
        && !RESERVED.contains(&name);
    is_name.then(|| (prefix, name.to_owned()))
}

/// Whether the variable belongs to a named provider.
pub(super) fn is_variable(variable: &str) -> bool {
    split(variable).is_some()
}

/// Returns the name of the variable with the URL of the provider that the variable belongs to.
pub(super) fn url_variable(variable: &str) -> Option<String> {
    split(variable).map(|(_, name)| format!("{URL}{name}").to_uppercase())
}

/// Whether the value of the variable is a secret.
pub(super) fn is_secret(variable: &str) -> bool {
    variable.to_lowercase().starts_with(KEY)
}

/// Returns the names of the secrets of named providers whose values are in files.
pub(super) fn secrets_in_files(variables: &Variables) -> Vec<String> {
    let files = variables.keys().filter_map(|name| name.strip_suffix(FILE));
    files.filter(|name| is_secret(name) && is_variable(name)).map(str::to_uppercase).collect()
}

/// Takes the variables of the named providers out of the others, and returns the providers. Appends a message to `errors` for
/// each value that cannot be used.
pub(super) fn take(
    variables: &mut Variables,
    errors: &mut Vec<String>,
) -> Result<BTreeMap<String, NamedProviderSettings>, serde::de::value::Error> {
    let mut parts: BTreeMap<String, Variables> = BTreeMap::new();
    let names: Vec<String> = variables.keys().filter(|name| is_variable(name)).cloned().collect();
    for variable in names {
        if let (Some((prefix, name)), Some(value)) = (split(&variable), variables.remove(&variable)) {
            parts.entry(name).or_default().insert(prefix.trim_end_matches('_').to_owned(), value);
        }
    }
    // Without a URL, they have no effect; a warning says so.
    parts.retain(|_, part| part.contains_key("clip_url"));
    if parts.len() > MAX_PROVIDERS {
        errors.push(format!(
            "{} providers have a name (CLIP_URL_<NAME>); at most {MAX_PROVIDERS} are possible",
            parts.len()
        ));
    }
    let mut providers = BTreeMap::new();
    for (name, part) in parts {
        let mut own = Vec::new();
        let fields: Fields = variables::read(&part, &mut own)?;
        let kind = fields.image_embedding_provider.unwrap_or_else(|| "clip".to_owned());
        match (kind.clone().try_into(), fields.clip_url) {
            (Ok(kind), Some(url)) => {
                let (model, key, timeout) = (fields.clip_model, fields.clip_api_key, fields.clip_timeout);
                let provider = NamedProviderSettings { kind, url, model, key, timeout };
                own.extend(provider.validate(&name).err());
                providers.insert(name.clone(), provider);
            }
            (Err(reason), _) => own.push(format!("IMAGE_EMBEDDING_PROVIDER is `{kind}`; {reason}")),
            // The error of its value is in the list.
            (Ok(_), None) => {}
        }
        errors.extend(own.into_iter().map(|message| named(&message, &name)));
    }
    Ok(providers)
}

/// Returns a message about a variable, which begins with its name, with the name of the provider.
fn named(message: &str, provider: &str) -> String {
    let (variable, rest) = message.split_once(' ').unwrap_or((message, ""));
    let end = format!("_{}", provider.to_uppercase());
    if variable.ends_with(&end) { message.to_owned() } else { format!("{variable}{end} {rest}") }
}

#[cfg(test)]
mod tests {
    use crate::config::Settings;

    fn error_of(pairs: &[(&str, &str)]) -> String {
        Settings::from_variables(pairs.iter().copied()).unwrap_err().to_string()
    }

    #[test]
    fn a_url_with_a_name_makes_a_provider() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "hush\n").unwrap();
        let settings = Settings::from_variables([
            ("CLIP_URL_NEW", "http://new:8000"),
            ("CLIP_URL_BIG_ONE", "http://big:8000"),
            ("CLIP_MODEL_BIG_ONE", "big"),
            ("CLIP_API_KEY_BIG_ONE_FILE", file.to_str().unwrap()),
            ("CLIP_TIMEOUT_BIG_ONE", "7"),
            ("IMAGE_EMBEDDING_PROVIDER_BIG_ONE", "openai"),
            ("CLIP_MODEL_OTHER", "no URL"),
        ])
        .unwrap();
        let names: Vec<&String> = settings.named_providers.keys().collect();
        assert_eq!(names, ["big_one", "new"]);
        let (new, big) = (&settings.named_providers["new"], &settings.named_providers["big_one"]);
        assert_eq!((new.kind.name(), new.model(), new.url.as_str()), ("clip", "clip", "http://new:8000"));
        assert_eq!((big.kind.name(), big.model(), big.key.reveal()), ("openai", "big", "hush"));
        assert_eq!(big.timeout.unwrap().duration().as_secs(), 7);
        assert_eq!(settings.embed, Settings::default().embed);
    }

    #[test]
    fn errors_name_the_variable_and_no_secret() {
        for (variables, parts) in [
            (vec![("CLIP_URL_A", "a:8000")], vec!["CLIP_URL_A is `a:8000`", "http://"]),
            (vec![("CLIP_URL_A", "http://a"), ("CLIP_TIMEOUT_A", "0")], vec!["CLIP_TIMEOUT_A is `0`", "1 and 3600"]),
            (
                vec![("CLIP_URL_A", "http://a"), ("IMAGE_EMBEDDING_PROVIDER_A", "ollama")],
                vec!["IMAGE_EMBEDDING_PROVIDER_A is `ollama`", "`multi2vec`"],
            ),
            (
                vec![("CLIP_URL_A", "http://a"), ("IMAGE_EMBEDDING_PROVIDER_A", "torch")],
                vec!["IMAGE_EMBEDDING_PROVIDER_A is `torch`", "`multi2vec`"],
            ),
            (vec![("CLIP_URL_A", "http://a"), ("IMAGE_EMBEDDING_PROVIDER_A", "openai")], vec!["CLIP_MODEL_A is empty"]),
        ] {
            let error = error_of(&variables);
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
        let error = error_of(&[("CLIP_URL_A", "http://a"), ("CLIP_API_KEY_A", "hush\n")]);
        assert!(error.contains("CLIP_API_KEY_A") && !error.contains("hush"), "{error}");
        let many: Vec<(String, String)> =
            (0..9).map(|number| (format!("CLIP_URL_N{number}"), "http://n".to_owned())).collect();
        assert!(Settings::from_variables(many).unwrap_err().to_string().contains("at most 8"));
    }
}
