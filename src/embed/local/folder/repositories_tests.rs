//! The description files of real repositories (`tests/data/models`), each with its expected result. They were written
//! from public facts about these files. If only some values are known, the others are the defaults of their class.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::config::Config;
use super::pixels::Pixels;
use super::preprocessor;
use super::{json, read_json};

const OPENAI: ([f32; 3], [f32; 3]) =
    ([0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_6, 0.275_777_1]);

enum Outcome {
    /// Size of a vector, maximum tokens, side of an image in pixels.
    Loads(usize, usize, u32),
    Refused(&'static str),
}

use Outcome::{Loads, Refused};

const REPOSITORIES: [(&str, Outcome); 16] = [
    ("openai--clip-vit-base-patch32", Loads(512, 77, 224)),
    ("openai--clip-vit-large-patch14", Loads(768, 77, 224)),
    ("openai--clip-vit-large-patch14-336", Loads(768, 77, 336)),
    ("omkar334--clip_vit_base_patch32_onnx", Loads(512, 77, 224)),
    ("patrickjohncyh--fashion-clip", Loads(512, 77, 224)),
    ("wkcn--TinyCLIP-ViT-40M-32-Text-19M-LAION400M", Loads(512, 77, 224)),
    ("laion--CLIP-ViT-H-14-laion2B-s32B-b79K", Loads(1024, 77, 224)),
    ("saved-by-transformers-5", Loads(512, 77, 224)),
    ("Xenova--mobileclip_s0", Refused("preprocessor_config.json: do_normalize is false; only true is supported")),
    ("google--siglip-base-patch16-224", Refused("config.json: model_type is \"siglip\"; only \"clip\" is supported")),
    ("google--siglip2-base-patch16-512", Refused("config.json: model_type is \"siglip\"; only \"clip\" is supported")),
    (
        "google--siglip2-base-patch16-naflex",
        Refused("config.json: model_type is \"siglip2\"; only \"clip\" is supported"),
    ),
    ("jinaai--jina-clip-v1", Refused("config.json: model_type is \"jina_clip\"; only \"clip\" is supported")),
    ("jinaai--jina-clip-v2", Refused("config.json: model_type is \"jina_clip\"; only \"clip\" is supported")),
    (
        "Qdrant--clip-ViT-B-32-vision",
        Refused("config.json: model_type is \"clip_vision_model\"; only \"clip\" is supported"),
    ),
    ("immich-app--ViT-B-32__openai", Refused("config.json: model_type is missing; only \"clip\" is supported")),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models")
}

fn files(folder: &Path) -> Vec<String> {
    preprocessor::FILES.iter().filter(|name| folder.join(name).is_file()).map(|name| (*name).to_owned()).collect()
}

fn read(folder: &Path) -> Result<(Config, Pixels), String> {
    let config = Config::parse(&read_json(&folder.join("config.json")).unwrap())?;
    let pixels = preprocessor::pixels(folder, &files(folder))?;
    assert!(config.image_size.is_none_or(|size| size == u64::from(pixels.size)));
    Ok((config, pixels))
}

#[test]
fn each_repository_loads_with_its_sizes_or_is_refused_with_its_message() {
    let known: BTreeSet<_> = REPOSITORIES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let existing = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(existing.collect::<BTreeSet<_>>(), known);
    for (name, expected) in REPOSITORIES {
        match (read(&folder().join(name)), expected) {
            (Ok((config, pixels)), Loads(dimension, tokens, size)) => {
                assert_eq!((config.dimension, config.max_tokens, pixels.size), (dimension, tokens, size), "{name}");
                assert_eq!((pixels.mean, pixels.std), OPENAI, "{name}");
            }
            (Err(error), Refused(message)) => assert_eq!(error, message, "{name}"),
            (read, _) => panic!("{name}: {read:?}"),
        }
    }
}

/// The error if the `model_type` of the family were supported, or for an export whose type is `clip`.
#[test]
fn the_image_processor_of_another_family_is_refused_with_its_name() {
    for (name, message) in [
        ("google--siglip-base-patch16-224", "image_processor_type is \"SiglipImageProcessor\""),
        ("google--siglip2-base-patch16-naflex", "image_processor_type is \"Siglip2ImageProcessor\""),
        ("jinaai--jina-clip-v1", "image_processor_type is \"JinaCLIPImageProcessor\""),
    ] {
        let json = read_json(&folder().join(name).join(preprocessor::OLD_FILE)).unwrap();
        let error = Pixels::read(&json::object(&json).unwrap()).unwrap_err();
        assert!(error.starts_with(message) && error.contains("CLIPImageProcessor"), "{error}");
    }
}
