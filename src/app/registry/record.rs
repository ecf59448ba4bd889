//! Converts the record of a model into settings, and back.

use crate::config::Settings;
use crate::domain::{DEFAULT_PROVIDER, DependencyError, FailureKind, InvalidModel, ModelRecord, ModelRequest};
use crate::embed::local::{BUILT_IN, Precision, Source};
use crate::embed::{EmbedError, ProviderKind};
use crate::imaging::{Colour, ColourKind, ResizeKind};

/// What separates the vision model of Ollama from its text model.
const PAIR: &str = " + ";
/// The precision of a model that this process does not run.
const ANY_PRECISION: &str = "auto";
/// Maximum length of the name of a model in a request, in bytes.
const MAX_MODEL_BYTES: usize = 512;

/// Returns the record of the model that these settings describe.
pub(in crate::app) fn default_record(settings: &Settings) -> ModelRecord {
    let (embed, imaging) = (&settings.embed, &settings.imaging);
    let kind = embed.image_embedding_provider;
    let pads = imaging.image_resize == ResizeKind::Pad;
    ModelRecord {
        provider: DEFAULT_PROVIDER.to_owned(),
        kind: kind.name().to_owned(),
        model: match kind {
            ProviderKind::Local => embed.clip_model.clone(),
            ProviderKind::Ollama => format!("{}{PAIR}{}", embed.ollama_vision_model, embed.ollama_model),
            ProviderKind::Clip | ProviderKind::OpenAi | ProviderKind::Multi2Vec => embed.service_model(),
        },
        precision: match kind {
            ProviderKind::Local => embed.clip_precision.to_string(),
            ProviderKind::Clip | ProviderKind::OpenAi | ProviderKind::Multi2Vec | ProviderKind::Ollama => {
                ANY_PRECISION.to_owned()
            }
        },
        resize: if pads { "pad" } else { "crop" }.to_owned(),
        pad_color: pad_color(settings).filter(|_| pads),
        color: (imaging.image_color == ColourKind::Srgb).then(|| "srgb".to_owned()),
        target_size: imaging.image_target_size,
    }
}

/// Returns `IMAGE_PAD_COLOR`, if it is not black.
fn pad_color(settings: &Settings) -> Option<String> {
    let colour = settings.imaging.image_pad_color;
    (colour != Colour::default()).then(|| colour.into())
}

/// Returns the settings of the model of a record. What does not describe the model is taken from `settings`.
///
/// # Errors
/// [`EmbedError::Dependency`] if the provider is not configured, or the record is of a later version.
pub(in crate::app) fn settings_of(settings: &Settings, record: &ModelRecord) -> Result<Settings, EmbedError> {
    let mut own = settings.clone();
    let kind = ProviderKind::try_from(record.kind.clone())
        .map_err(|reason| unusable(format!("the kind of the provider is `{}`; {reason}", record.kind)))?;
    let configured = own.embed.image_embedding_provider;
    own.embed.image_embedding_provider = kind;
    match kind {
        ProviderKind::Local => {
            own.embed.clip_model.clone_from(&record.model);
            own.embed.clip_precision = Precision::try_from(record.precision.clone())
                .map_err(|reason| unusable(format!("the precision is `{}`; {reason}", record.precision)))?;
        }
        ProviderKind::Ollama => {
            let pair = record.model.split_once(PAIR);
            let (vision, text) =
                pair.ok_or_else(|| unusable(format!("the model `{}` of Ollama has no text model", record.model)))?;
            vision.clone_into(&mut own.embed.ollama_vision_model);
            text.clone_into(&mut own.embed.ollama_model);
        }
        ProviderKind::Clip | ProviderKind::OpenAi | ProviderKind::Multi2Vec => {
            if record.provider == DEFAULT_PROVIDER {
                check_default(configured, kind)?;
            } else {
                use_named(&mut own, record)?;
            }
            own.embed.clip_model.clone_from(&record.model);
        }
    }
    own.imaging.image_resize = ResizeKind::try_from(record.resize.clone())
        .map_err(|reason| unusable(format!("the resize is `{}`; {reason}", record.resize)))?;
    let pad = record.pad_color.clone().map_or_else(|| Ok(Colour::default()), Colour::try_from);
    own.imaging.image_pad_color = pad.map_err(|reason| unusable(format!("the pad colour of the model: {reason}")))?;
    let colour = record.color.clone().map_or(Ok(ColourKind::Reference), ColourKind::try_from);
    own.imaging.image_color = colour.map_err(|reason| unusable(format!("the colours of the model: {reason}")))?;
    own.imaging.image_target_size = record.target_size;
    own.embed.validate().map_err(unusable)?;
    Ok(own)
}

/// Fails if the address of the default provider is that of another kind of service.
fn check_default(configured: ProviderKind, kind: ProviderKind) -> Result<(), EmbedError> {
    match configured {
        ProviderKind::Clip | ProviderKind::OpenAi | ProviderKind::Multi2Vec if configured != kind => Err(unusable(
            format!("IMAGE_EMBEDDING_PROVIDER is `{}`, but the model is one of `{}`", configured.name(), kind.name()),
        )),
        // The address of a service may be set although another provider is used.
        ProviderKind::Local
        | ProviderKind::Ollama
        | ProviderKind::Clip
        | ProviderKind::OpenAi
        | ProviderKind::Multi2Vec => Ok(()),
    }
}

