//! Settings of the hub, its cache and the token. The names are those of Hugging Face's own tools.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::token::is_token;
use crate::domain::{Endpoint, Secret};

/// The settings of the hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HubSettings {
    /// `HF_ENDPOINT`: the hub or a mirror of it; `https://huggingface.co` by default.
    pub hf_endpoint: Endpoint,
    /// `HF_HOME`: the folder that contains `hub`, the cache, and `token`, the stored login; empty (default):
    /// `huggingface` in `XDG_CACHE_HOME`.
    pub hf_home: String,
    /// `XDG_CACHE_HOME`: the folder of all caches; empty (default): `.cache` in the home folder.
    pub xdg_cache_home: String,
    /// `HF_HUB_CACHE`: the cache of models; empty (default): `hub` in `HF_HOME`.
    pub hf_hub_cache: String,
    /// `HUGGINGFACE_HUB_CACHE`: the older name of `HF_HUB_CACHE`; empty by default.
    pub huggingface_hub_cache: String,
    /// `HF_HUB_OFFLINE`: use only the cache and make no network calls; false by default.
    pub hf_hub_offline: bool,
    /// `HF_TOKEN`: token for repositories that are not public; empty (default): the stored login, if there is one.
    pub hf_token: Secret,
    /// `HUGGING_FACE_HUB_TOKEN`: the older name of `HF_TOKEN`; empty by default.
    pub hugging_face_hub_token: Secret,
    /// `HF_TOKEN_PATH`: the file of the stored login (`hf auth login`); empty (default): `token` in `HF_HOME`.
    pub hf_token_path: String,
    /// `HF_HUB_DISABLE_IMPLICIT_TOKEN`: never send a token to the hub; false by default.
    pub hf_hub_disable_implicit_token: bool,
}

impl Default for HubSettings {
    fn default() -> Self {
        Self {
            hf_endpoint: Endpoint::from_static("https://huggingface.co"),
            hf_home: String::new(),
            xdg_cache_home: String::new(),
            hf_hub_cache: String::new(),
            huggingface_hub_cache: String::new(),
            hf_hub_offline: false,
            hf_token: Secret::default(),
            hugging_face_hub_token: Secret::default(),
            hf_token_path: String::new(),
            hf_hub_disable_implicit_token: false,
        }
    }
}

impl HubSettings {
    /// Returns the folder of the cache and of the stored login.
    ///
    /// # Errors
    /// A message that names the setting, if the home folder is not known.
    pub fn home(&self) -> Result<PathBuf, String> {
        if !self.hf_home.is_empty() {
            return Ok(expand_path(&self.hf_home));
        }
        let caches = self.caches().ok_or("no home folder is known for downloaded models; set HF_HOME to a folder")?;
        Ok(caches.join("huggingface"))
    }

    /// Returns the folder of all caches, if the home folder is known.
    pub fn caches(&self) -> Option<PathBuf> {
        if self.xdg_cache_home.is_empty() {
            return Some(home()?.join(".cache"));
        }
        Some(expand_path(&self.xdg_cache_home))
    }

    /// Returns the folder of the cache.
    ///
    /// # Errors
    /// As [`HubSettings::home`].
    pub fn cache(&self) -> Result<PathBuf, String> {
        match [&self.hf_hub_cache, &self.huggingface_hub_cache].into_iter().find(|folder| !folder.is_empty()) {
            Some(folder) => Ok(expand_path(folder)),
            None => Ok(self.home()?.join("hub")),
        }
    }

    /// Returns the path of the stored login.
    ///
    /// # Errors
    /// As [`HubSettings::home`].
    pub fn token_path(&self) -> Result<PathBuf, String> {
        if self.hf_token_path.is_empty() {
            Ok(self.home()?.join("token"))
        } else {
            Ok(expand_path(&self.hf_token_path))
        }
    }

    /// Checks the settings without a network call.
    ///
    /// # Errors
    /// A message that names the setting and the allowed values.
    pub fn validate(&self) -> Result<(), String> {
        for (name, token) in [("HF_TOKEN", &self.hf_token), ("HUGGING_FACE_HUB_TOKEN", &self.hugging_face_hub_token)] {
            if !is_token(token.reveal().trim()) {
                return Err(format!("{name} contains characters that are not allowed in a token; set it to the token"));
            }
        }
        Ok(())
    }
}

