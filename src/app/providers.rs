//! Builds the embedding provider of the settings, without retries, verification or cache.

use std::sync::Arc;

use super::BuildError;
use crate::config::Settings;
use crate::domain::Endpoint;
use crate::embed::local::{Engine, EngineError, LocalProvider, Source};
use crate::embed::{
    ClipProvider, ImageEmbeddingProvider, Multi2VecProvider, OllamaProvider, OllamaSettings, OpenAiProvider,
    ProviderKind, RemoteSettings, ServiceSettings,
};
use crate::imaging::Resize;

/// Fewer images in a call leave a GPU idle for most of the time.
const MIN_GPU_BATCH: usize = 32;

/// A provider without layers.
pub(super) enum Adapter {
    /// A model in this process.
    Local(LocalProvider),
    /// A model in a service.
    Service(Arc<dyn ImageEmbeddingProvider>),
}

/// Returns the adapter, for one user. If the model is on this machine, it is loaded.
pub(super) async fn raw(settings: &Settings) -> Result<Arc<dyn ImageEmbeddingProvider>, BuildError> {
    match adapter(settings, None).await? {
        Adapter::Service(service) => Ok(service),
        Adapter::Local(local) => {
            load(&local).await?;
            Ok(Arc::new(local))
        }
    }
}

/// Loads a model on this machine: if it cannot be used, the start fails with the reason. A download may take long: it runs
/// while the service runs and reports that it is not ready.
pub(super) async fn load(local: &LocalProvider) -> Result<(), BuildError> {
    if local.needs_no_network() { Ok(local.ready().await?) } else { Ok(()) }
}

/// Returns the adapter. An adapter for a remote service makes no network call yet: a service that is down now may be up
/// when it is needed. A model in this process is loaded by its first call, or has the networks of `shared`.
pub(super) async fn adapter(settings: &Settings, shared: Option<LocalProvider>) -> Result<Adapter, BuildError> {
    let service: Arc<dyn ImageEmbeddingProvider> =
        match (settings.embed.image_embedding_provider, settings.embed.service_url()) {
            // The settings have been validated, so only a model in this process has no URL.
            (ProviderKind::Local, _) | (_, None) => {
                let local = match shared {
                    Some(shared) => shared,
                    None => local(settings).await?,
                };
                let local = local.with_resize(settings.imaging.resize()).with_colour(settings.imaging.colour());
                return Ok(Adapter::Local(local));
            }
            (ProviderKind::Clip, Some(url)) => Arc::new(ClipProvider::new(remote(settings, url))?),
            (ProviderKind::OpenAi, Some(url)) => Arc::new(OpenAiProvider::new(remote(settings, url))?),
            (ProviderKind::Multi2Vec, Some(url)) => Arc::new(Multi2VecProvider::new(remote(settings, url))?),
            (ProviderKind::Ollama, Some(url)) => Arc::new(OllamaProvider::new(OllamaSettings {
                service: service(settings, url),
                vision_model: settings.embed.ollama_vision_model.clone(),
                text_model: settings.embed.ollama_model.clone(),
                size: settings.imaging.image_target_size,
                resize: resize(settings),
                colour: settings.imaging.colour(),
            })?),
        };
    Ok(Adapter::Service(service))
}

/// Returns the start line: the model, where it runs, and which settings change it.
pub(super) fn start_line(settings: &Settings) -> String {
    let embed = &settings.embed;
    match (embed.image_embedding_provider, embed.service_url()) {
        (kind @ (ProviderKind::Clip | ProviderKind::OpenAi | ProviderKind::Multi2Vec), Some(url)) => {
            format!(
                "model    {} by {} at {url} (CLIP_MODEL, IMAGE_EMBEDDING_PROVIDER, CLIP_URL)",
                embed.service_model(),
                kind.name()
            )
        }
        (ProviderKind::Ollama, Some(url)) => format!(
            "model    captions by {}, vectors of the captions by {}, at {url}: a text space, not a CLIP space \
             (OLLAMA_VISION_MODEL, OLLAMA_MODEL, OLLAMA_BASE_URL)",
            embed.ollama_vision_model, embed.ollama_model
        ),
        (ProviderKind::Local, _) | (_, None) => {
            format!("model    {} in this process, {}", embed.clip_model, engine_line(settings))
        }
    }
}

/// Returns the end of the start line of a model in this process.
pub(super) fn engine_line(settings: &Settings) -> String {
    let embed = &settings.embed;
    let (engine, threads) = (Engine::from_settings(embed), embed.threads());
    format!("{engine}, {threads} threads (CLIP_MODEL, CLIP_ENGINE, CLIP_DEVICE, GLIMPSE_EMBED_THREADS)")
}

/// Checks the engine of a model in this process, and returns its name and version.
pub(super) async fn check_engine(settings: &Settings) -> Result<String, EngineError> {
    let engine = Engine::from_settings(&settings.embed);
    let checked = tokio::task::spawn_blocking(move || engine.check()).await;
    checked.unwrap_or_else(|_| {
        let problem = "checking the engine panicked".to_owned();
        Err(EngineError { problem, advice: "the log has the reason".to_owned() })
    })
}

async fn local(settings: &Settings) -> Result<LocalProvider, BuildError> {
    let source = Source::from_settings(&settings.embed, &settings.hub)?;
    // A model that is loaded later would report a missing library too late.
    let engine = check_engine(settings).await?;
    tracing::info!(engine, threads = settings.embed.threads(), "the model runs in this process");
    let batch = settings.pipeline.image_embed_batch_size;
    if settings.embed.clip_device.is_accelerator() && batch < MIN_GPU_BATCH {
        tracing::warn!("IMAGE_EMBED_BATCH_SIZE is {batch}, which is too few for a GPU; set 64 to 256");
    }
    Ok(LocalProvider::new(source, settings.imaging.image_target_size, settings.embed.threads())?)
}

fn remote(settings: &Settings, url: &Endpoint) -> RemoteSettings {
    RemoteSettings {
        service: service(settings, url),
        model: settings.embed.service_model(),
        max_batch: settings.pipeline.lanes().batch,
        size: settings.imaging.image_target_size,
        resize: resize(settings),
        colour: settings.imaging.colour(),
    }
}

/// Returns how to resize images for a remote provider. A crop is rounded as in the training of CLIP and in the
/// services, unless a service reports another method.
fn resize(settings: &Settings) -> Resize {
    match settings.imaging.resize() {
        Resize::Crop => Resize::CropFloor,
        other => other,
    }
}

fn service(settings: &Settings, url: &Endpoint) -> ServiceSettings {
    ServiceSettings {
        url: url.clone(),
        key: settings.embed.clip_api_key.clone(),
        timeout: settings.embed.clip_timeout.duration(),
    }
}
