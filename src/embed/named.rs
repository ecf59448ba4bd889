//! A provider that is configured beside the settings without a name: `CLIP_URL_<NAME>` and the like.

use super::ProviderKind;
use super::local::BUILT_IN;
use crate::domain::{Endpoint, Seconds, Secret};
use crate::http::bearer;

/// The settings of a named provider, which is always a service. Everything else is as for the provider without a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedProviderSettings {
    /// `IMAGE_EMBEDDING_PROVIDER_<NAME>`: `clip` (default), `openai` or `multi2vec`.
    pub kind: ProviderKind,
    /// `CLIP_URL_<NAME>`: the URL of the service.
    pub url: Endpoint,
    /// `CLIP_MODEL_<NAME>`: as `CLIP_MODEL`; by default the name of the kind.
    pub model: Option<String>,
    /// `CLIP_API_KEY_<NAME>`: sent to the service as a bearer token; empty (default): none is sent.
    pub key: Secret,
    /// `CLIP_TIMEOUT_<NAME>`: timeout in seconds of a call; that of `CLIP_TIMEOUT` by default.
    pub timeout: Option<Seconds>,
}

impl NamedProviderSettings {
    /// Returns the model to request from the service, or the label of its space.
    pub fn model(&self) -> &str {
        self.model.as_deref().unwrap_or_else(|| self.kind.name())
    }

    /// Checks that the settings do not contradict each other.
    ///
    /// # Errors
    /// A message that names the setting and the allowed values.
    pub fn validate(&self, name: &str) -> Result<(), String> {
        let name = name.to_uppercase();
        match (self.kind, &self.model) {
            (ProviderKind::Local | ProviderKind::Ollama, _) => {
                return Err(format!(
                    "IMAGE_EMBEDDING_PROVIDER_{name} is `{}`; it must be `clip`, `openai` or `multi2vec`",
                    self.kind.name()
                ));
            }
            (ProviderKind::OpenAi, None) => {
                return Err(format!("CLIP_MODEL_{name} is empty; set it to the name of a model of the service"));
            }
            (ProviderKind::OpenAi | ProviderKind::Clip | ProviderKind::Multi2Vec, Some(model)) if model == BUILT_IN => {
                return Err(format!("CLIP_MODEL_{name} is `{BUILT_IN}`, which only this process has"));
            }
            (ProviderKind::Clip | ProviderKind::OpenAi | ProviderKind::Multi2Vec, _) => {}
        }
        bearer(&self.key).map(drop).map_err(|what| format!("CLIP_API_KEY_{name} {what}"))
    }
}
