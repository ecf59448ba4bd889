//! The embedding provider that the settings ask for, without anything around it.

use std::sync::Arc;
use std::time::Duration;

use super::BuildError;
use crate::config::Settings;
use crate::embed::local::{LocalProvider, Source};
use crate::embed::{
    ClipProvider, ImageEmbeddingProvider, Multi2VecProvider, OllamaProvider, OllamaSettings, OpenAiProvider,
    ProviderKind, RemoteSettings, ServiceSettings,
};
use crate::imaging::Resize;

/// The adapter. One for a service elsewhere asks nobody yet: a service that is down now may be up when it is needed.
pub(super) async fn raw(settings: &Settings) -> Result<Arc<dyn ImageEmbeddingProvider>, BuildError> {
    Ok(match settings.embed.kind().map_err(BuildError::Settings)? {
        ProviderKind::Local => local(settings).await?,
        ProviderKind::Clip => Arc::new(ClipProvider::new(remote(settings)?)?),
        ProviderKind::OpenAi => Arc::new(OpenAiProvider::new(remote(settings)?)?),
        ProviderKind::Multi2Vec => Arc::new(Multi2VecProvider::new(remote(settings)?)?),
        ProviderKind::Ollama => Arc::new(OllamaProvider::new(OllamaSettings {
            service: service(settings)?,
            vision_model: settings.embed.ollama_vision_model.clone(),
            text_model: settings.embed.ollama_model.clone(),
            size: settings.imaging.target_size(),
            resize: resize(settings)?,
        })?),
    })
}

/// The line that says at the start what makes the vectors, where, and how to change it.
pub(super) fn line(settings: &Settings) -> String {
    let of = &settings.embed;
    // Settings that come so far have been checked; the URL has no password in it.
    let url = of.service_url().ok().flatten().unwrap_or_default();
    match of.kind() {
        Ok(kind @ (ProviderKind::Clip | ProviderKind::OpenAi | ProviderKind::Multi2Vec)) => {
            format!(
                "model    {} by {} at {url} (CLIP_MODEL, IMAGE_EMBEDDING_PROVIDER, CLIP_URL)",
                of.service_model(),
                kind.name()
            )
        }
        Ok(ProviderKind::Ollama) => format!(
            "model    captions by {}, their words' vectors by {}, at {url}: a space of texts, not CLIP's \
             (OLLAMA_VISION_MODEL, OLLAMA_MODEL, OLLAMA_BASE_URL)",
            of.ollama_vision_model, of.ollama_model
        ),
        Ok(ProviderKind::Local) | Err(_) => {
            let threads = of.threads();
            format!("model    {} in this process, {threads} threads (CLIP_MODEL, GLIMPSE_EMBED_THREADS)", of.clip_model)
        }
    }
}

async fn local(settings: &Settings) -> Result<Arc<dyn ImageEmbeddingProvider>, BuildError> {
    let resize = settings.imaging.resize().map_err(BuildError::Settings)?;
    let source = Source::of(&settings.embed, &settings.hub)?;
    // What may take a while, a download above all, is done while the service already says that it is not ready.
    let at_once = source.is_built_in();
    let size = settings.imaging.target_size();
    let provider = LocalProvider::new(source, size, settings.embed.threads())?.with_resize(resize);
    if at_once {
        provider.ready().await?;
    }
    Ok(Arc::new(provider))
}

fn remote(settings: &Settings) -> Result<RemoteSettings, BuildError> {
    Ok(RemoteSettings {
        service: service(settings)?,
        model: settings.embed.service_model(),
        max_batch: settings.embed.service_batch(),
        size: settings.imaging.target_size(),
        resize: resize(settings)?,
    })
}

/// A crop is one as CLIP itself was trained with and as the services would make it, until a service says otherwise.
fn resize(settings: &Settings) -> Result<Resize, BuildError> {
    Ok(match settings.imaging.resize().map_err(BuildError::Settings)? {
        Resize::Crop | Resize::CropFloor => Resize::CropFloor,
        pad @ Resize::Pad(_) => pad,
    })
}

fn service(settings: &Settings) -> Result<ServiceSettings, BuildError> {
    let url = settings.embed.service_url().map_err(BuildError::Settings)?.unwrap_or_default();
    Ok(ServiceSettings {
        url: url.to_owned(),
        key: settings.embed.clip_api_key.clone(),
        timeout: Duration::from_secs(settings.embed.clip_timeout),
    })
}
