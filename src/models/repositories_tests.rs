//! The description files of real repositories (`tests/data/models`), each with its expected result. They were written
//! from public facts about these files. If only some values are known, the others are the defaults of their class.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::descriptions::NAMES;
use super::image::{HALF, OPENAI_MEAN, OPENAI_STD};
use super::*;

/// How the vectors of texts depend on padding.
#[derive(Debug, PartialEq)]
enum Texts {
    /// Not padded; the vector is the row of the first end token.
    End(usize),
    /// Not padded.
    Free(usize),
    /// Padded to this length.
    Full(usize),
}

use Texts::{End, Free, Full};

enum Outcome {
    /// Preparation of images, mean and deviation, tokens, cleaning.
    Loads(&'static str, ([f32; 3], [f32; 3]), Texts, Cleaning),
    Refused(&'static str),
}

use Cleaning::{Canonical, CanonicalImmich, Lower, LowerSpaces, Spaces};
use Layout::{Combined, Folders, Immich, OpenClip, ShortNames, Towers};
use Outcome::{Loads, Refused};

const OPENAI: ([f32; 3], [f32; 3]) = (OPENAI_MEAN, OPENAI_STD);
const HALVES: ([f32; 3], [f32; 3]) = (HALF, HALF);
const UNCHANGED: Cleaning = Cleaning::None;
const CLIP: Outcome = Loads("crop-224-bicubic-floor", OPENAI, End(77), UNCHANGED);

const REPOSITORIES: [(&str, Layout, Outcome); 23] = [
    ("openai--clip-vit-base-patch32", Towers, CLIP),
    ("openai--clip-vit-large-patch14", Towers, CLIP),
    ("openai--clip-vit-large-patch14-336", Towers, Loads("crop-336-bicubic-floor", OPENAI, End(77), UNCHANGED)),
    ("omkar334--clip_vit_base_patch32_onnx", Towers, CLIP),
    ("patrickjohncyh--fashion-clip", Towers, CLIP),
    ("wkcn--TinyCLIP-ViT-40M-32-Text-19M-LAION400M", Towers, CLIP),
    ("laion--CLIP-ViT-H-14-laion2B-s32B-b79K", Towers, CLIP),
    ("laion--CLIP-ViT-L-14-laion2B-s32B-b82K", Towers, Loads("crop-224-bicubic-floor", HALVES, End(77), UNCHANGED)),
    ("saved-by-transformers-5", Towers, CLIP),
    ("Qdrant--clip-ViT-B-32-vision", Folders, CLIP),
    ("Xenova--mobileclip_s0", Towers, Loads("crop-256-bilinear-floor", ([0.0; 3], [1.0; 3]), Full(77), UNCHANGED)),
    ("google--siglip-base-patch16-224", Towers, Loads("squash-224-bicubic", HALVES, Full(64), Canonical)),
    ("google--siglip2-base-patch16-512", Towers, Loads("squash-512-bilinear", HALVES, Full(64), Lower)),
    (
        "google--siglip2-base-patch16-naflex",
        Towers,
        Refused(
            "config.json: model_type is \"siglip2\": it takes images of any size (NaFlex), which are not supported",
        ),
    ),
    ("jinaai--jina-clip-v1", Towers, Loads("crop-224-bicubic-even", OPENAI, Free(2_048), UNCHANGED)),
    ("jinaai--jina-clip-v2", Combined, Loads("crop-512-bicubic-even", OPENAI, Free(2_048), UNCHANGED)),
    ("nomic-ai--nomic-embed-vision-v1.5", Folders, Loads("squash-224-bicubic", OPENAI, Free(2_048), UNCHANGED)),
    ("immich-app--ViT-B-32__openai", Immich, Loads("crop-224-bicubic-floor", OPENAI, End(77), Spaces)),
    ("immich-app--ViT-B-16-SigLIP2__webli", Immich, Loads("squash-224-bicubic", HALVES, Full(64), CanonicalImmich)),
    ("immich-app--nllb-clip-base-siglip__mrl", Immich, Loads("squash-384-bicubic", HALVES, Free(77), Spaces)),
    ("imageomics--bioclip", OpenClip, Loads("crop-224-bicubic-even", OPENAI, End(77), LowerSpaces)),
    ("facebook--metaclip-2-worldwide-huge", ShortNames, CLIP),
    (
        "Qwen--Qwen2.5-VL-3B-Instruct",
        Combined,
        Refused("config.json: model_type is \"qwen2_5_vl\": this model writes text"),
    ),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models")
}

fn read(name: &str, layout: Layout) -> Result<ModelSpec, String> {
    let existing = NAMES.iter().map(|file| folder().join(name).join(file)).filter(|path| path.is_file());
    let files =
        existing.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), read_json(&path).unwrap()));
    let tokenizer = if name.contains("siglip2") { "BPE" } else { "Unigram" };
    let tokenizer = format!(r#"{{"model":{{"type":"{tokenizer}"}}}}"#);
    let files = Descriptions::parse(files)?.with_tokenizer(tokenizer.as_bytes())?;
    ModelSpec::read(name, layout, &files, &files)
}

#[test]
fn each_repository_has_its_spec_or_is_refused_with_its_message() {
    let known: BTreeSet<_> = REPOSITORIES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let existing = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(existing.collect::<BTreeSet<_>>(), known);
    for (name, layout, expected) in REPOSITORIES {
        match (read(name, layout), expected) {
            (Ok(spec), Loads(preprocessing, normalisation, texts, cleaning)) => {
                assert_eq!(spec.image.preprocessing.to_string(), preprocessing, "{name}");
                assert_eq!((spec.image.mean, spec.image.std), normalisation, "{name}");
                if let Some(known) = CatalogueModel::find(&name.replacen("--", "/", 1)) {
                    assert_eq!(known.preprocessing, preprocessing, "{name}");
                }
                let TextSpec { context, pads_to_context, reads_end_token, .. } = spec.text;
                let found = match (pads_to_context, reads_end_token) {
                    (true, _) => Full(context),
                    (false, true) => End(context),
                    (false, false) => Free(context),
                };
                assert_eq!((found, spec.text.cleaning), (texts, cleaning), "{name}");
            }
            (Err(error), Refused(message)) => assert!(error.starts_with(message), "{name}: {error}"),
            (read, _) => panic!("{name}: {read:?}"),
        }
    }
}