/// Takes the settings of the named provider of a record.
fn use_named(own: &mut Settings, record: &ModelRecord) -> Result<(), EmbedError> {
    let name = record.provider.to_uppercase();
    let Some(provider) = own.named_providers.get(&record.provider).cloned() else {
        return Err(unusable(format!("the provider `{}` is not configured; set CLIP_URL_{name}", record.provider)));
    };
    if provider.kind.name() != record.kind {
        return Err(unusable(format!(
            "IMAGE_EMBEDDING_PROVIDER_{name} is `{}`, but the model is one of `{}`",
            provider.kind.name(),
            record.kind
        )));
    }
    own.embed.clip_url = Some(provider.url);
    own.embed.clip_endpoint = None;
    own.embed.clip_api_key = provider.key;
    own.embed.clip_timeout = provider.timeout.unwrap_or(own.embed.clip_timeout);
    Ok(())
}

/// Returns the record of the model that a request describes, see
/// [`EmbeddingModels::resolve`](crate::embed::EmbeddingModels::resolve).
///
/// # Errors
/// [`InvalidModel`]
pub(super) fn resolve(
    settings: &Settings,
    base: &ModelRecord,
    request: &ModelRequest,
) -> Result<ModelRecord, InvalidModel> {
    let invalid = |field, message: String| InvalidModel { field, message };
    let mut record = base.clone();
    if let Some(name) = &request.provider {
        let model = provider(settings, name).map_err(|message| invalid("provider", message))?;
        let changed = (&model.provider, &model.kind) != (&base.provider, &base.kind);
        if changed {
            let ModelRecord { provider, kind, model, precision, .. } = model;
            record = ModelRecord { provider, kind, model, precision, target_size: None, ..record };
        }
    }
    let is_local = record.kind == ProviderKind::Local.name();
    if let Some(model) = &request.model {
        if model.trim().is_empty() || model.len() > MAX_MODEL_BYTES || model.chars().any(char::is_control) {
            let message = format!("must be the name of a model with 1 to {MAX_MODEL_BYTES} bytes");
            return Err(invalid("model", message));
        }
        if is_local {
            let source = Source::named(model, Precision::default(), &settings.hub);
            let source = source.map_err(|error| invalid("model", detail(&error)))?;
            if !source.exists() {
                return Err(invalid(
                    "model",
                    format!("is `{model}`, which does not exist on the machine of the service"),
                ));
            }
        }
        if record.kind == ProviderKind::Ollama.name() && !model.contains(PAIR) {
            return Err(invalid("model", format!("must be a vision model and a text model, separated by `{PAIR}`")));
        }
        if *model != record.model {
            record.target_size = None;
        }
        record.model.clone_from(model);
    }
    if let Some(precision) = &request.precision {
        let known = Precision::try_from(precision.clone());
        known.map_err(|reason| invalid("precision", format!("is `{precision}`; {reason}")))?;
        if !is_local && precision != ANY_PRECISION {
            let message = format!("must be `{ANY_PRECISION}`, because the model does not run in this process");
            return Err(invalid("precision", message));
        }
        if is_local && record.model == BUILT_IN && !["auto", "fp32"].contains(&precision.as_str()) {
            return Err(invalid("precision", format!("is `{precision}`, but the built-in model has only `fp32`")));
        }
        // All precisions of the built-in model are one.
        if record.model != BUILT_IN || base.model != BUILT_IN {
            record.precision.clone_from(precision);
        }
    }
    if let Some(resize) = &request.resize {
        let kind = ResizeKind::try_from(resize.clone())
            .map_err(|reason| invalid("resize", format!("is `{resize}`; {reason}")))?;
        record.pad_color = match kind {
            ResizeKind::Crop => None,
            ResizeKind::Pad if base.resize == *resize => base.pad_color.clone(),
            ResizeKind::Pad => pad_color(settings),
        };
        record.resize.clone_from(resize);
    }
    settings_of(settings, &record).map_err(|error| invalid("model", error.to_string()))?;
    Ok(record)
}

/// Returns what is wrong, without the name of the dependency.
fn detail(error: &EmbedError) -> String {
    match error {
        EmbedError::Dependency(DependencyError { detail, .. }) => detail.clone(),
        other => other.to_string(),
    }
}

/// Returns the record of the model that the settings of a provider name.
fn provider(settings: &Settings, name: &str) -> Result<ModelRecord, String> {
    let own = default_record(settings);
    if name == DEFAULT_PROVIDER {
        return Ok(own);
    }
    if name == ProviderKind::Local.name() {
        if own.kind == name {
            return Ok(own);
        }
        let (kind, precision) = (name.to_owned(), settings.embed.clip_precision.to_string());
        let model = BUILT_IN.to_owned();
        return Ok(ModelRecord { kind, model, precision, ..own });
    }
    if let Some(provider) = settings.named_providers.get(name) {
        let (kind, model) = (provider.kind.name().to_owned(), provider.model().to_owned());
        let (provider, precision) = (name.to_owned(), ANY_PRECISION.to_owned());
        return Ok(ModelRecord { provider, kind, model, precision, ..own });
    }
    let known = [DEFAULT_PROVIDER, "local"].into_iter().chain(settings.named_providers.keys().map(String::as_str));
    let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let setting = if is_name { format!(" (CLIP_URL_{})", name.to_uppercase()) } else { String::new() };
    Err(format!("is `{name}`, which is not configured{setting}; it must be one of {}, in lower case", known.join(", ")))
}

/// Returns the error of a model that cannot be used until something is changed.
pub(super) fn unusable(detail: String) -> EmbedError {
    let dependency = ProviderKind::Local.name().to_owned();
    DependencyError { dependency, failure: FailureKind::Refused, detail }.into()
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