/// Expands a path like a shell: `~` is the home folder, `$NAME` and `${NAME}` are environment variables. Unknown
/// variables are not changed. Needed because no shell reads the environment files of service managers and compose.
pub(in crate::embed) fn expand_path(path: &str) -> PathBuf {
    expand(path, home().as_deref(), |name| std::env::var_os(name)?.into_string().ok())
}

fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty())
}

fn expand(path: &str, home: Option<&Path>, variable: impl Fn(&str) -> Option<String>) -> PathBuf {
    let mut text = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, length) = if let Some((name, _)) = braced {
            (name, name.len() + 2)
        } else {
            let end = after.find(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
            let name = &after[..end.unwrap_or(after.len())];
            (name, name.len())
        };
        match variable(name).filter(|_| !name.is_empty()) {
            Some(value) => text.push_str(&value),
            None => text.push_str(&rest[at..=at + length]),
        }
        rest = &after[length..];
    }
    text.push_str(rest);
    match (text.strip_prefix('~'), home) {
        (Some(below), Some(home)) if below.is_empty() || below.starts_with('/') => {
            home.join(below.trim_start_matches('/'))
        }
        _ => PathBuf::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_folder_and_variables_are_expanded() {
        let variable = |name: &str| (name == "DATA").then(|| "/data".to_owned());
        for (path, expected) in [
            ("~", "/home/me/"),
            ("~/clip", "/home/me/clip"),
            ("~//clip", "/home/me/clip"),
            ("~other/clip", "~other/clip"),
            ("a/~/b", "a/~/b"),
            ("$DATA/hf", "/data/hf"),
            ("${DATA}hf", "/datahf"),
            ("/x/$NONE/$", "/x/$NONE/$"),
            ("${NONE}/${", "${NONE}/${"),
            ("$DATA$DATA", "/data/data"),
            ("/é/$é", "/é/$é"),
        ] {
            assert_eq!(expand(path, Some(Path::new("/home/me")), variable), PathBuf::from(expected), "{path}");
        }
        assert_eq!(expand("~/clip", None, variable), PathBuf::from("~/clip"));
    }

    #[test]
    fn the_folders_are_those_of_the_hubs_own_tools() {
        let folders = |home: &str, xdg: &str, cache: &str, old: &str| HubSettings {
            hf_home: home.to_owned(),
            xdg_cache_home: xdg.to_owned(),
            hf_hub_cache: cache.to_owned(),
            huggingface_hub_cache: old.to_owned(),
            ..HubSettings::default()
        };
        for (settings, cache, token) in [
            (folders("/hf", "/xdg", "", ""), "/hf/hub", "/hf/token"),
            (folders("", "/xdg", "", ""), "/xdg/huggingface/hub", "/xdg/huggingface/token"),
            (folders("/hf", "", "/models", "/old"), "/models", "/hf/token"),
            (folders("/hf", "", "", "/old"), "/old", "/hf/token"),
        ] {
            assert_eq!(settings.cache(), Ok(PathBuf::from(cache)));
            assert_eq!(settings.token_path(), Ok(PathBuf::from(token)));
        }
        let with_token_path = HubSettings { hf_token_path: "/secrets/hf".to_owned(), ..folders("/hf", "", "", "") };
        assert_eq!(with_token_path.token_path(), Ok(PathBuf::from("/secrets/hf")));
    }

    #[test]
    fn a_token_with_invalid_characters_is_refused_and_not_repeated() {
        let settings = HubSettings { hf_token: Secret::new("hf_h\u{e9}\nhush"), ..HubSettings::default() };
        let error = settings.validate().unwrap_err();
        assert!(error.contains("HF_TOKEN") && !error.contains("hush"), "{error}");
        HubSettings { hf_token: Secret::new("hf_token\n"), ..HubSettings::default() }.validate().unwrap();
    }
}
