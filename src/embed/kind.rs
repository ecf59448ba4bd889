//! The providers by name, and what each takes from the settings.

use std::num::NonZeroUsize;

use super::EmbedSettings;
use super::http::{address, bearer};
use super::local::BUILT_IN;

/// Images in one request beyond which no service is known to gain.
const MAX_IMAGES: usize = 1024;

/// Who makes the vectors (`IMAGE_EMBEDDING_PROVIDER`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// A model in this process.
    Local,
    /// A service that speaks as `ai4all/clip` does.
    Clip,
    /// A service with OpenAI's `/embeddings`, for images too.
    OpenAi,
    /// Weaviate's multi2vec-clip-inference.
    Multi2Vec,
    /// Captions by Ollama's vision model, vectors by its text model.
    Ollama,
}

impl ProviderKind {
    /// What settings, errors and logs call it.
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
    /// What `IMAGE_EMBEDDING_PROVIDER` means.
    ///
    /// # Errors
    /// A sentence that says what is allowed.
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

    /// Where the service is; `None` for a model in this process.
    ///
    /// # Errors
    /// A sentence that says which variable to set.
    pub fn service_url(&self) -> Result<Option<&str>, String> {
        let kind = self.kind()?;
        let (name, url) = match kind {
            ProviderKind::Local => return Ok(None),
            ProviderKind::Ollama => ("OLLAMA_BASE_URL", &self.ollama_base_url),
            ProviderKind::Clip | ProviderKind::OpenAi | ProviderKind::Multi2Vec => self.clip_url(kind)?,
        };
        address(url).map(|_| Some(url.as_str())).map_err(|what| format!("{name} {what}"))
    }

    fn clip_url(&self, kind: ProviderKind) -> Result<(&'static str, &String), String> {
        match (self.clip_url.is_empty(), self.clip_endpoint.is_empty()) {
            (false, false) if self.clip_url != self.clip_endpoint => {
                Err("CLIP_URL and CLIP_ENDPOINT differ; they are one setting: leave CLIP_ENDPOINT empty".to_owned())
            }
            (false, _) => Ok(("CLIP_URL", &self.clip_url)),
            (true, false) => Ok(("CLIP_ENDPOINT", &self.clip_endpoint)),
            (true, true) => Err(format!(
                "IMAGE_EMBEDDING_PROVIDER is `{}`, and CLIP_URL is empty; set it to where the service is, such as \
                 http://127.0.0.1:8000",
                kind.name()
            )),
        }
    }

    /// The model that the service is asked for, or the label of its space.
    pub fn service_model(&self) -> String {
        match self.kind() {
            // The default is the name of the model that is not asked.
            Ok(kind) if self.clip_model == BUILT_IN => kind.name().to_owned(),
            Ok(_) | Err(_) => self.clip_model.clone(),
        }
    }

    /// Images in one request.
    pub fn service_batch(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.clip_max_batch_size).unwrap_or(NonZeroUsize::MIN)
    }

    /// Checks what concerns a service elsewhere.
    pub(super) fn validate_service(&self) -> Result<(), String> {
        self.service_url()?;
        bearer(&self.clip_api_key).map_err(|what| format!("CLIP_API_KEY {what}"))?;
        if !(1..=MAX_IMAGES).contains(&self.clip_max_batch_size) {
            let size = self.clip_max_batch_size;
            return Err(format!("CLIP_MAX_BATCH_SIZE is {size}; it must be between 1 and {MAX_IMAGES}"));
        }
        if self.kind()? == ProviderKind::OpenAi && self.clip_model == BUILT_IN {
            return Err(
                "IMAGE_EMBEDDING_PROVIDER is `openai`, and CLIP_MODEL is not set; set it to the service's name of \
                        its model, such as openai/clip-vit-base-patch32"
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

    fn of(provider: &str, url: &str, endpoint: &str) -> EmbedSettings {
        EmbedSettings {
            image_embedding_provider: provider.to_owned(),
            clip_model: if provider == "local" { BUILT_IN } else { "ViT-B/32" }.to_owned(),
            clip_url: url.to_owned(),
            clip_endpoint: endpoint.to_owned(),
            ..EmbedSettings::default()
        }
    }

    #[test]
    fn each_provider_has_its_address() {
        for provider in ["clip", "openai", "multi2vec"] {
            for settings in
                [of(provider, "http://h", ""), of(provider, "", "http://h"), of(provider, "http://h", "http://h")]
            {
                settings.validate().unwrap();
                assert_eq!(settings.service_url(), Ok(Some("http://h")));
                assert_eq!(settings.kind().unwrap().name(), provider);
                assert_eq!(settings.service_model(), "ViT-B/32");
            }
        }
        for provider in ["ollama", "llava"] {
            assert_eq!(of(provider, "", "").service_url(), Ok(Some("http://127.0.0.1:11434")));
            assert_eq!(of(provider, "", "").kind(), Ok(ProviderKind::Ollama));
        }
        assert_eq!(of("local", "nonsense", "").service_url(), Ok(None));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let said = |settings: EmbedSettings| settings.validate().unwrap_err();
        for provider in ["clip", "openai", "multi2vec"] {
            let missing = said(of(provider, "", ""));
            assert!(missing.contains("CLIP_URL") && missing.contains(provider), "{missing}");
        }
        assert!(said(of("clip", "http://a", "http://b")).contains("CLIP_ENDPOINT"));
        assert!(said(of("clip", "", "clip:8000")).starts_with("CLIP_ENDPOINT is no URL"));
        assert!(said(of("clip", "http://me:hush@h", "")).contains("CLIP_API_KEY"));
        assert!(!said(of("clip", "http://me:hush@h", "")).contains("hush"));
        assert!(said(of("torch", "", "")).contains("`multi2vec`"));
        let unnamed = EmbedSettings { clip_model: BUILT_IN.to_owned(), ..of("openai", "http://h", "") };
        assert!(said(unnamed).contains("CLIP_MODEL is not set"));
        let key = EmbedSettings { clip_api_key: Secret::new("hush\n"), ..of("clip", "http://h", "") };
        assert!(said(key.clone()).contains("CLIP_API_KEY") && !said(key).contains("hush"));
        let batch = |size| EmbedSettings { clip_max_batch_size: size, ..of("clip", "http://h", "") };
        assert!(said(batch(0)).contains("CLIP_MAX_BATCH_SIZE") && batch(1).validate().is_ok());
        let nameless = EmbedSettings { ollama_model: " ".to_owned(), ..of("ollama", "", "") };
        assert!(said(nameless).contains("OLLAMA_MODEL"));
    }

    #[test]
    fn a_label_is_not_the_name_of_another_model() {
        let settings = EmbedSettings { clip_model: BUILT_IN.to_owned(), ..of("clip", "http://h", "") };
        assert_eq!(settings.service_model(), "clip");
    }
}
