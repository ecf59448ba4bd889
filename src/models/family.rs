//! The family of a model decides what a value means that its files leave out.

use serde_json::{Map, Value};

use super::descriptions::{CONFIG, Descriptions, OPEN_CLIP_CONFIG};
use super::json::{given, quoted, whole_number};
use super::{Layout, MAX_DIMENSION, OutputRule, Pooling, naflex};

/// Families of models that share their rules.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Family {
    /// Models that transformers runs as CLIP, among them MobileCLIP, TinyCLIP and FashionCLIP.
    Clip,
    /// SigLIP, and SigLIP 2 with a fixed image size.
    Siglip,
    MetaClip2,
    JinaClip,
    Nomic,
    /// Models that OpenCLIP runs, with its description of the model.
    OpenClip(Box<Map<String, Value>>),
}

/// Rules for the outputs of a family.
pub(super) struct Rules {
    pub(super) image: OutputRule,
    pub(super) text: OutputRule,
    pub(super) text_layer_norm: bool,
}

/// Parts of names of models that write text, which have no vector for an image and a text.
const DECODERS: [&str; 12] = [
    "llava",
    "_vl",
    "paligemma",
    "gemma3",
    "mllama",
    "idefics",
    "internvl",
    "florence",
    "blip",
    "pixtral",
    "moondream",
    "phi",
];

/// Types in `config.json` that are supported, for errors.
const SUPPORTED: &str = "clip, siglip, metaclip_2, jina_clip, nomic_bert, and models of OpenCLIP";

impl Family {
    /// Finds the family by the files of the image tower.
    pub(super) fn find(repository: &str, layout: Layout, files: &Descriptions) -> Result<Self, String> {
        let config = files.get(CONFIG);
        let open_clip = files.nested(OPEN_CLIP_CONFIG, "model_cfg").or_else(|| {
            config.filter(|config| ["text_cfg", "vision_cfg"].iter().any(|key| given(config, key).is_some()))
        });
        let kind = config.and_then(|config| given(config, "model_type"));
        match (open_clip, kind) {
            // These exports are made by OpenCLIP, whatever else describes the weights.
            (Some(config), _) if layout.is_of_open_clip() => Ok(Self::OpenClip(Box::new(config.clone()))),
            (_, Some(kind)) => Self::of_type(kind).map_err(|reason| format!("{CONFIG}: {reason}")),
            (Some(config), None) => Ok(Self::OpenClip(Box::new(config.clone()))),
            (None, None) => Self::of_name(repository).ok_or_else(|| match config {
                Some(_) => format!("{CONFIG}: model_type is missing; supported are {SUPPORTED}"),
                None => format!("there is no {CONFIG} and no {OPEN_CLIP_CONFIG}, so the kind of model is not known"),
            }),
        }
    }

    fn of_type(kind: &Value) -> Result<Self, String> {
        match kind.as_str().unwrap_or_default() {
            "clip" | "clip_vision_model" | "clip_text_model" => Ok(Self::Clip),
            "siglip" | "siglip_vision_model" | "siglip_text_model" => Ok(Self::Siglip),
            "metaclip_2" => Ok(Self::MetaClip2),
            "jina_clip" => Ok(Self::JinaClip),
            "nomic_bert" => Ok(Self::Nomic),
            "siglip2" => Err(format!(
                "model_type is \"siglip2\": {}",
                naflex::refusal("onnx-community/siglip2-base-patch16-256-ONNX")
            )),
            name if DECODERS.iter().any(|part| name.contains(part)) => Err(format!(
                "model_type is {}: this model writes text and has no vectors to compare images with texts; use a CLIP or \
                 SigLIP model",
                quoted(kind)
            )),
            _ => Err(format!("model_type is {}; supported are {SUPPORTED}", quoted(kind))),
        }
    }

    /// Some exports have no description of the model.
    fn of_name(repository: &str) -> Option<Self> {
        let name = repository.to_lowercase();
        let families = [("metaclip-2", Self::MetaClip2), ("mobileclip", Self::Clip)];
        families.into_iter().find(|(part, _)| name.contains(part)).map(|(_, family)| family)
    }

