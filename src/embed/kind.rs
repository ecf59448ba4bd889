//! The embedding providers by name, and the settings that each of them uses.

use serde::{Deserialize, Serialize};

use super::EmbedSettings;
use super::local::{BUILT_IN, Engine, EngineKind};
use crate::domain::Endpoint;
use crate::domain::setting::keyword;
use crate::http::bearer;

/// The kind of embedding provider (`IMAGE_EMBEDDING_PROVIDER`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum ProviderKind {
    /// A model in this process.
    Local,
    /// A service with the API of `ai4all/clip`.
    Clip,
    /// A service with OpenAI's `/embeddings`, for images too.
    OpenAi,
    /// Weaviate's multi2vec-clip-inference.
    Multi2Vec,
    /// Ollama: its vision model writes captions, its text model makes the vectors of the captions.
    Ollama,
}

impl ProviderKind {
    /// Returns the name that settings, errors and logs use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Clip => "clip",
            Self::OpenAi => "openai",
            Self::Multi2Vec => "multi2vec",
            Self::Ollama => "ollama",
        }
    }
}

impl TryFrom<String> for ProviderKind {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        match keyword(&name).as_str() {
            "local" => Ok(Self::Local),
            "clip" => Ok(Self::Clip),
            "openai" => Ok(Self::OpenAi),
            "multi2vec" => Ok(Self::Multi2Vec),
            "ollama" | "llava" => Ok(Self::Ollama),
            _ => Err("it must be `local`, `clip`, `openai`, `multi2vec` or `ollama`"),
        }
    }
}

impl From<ProviderKind> for &'static str {
    fn from(kind: ProviderKind) -> Self {
        kind.name()
    }
}

impl EmbedSettings {
    /// Returns the address of the service. `None` for a model in this process; otherwise, [`Self::validate`] fails if there is
    /// none.
    pub fn service_url(&self) -> Option<&Endpoint> {
        match self.image_embedding_provider {
            ProviderKind::Local => None,
            ProviderKind::Ollama => Some(&self.ollama_base_url),
            ProviderKind::Clip | ProviderKind::OpenAi | ProviderKind::Multi2Vec => {
                self.clip_url.as_ref().or(self.clip_endpoint.as_ref())
            }
        }
    }

    fn validate_url(&self) -> Result<(), String> {
        let kind = self.image_embedding_provider;
        if matches!(kind, ProviderKind::Local | ProviderKind::Ollama) {
            return Ok(());
        }
        match (&self.clip_url, &self.clip_endpoint) {
            (None, None) => Err(format!(
                "IMAGE_EMBEDDING_PROVIDER is `{}`, but CLIP_URL is empty; set it to the URL of the service, such as \
                 http://127.0.0.1:8000",
                kind.name()
            )),
            (Some(url), Some(endpoint)) if url != endpoint => Err(format!(
                "CLIP_URL is `{url}` and CLIP_ENDPOINT is `{endpoint}`, but they are one setting; set CLIP_URL and leave \
                 CLIP_ENDPOINT empty"
            )),
            _ => Ok(()),
        }
    }

    /// Returns the settings that have no effect with this provider or model, each with the reason.
    pub fn unused(&self) -> Vec<(&'static str, String)> {
        let kind = self.image_embedding_provider;
        let names: &[&str] = match kind {
            ProviderKind::Local => &["CLIP_URL", "CLIP_ENDPOINT", "CLIP_API_KEY"],
            ProviderKind::Clip | ProviderKind::OpenAi | ProviderKind::Multi2Vec => {
                &["CLIP_PRECISION", "CLIP_ENGINE", "CLIP_DEVICE", "ORT_DYLIB_PATH"]
            }
            ProviderKind::Ollama => &[
                "CLIP_URL",
                "CLIP_ENDPOINT",
                "CLIP_MODEL",
                "CLIP_PRECISION",
                "CLIP_ENGINE",
                "CLIP_DEVICE",
                "ORT_DYLIB_PATH",
            ],
        };
        let ollama: &[&str] = match kind {
            ProviderKind::Ollama => &[],
            _ => &["OLLAMA_BASE_URL", "OLLAMA_VISION_MODEL", "OLLAMA_MODEL"],
        };
        let names = names.iter().chain(ollama);
        let reason = || format!("IMAGE_EMBEDDING_PROVIDER is `{}`", kind.name());
        let mut unused: Vec<_> = names.map(|name| (*name, reason())).collect();
        if kind == ProviderKind::Local && self.clip_model == BUILT_IN {
            unused.push(("CLIP_PRECISION", format!("CLIP_MODEL is `{BUILT_IN}`, which has one precision")));
        }
        if kind == ProviderKind::Local && self.clip_engine == EngineKind::Rten {
            unused.push(("ORT_DYLIB_PATH", "CLIP_ENGINE is `rten`".to_owned()));
        }
        unused
    }

