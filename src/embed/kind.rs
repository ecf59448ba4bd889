//! The embedding providers by name, and the settings that each of them uses.

use std::num::NonZeroUsize;

use super::EmbedSettings;
use super::local::BUILT_IN;
use crate::http::{bearer, parse_base_url};

/// Upper limit of `CLIP_MAX_BATCH_SIZE`; no known service is faster with more images in a request.
const MAX_IMAGES: usize = 1024;

/// The kind of embedding provider (`IMAGE_EMBEDDING_PROVIDER`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl EmbedSettings {
    /// Parses `IMAGE_EMBEDDING_PROVIDER`.
    ///
    /// # Errors
    /// A message with the allowed values.
    pub fn kind(&self) -> Result<ProviderKind, String> {
        match self.image_embedding_provider.as_str() {
            "local" => Ok(ProviderKind::Local),
            "clip" => Ok(ProviderKind::Clip),
            "openai" => Ok(ProviderKind::OpenAi),
            "multi2vec" => Ok(ProviderKind::Multi2Vec),
            "ollama" | "llava" => Ok(ProviderKind::Ollama),
            other => Err(format!(
                "IMAGE_EMBEDDING_PROVIDER is `{other}`; it must be `local`, `clip`, `openai`, `multi2vec` or `ollama`"
            )),
        }
    }

    /// Returns the URL of the service; `None` for a model in this process.
    ///
    /// # Errors
    /// A message that names the variable to set.
    pub fn service_url(&self) -> Result<Option<&str>, String> {
        let kind = self.kind()?;
        let (name, url) = match kind {
            ProviderKind::Local => return Ok(None),
            ProviderKind::Ollama => ("OLLAMA_BASE_URL", &self.ollama_base_url),
            ProviderKind::Clip | ProviderKind::OpenAi | ProviderKind::Multi2Vec => self.clip_url(kind)?,
        };
        parse_base_url(url, Some("CLIP_API_KEY")).map(|_| Some(url.as_str())).map_err(|what| format!("{name} {what}"))
    }

    fn clip_url(&self, kind: ProviderKind) -> Result<(&'static str, &String), String> {
        match (self.clip_url.is_empty(), self.clip_endpoint.is_empty()) {
            (false, false) if self.clip_url != self.clip_endpoint => {
                Err("CLIP_URL and CLIP_ENDPOINT are one setting, but have different values; set CLIP_URL and leave \
                     CLIP_ENDPOINT empty"
                    .to_owned())
            }
            (false, _) => Ok(("CLIP_URL", &self.clip_url)),
            (true, false) => Ok(("CLIP_ENDPOINT", &self.clip_endpoint)),
            (true, true) => Err(format!(
                "IMAGE_EMBEDDING_PROVIDER is `{}`, but CLIP_URL is empty; set it to the URL of the service, such as \
                 http://127.0.0.1:8000",
                kind.name()
            )),
        }
    }

    /// Returns the model to request from the service, or the label of its space.
    pub fn service_model(&self) -> String {
        match self.kind() {
            // The default names the built-in model, which is not used here.
            Ok(kind) if self.clip_model == BUILT_IN => kind.name().to_owned(),
            Ok(_) | Err(_) => self.clip_model.clone(),
        }
    }

    /// Returns the maximum number of images in one request.
    pub fn service_batch(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.clip_max_batch_size).unwrap_or(NonZeroUsize::MIN)
    }

    /// Checks the settings of a remote service.
    pub(super) fn validate_service(&self) -> Result<(), String> {
        self.service_url()?;
        bearer(&self.clip_api_key).map_err(|what| format!("CLIP_API_KEY {what}"))?;
        if !(1..=MAX_IMAGES).contains(&self.clip_max_batch_size) {
            let size = self.clip_max_batch_size;
            return Err(format!("CLIP_MAX_BATCH_SIZE is {size}; it must be between 1 and {MAX_IMAGES}"));
        }
        if self.kind()? == ProviderKind::OpenAi && self.clip_model == BUILT_IN {
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
            image_embedding_provider: provider.to_owned(),
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
                assert_eq!(settings.service_url(), Ok(Some("http://h")));
                assert_eq!(settings.kind().unwrap().name(), provider);
                assert_eq!(settings.service_model(), "ViT-B/32");
            }
        }
        for provider in ["ollama", "llava"] {
            assert_eq!(settings(provider, "", "").service_url(), Ok(Some("http://127.0.0.1:11434")));
            assert_eq!(settings(provider, "", "").kind(), Ok(ProviderKind::Ollama));
        }
        assert_eq!(settings("local", "nonsense", "").service_url(), Ok(None));
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
        assert!(error(settings("torch", "", "")).contains("`multi2vec`"));
        let unnamed = EmbedSettings { clip_model: BUILT_IN.to_owned(), ..settings("openai", "http://h", "") };
        assert!(error(unnamed).contains("CLIP_MODEL is not set"));
        let key = EmbedSettings { clip_api_key: Secret::new("hush\n"), ..settings("clip", "http://h", "") };
        assert!(error(key.clone()).contains("CLIP_API_KEY") && !error(key).contains("hush"));
        let batch = |size| EmbedSettings { clip_max_batch_size: size, ..settings("clip", "http://h", "") };
        assert!(error(batch(0)).contains("CLIP_MAX_BATCH_SIZE") && batch(1).validate().is_ok());
        let nameless = EmbedSettings { ollama_model: " ".to_owned(), ..settings("ollama", "", "") };
        assert!(error(nameless).contains("OLLAMA_MODEL"));
    }

    #[test]
    fn the_default_model_is_not_used_as_a_label() {
        let settings = EmbedSettings { clip_model: BUILT_IN.to_owned(), ..settings("clip", "http://h", "") };
        assert_eq!(settings.service_model(), "clip");
    }
}