    pub(super) fn rules(&self) -> Rules {
        let (named, none) = (OutputRule::default(), OutputRule { pooler: true, hidden: None });
        match self {
            Self::Siglip => Rules { image: none, text: none, text_layer_norm: false },
            Self::Nomic => Rules {
                image: OutputRule { pooler: false, hidden: Some(Pooling::First) },
                text: OutputRule { pooler: false, hidden: Some(Pooling::Mean) },
                text_layer_norm: true,
            },
            Self::Clip | Self::MetaClip2 | Self::JinaClip | Self::OpenClip(_) => {
                Rules { image: named, text: named, text_layer_norm: false }
            }
        }
    }

    /// Returns the number of values in a vector, if the files contain it.
    pub(super) fn dimension(&self, files: &Descriptions) -> Result<Option<usize>, String> {
        let (config, key) = match self {
            Self::OpenClip(config) => (Some(&**config), "embed_dim"),
            Self::Clip | Self::MetaClip2 | Self::JinaClip => (files.get(CONFIG), "projection_dim"),
            Self::Siglip | Self::Nomic => (None, ""),
        };
        let Some(config) = config else { return Ok(None) };
        let named = |reason: String| format!("{CONFIG}: {reason}");
        match whole_number(config, key).map_err(named)? {
            Some(number) => check_range(key, number, 1, MAX_DIMENSION).map(Some).map_err(named),
            None => Ok(None),
        }
    }
}

/// Checks a number of a description file.
pub(super) fn check_range(key: &str, value: u64, min: u64, max: u64) -> Result<usize, String> {
    let usable = usize::try_from(value).ok().filter(|_| (min..=max).contains(&value));
    usable.ok_or_else(|| format!("{key} is {value}; it must be between {min} and {max}"))
}

/// Returns a number of one tower. Old files repeat the configuration under `…_dict`, which transformers then uses.
pub(super) fn tower_number(file: &Map<String, Value>, tower: &str, key: &str) -> Result<Option<u64>, String> {
    for name in [&format!("{tower}_dict"), tower] {
        if let Some(values) = given(file, name).and_then(Value::as_object)
            && let Some(number) = whole_number(values, key)?
        {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str, config: &str) -> Result<(Family, Option<usize>), String> {
        let files = Descriptions::parse([(CONFIG.to_owned(), config.as_bytes().to_vec())])?;
        let family = Family::find(name, Layout::Towers, &files)?;
        let dimension = family.dimension(&files)?;
        Ok((family, dimension))
    }

    #[test]
    fn the_family_is_found_by_its_type() {
        assert_eq!(find("x", r#"{"model_type":"clip","projection_dim":768.0}"#), Ok((Family::Clip, Some(768))));
        assert_eq!(find("x", r#"{"model_type":"clip","projection_dim":null}"#), Ok((Family::Clip, None)));
        assert_eq!(find("x", r#"{"model_type":"siglip"}"#), Ok((Family::Siglip, None)));
        assert_eq!(find("a/metaclip-2-b", "{}"), Ok((Family::MetaClip2, None)));
        let (family, dimension) = find("x", r#"{"embed_dim":640,"vision_cfg":{}}"#).unwrap();
        assert!(matches!(family, Family::OpenClip(_)) && dimension == Some(640));
    }

    #[test]
    fn other_types_are_refused_with_their_name_and_what_works() {
        for (config, message) in [
            (r#"{"model_type":"siglip2"}"#, "NaFlex"),
            (r#"{"model_type":"qwen2_5_vl"}"#, "writes text"),
            (r#"{"model_type":"bert"}"#, "config.json: model_type is \"bert\"; supported are clip, siglip"),
            ("{}", "model_type is missing"),
            (r#"{"model_type":"clip","projection_dim":0}"#, "between 1 and"),
            (r#"{"model_type":"clip","projection_dim":"x"}"#, "\"x\""),
            ("<html>", "config.json: it is not valid JSON"),
        ] {
            let error = find("x", config).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