    /// Returns the model to request from the service, or the label of its space.
    pub fn service_model(&self) -> String {
        // The default names the built-in model, which only `glimpse clip` has. Requests to `openai` name the model.
        let is_label = self.clip_model == BUILT_IN && self.image_embedding_provider != ProviderKind::OpenAi;
        if is_label { self.image_embedding_provider.name().to_owned() } else { self.clip_model.clone() }
    }

    /// Checks that the settings do not contradict each other.
    ///
    /// # Errors
    /// A message that names the setting and the allowed values.
    pub fn validate(&self) -> Result<(), String> {
        self.validate_url()?;
        if self.image_embedding_provider == ProviderKind::Local {
            Engine::from_settings(self).validate()?;
        }
        bearer(&self.clip_api_key).map_err(|what| format!("CLIP_API_KEY {what}"))?;
        for (name, model) in [("OLLAMA_MODEL", &self.ollama_model), ("OLLAMA_VISION_MODEL", &self.ollama_vision_model)]
        {
            if model.trim().is_empty() {
                return Err(format!("{name} is empty; set it to the name of a model that Ollama has"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    fn settings(provider: &str, url: &str, endpoint: &str) -> EmbedSettings {
        EmbedSettings {
            image_embedding_provider: provider.to_owned().try_into().unwrap(),
            clip_model: if provider == "local" { BUILT_IN } else { "ViT-B/32" }.to_owned(),
            clip_url: url.parse().ok(),
            clip_endpoint: endpoint.parse().ok(),
            ..EmbedSettings::default()
        }
    }

    #[test]
    fn each_provider_has_its_url() {
        for provider in ["clip", "openai", "multi2vec"] {
            for settings in [
                settings(provider, "http://h", ""),
                settings(provider, "", "http://h"),
                settings(provider, "http://h", "http://h"),
            ] {
                settings.validate().unwrap();
                assert_eq!(settings.service_url().unwrap().as_str(), "http://h");
                assert_eq!(settings.image_embedding_provider.name(), provider);
                assert_eq!(settings.service_model(), "ViT-B/32");
            }
        }
        for provider in ["ollama", "llava"] {
            assert_eq!(settings(provider, "", "").service_url().unwrap().as_str(), "http://127.0.0.1:11434");
            assert_eq!(settings(provider, "", "").image_embedding_provider, ProviderKind::Ollama);
        }
    }

    #[test]
    fn an_error_names_the_missing_or_wrong_setting() {
        let error = |settings: EmbedSettings| settings.validate().unwrap_err();
        for provider in ["clip", "openai", "multi2vec"] {
            let missing = error(settings(provider, "", ""));
            assert!(missing.contains("CLIP_URL") && missing.contains(provider), "{missing}");
        }
        assert!(error(settings("clip", "http://a", "http://b")).contains("CLIP_ENDPOINT"));
        let key = EmbedSettings { clip_api_key: Secret::new("hush\n"), ..settings("clip", "http://h", "") };
        assert!(error(key.clone()).contains("CLIP_API_KEY") && !error(key).contains("hush"));
        let nameless = EmbedSettings { ollama_model: " ".to_owned(), ..settings("ollama", "", "") };
        assert!(error(nameless).contains("OLLAMA_MODEL"));
    }

    #[test]
    fn the_default_model_is_not_used_as_a_label() {
        let model = |provider| {
            EmbedSettings { clip_model: BUILT_IN.to_owned(), ..settings(provider, "http://h", "") }.service_model()
        };
        assert_eq!((&*model("clip"), &*model("openai")), ("clip", BUILT_IN));
    }
}
