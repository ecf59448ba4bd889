//! Where the hub is, where its cache is, and who asks. The names are those of Hugging Face's own tools.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::Secret;

/// The settings of the hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HubSettings {
    /// `HF_ENDPOINT`: the hub or a mirror of it; `https://huggingface.co` by default.
    pub hf_endpoint: String,
    /// `HF_HOME`: the folder whose `hub` is the cache; empty (default): `.cache/huggingface` in the home folder.
    pub hf_home: String,
    /// `HF_HUB_OFFLINE`: use what is in the cache and ask nobody; false by default.
    pub hf_hub_offline: bool,
    /// `HF_TOKEN`: for repositories that are not public; none by default.
    pub hf_token: Secret,
}

impl Default for HubSettings {
    fn default() -> Self {
        Self {
            hf_endpoint: "https://huggingface.co".to_owned(),
            hf_home: String::new(),
            hf_hub_offline: false,
            hf_token: Secret::default(),
        }
    }
}

impl HubSettings {
    /// The folder whose `hub` is the cache.
    ///
    /// # Errors
    /// A sentence that names the setting, where no home folder is known.
    pub fn home(&self) -> Result<PathBuf, String> {
        if !self.hf_home.is_empty() {
            return Ok(PathBuf::from(&self.hf_home));
        }
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        let home = home.ok_or("there is no home folder for downloaded models; set HF_HOME to a folder")?;
        Ok(home.join(".cache").join("huggingface"))
    }

    /// The hub's address.
    ///
    /// # Errors
    /// A sentence that names the setting and what is allowed.
    pub fn endpoint(&self) -> Result<reqwest::Url, String> {
        let wrong = || format!("HF_ENDPOINT is `{}`; it must be a URL such as https://host", self.hf_endpoint);
        let url = reqwest::Url::parse(&self.hf_endpoint).map_err(|_| wrong())?;
        let plain = matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.query().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        if plain && anonymous { Ok(url) } else { Err(wrong()) }
    }

    /// Checks what can be checked without asking anyone.
    ///
    /// # Errors
    /// A sentence that names the setting and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        self.endpoint().map(|_| ())
    }
}
