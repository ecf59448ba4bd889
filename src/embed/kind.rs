//! The embedding providers by name, and the settings that each of them uses.

use serde::{Deserialize, Serialize};

use super::EmbedSettings;
use super::local::BUILT_IN;
use crate::http::{bearer, parse_base_url};

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
        match name.as_str() {
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
    /// Returns the URL of the service; empty for a model in this process.
    pub fn service_url(&self) -> &str {
        self.named_url().1
    }

    fn named_url(&self) -> (&'static str, &str) {
        match self.image_embedding_provider {
            ProviderKind::Local => ("CLIP_URL", ""),
            ProviderKind::Ollama => ("OLLAMA_BASE_URL", &self.ollama_base_url),
            ProviderKind::Clip | ProviderKind::OpenAi | ProviderKind::Multi2Vec if self.clip_url.is_empty() => {
                ("CLIP_ENDPOINT", &self.clip_endpoint)
            }
            ProviderKind::Clip | ProviderKind::OpenAi | ProviderKind::Multi2Vec => ("CLIP_URL", &self.clip_url),
        }
    }

    fn validate_url(&self) -> Result<(), String> {
        let kind = self.image_embedding_provider;
        let (name, url) = self.named_url();
        if kind == ProviderKind::Local {
            return Ok(());
        }
        if url.is_empty() {
            return Err(format!(
                "IMAGE_EMBEDDING_PROVIDER is `{}`, but CLIP_URL is empty; set it to the URL of the service, such as \
                 http://127.0.0.1:8000",
                kind.name()
            ));
        }
        if name == "CLIP_URL" && !self.clip_endpoint.is_empty() && self.clip_endpoint != self.clip_url {
            return Err(
                "CLIP_URL and CLIP_ENDPOINT are one setting, but have different values; set CLIP_URL and leave \
                        CLIP_ENDPOINT empty"
                    .to_owned(),
            );
        }
        parse_base_url(url, Some("CLIP_API_KEY")).map(drop).map_err(|what| format!("{name} {what}"))
    }

    /// Returns the model to request from the service, or the label of its space.
    pub fn service_model(&self) -> String {
        // The default names the built-in model, which a service does not have.
        let is_default = self.clip_model == BUILT_IN;
        if is_default { self.image_embedding_provider.name().to_owned() } else { self.clip_model.clone() }
    }

    /// Checks that the settings do not contradict each other.
    ///
    /// # Errors
    /// A message that names the setting and the allowed values.
    pub fn validate(&self) -> Result<(), String> {
        self.validate_url()?;
        bearer(&self.clip_api_key).map_err(|what| format!("CLIP_API_KEY {what}"))?;
        if self.image_embedding_provider == ProviderKind::OpenAi && self.clip_model == BUILT_IN {
            return Err(
                "IMAGE_EMBEDDING_PROVIDER is `openai`, but CLIP_MODEL is not set; set CLIP_MODEL to the name of a \
                 model of the service, such as openai/clip-vit-base-patch32"
                    .to_owned(),
            );
        }
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
            clip_url: url.to_owned(),
            clip_endpoint: endpoint.to_owned(),
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
                assert_eq!(settings.service_url(), "http://h");
                assert_eq!(settings.image_embedding_provider.name(), provider);
                assert_eq!(settings.service_model(), "ViT-B/32");
            }
        }
        for provider in ["ollama", "llava"] {
            assert_eq!(settings(provider, "", "").service_url(), "http://127.0.0.1:11434");
            assert_eq!(settings(provider, "", "").image_embedding_provider, ProviderKind::Ollama);
        }
        settings("local", "nonsense", "").validate().unwrap();
    }

    #[test]
    fn an_error_names_the_missing_or_wrong_setting() {
        let error = |settings: EmbedSettings| settings.validate().unwrap_err();
        for provider in ["clip", "openai", "multi2vec"] {
            let missing = error(settings(provider, "", ""));
            assert!(missing.contains("CLIP_URL") && missing.contains(provider), "{missing}");
        }
        assert!(error(settings("clip", "http://a", "http://b")).contains("CLIP_ENDPOINT"));
        assert!(error(settings("clip", "", "clip:8000")).starts_with("CLIP_ENDPOINT is not a URL"));
        assert!(error(settings("clip", "http://me:hush@h", "")).contains("CLIP_API_KEY"));
        assert!(!error(settings("clip", "http://me:hush@h", "")).contains("hush"));
        let unnamed = EmbedSettings { clip_model: BUILT_IN.to_owned(), ..settings("openai", "http://h", "") };
        assert!(error(unnamed).contains("CLIP_MODEL is not set"));
        let key = EmbedSettings { clip_api_key: Secret::new("hush\n"), ..settings("clip", "http://h", "") };
        assert!(error(key.clone()).contains("CLIP_API_KEY") && !error(key).contains("hush"));
        let nameless = EmbedSettings { ollama_model: " ".to_owned(), ..settings("ollama", "", "") };
        assert!(error(nameless).contains("OLLAMA_MODEL"));
    }

    #[test]
    fn the_default_model_is_not_used_as_a_label() {
        let settings = EmbedSettings { clip_model: BUILT_IN.to_owned(), ..settings("clip", "http://h", "") };
        assert_eq!(settings.service_model(), "clip");
    }
}
