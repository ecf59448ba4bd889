//! Builds the embedding provider of the settings, without retries, verification or cache.

use std::sync::Arc;

use super::BuildError;
use crate::config::Settings;
use crate::embed::local::{LocalProvider, Source};
use crate::embed::{
    ClipProvider, ImageEmbeddingProvider, Multi2VecProvider, OllamaProvider, OllamaSettings, OpenAiProvider,
    ProviderKind, RemoteSettings, ServiceSettings,
};
use crate::imaging::Resize;

/// Returns the adapter. An adapter for a remote service makes no network call yet: a service that is down now may be up
/// when it is needed.
pub(super) async fn raw(settings: &Settings) -> Result<Arc<dyn ImageEmbeddingProvider>, BuildError> {
    Ok(match settings.embed.image_embedding_provider {
        ProviderKind::Local => local(settings).await?,
        ProviderKind::Clip => Arc::new(ClipProvider::new(remote(settings))?),
        ProviderKind::OpenAi => Arc::new(OpenAiProvider::new(remote(settings))?),
        ProviderKind::Multi2Vec => Arc::new(Multi2VecProvider::new(remote(settings))?),
        ProviderKind::Ollama => Arc::new(OllamaProvider::new(OllamaSettings {
            service: service(settings),
            vision_model: settings.embed.ollama_vision_model.clone(),
            text_model: settings.embed.ollama_model.clone(),
            size: settings.imaging.image_target_size,
            resize: resize(settings),
        })?),
    })
}

/// Returns the start line: the model, where it runs, and which settings change it.
pub(super) fn start_line(settings: &Settings) -> String {
    let embed = &settings.embed;
    // The settings have been validated, so the URL contains no password.
    let url = embed.service_url();
    match embed.image_embedding_provider {
        kind @ (ProviderKind::Clip | ProviderKind::OpenAi | ProviderKind::Multi2Vec) => {
            format!(
                "model    {} by {} at {url} (CLIP_MODEL, IMAGE_EMBEDDING_PROVIDER, CLIP_URL)",
                embed.service_model(),
                kind.name()
            )
        }
        ProviderKind::Ollama => format!(
            "model    captions by {}, vectors of the captions by {}, at {url}: a text space, not a CLIP space \
             (OLLAMA_VISION_MODEL, OLLAMA_MODEL, OLLAMA_BASE_URL)",
            embed.ollama_vision_model, embed.ollama_model
        ),
        ProviderKind::Local => {
            let threads = embed.threads();
            format!(
                "model    {} in this process, {threads} threads (CLIP_MODEL, GLIMPSE_EMBED_THREADS)",
                embed.clip_model
            )
        }
    }
}

async fn local(settings: &Settings) -> Result<Arc<dyn ImageEmbeddingProvider>, BuildError> {
    let source = Source::from_settings(&settings.embed, &settings.hub)?;
    // Only the built-in model is loaded now. Another one may take long, above all a download: it is loaded while the
    // service runs and reports that it is not ready.
    let is_built_in = source.is_built_in();
    let size = settings.imaging.image_target_size;
    let provider = LocalProvider::new(source, size, settings.embed.threads())?.with_resize(settings.imaging.resize());
    if is_built_in {
        provider.ready().await?;
    }
    Ok(Arc::new(provider))
}

fn remote(settings: &Settings) -> RemoteSettings {
    RemoteSettings {
        service: service(settings),
        model: settings.embed.service_model(),
        max_batch: settings.pipeline.lanes().batch,
        size: settings.imaging.image_target_size,
        resize: resize(settings),
    }
}

/// Returns how to resize images for a remote provider. A crop is rounded as in the training of CLIP and in the
/// services, unless a service reports another method.
fn resize(settings: &Settings) -> Resize {
    match settings.imaging.resize() {
        Resize::Crop | Resize::CropFloor => Resize::CropFloor,
        pad @ Resize::Pad(_) => pad,
    }
}

fn service(settings: &Settings) -> ServiceSettings {
    ServiceSettings {
        url: settings.embed.service_url().to_owned(),
        key: settings.embed.clip_api_key.clone(),
        timeout: settings.embed.clip_timeout.duration(),
    }
}
