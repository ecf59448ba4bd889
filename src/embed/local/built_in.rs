//! The built-in model. Its files are part of the binary, so that it runs in any folder and without a network.

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};

use super::engine::{Engine, EngineKind, Onnx};
use super::source::BUILT_IN;
use super::towers::{Networks, Towers};
use super::unusable;
use crate::embed::EmbedError;
use crate::imaging::Resize;
use crate::models::{Descriptions, Layout, ModelSpec, Precision};

static CONFIG: &[u8] = include_bytes!("../../../models/glimpse-mini-1/config.json");
static PREPROCESSOR: &[u8] = include_bytes!("../../../models/glimpse-mini-1/preprocessor_config.json");
static TOKENIZER: &[u8] = include_bytes!("../../../models/glimpse-mini-1/tokenizer.json");
static IMAGE: &[u8] = include_bytes!("../../../models/glimpse-mini-1/image.onnx");
static TEXT: &[u8] = include_bytes!("../../../models/glimpse-mini-1/text.onnx");

/// Returns the model. The first call loads it, which takes about a quarter of a second of CPU. All providers of the
/// process that use rten share it, because it cannot change.
pub(super) fn towers(engine: &Engine) -> Result<Arc<Towers>, EmbedError> {
    static LOADED: LazyLock<Result<Arc<Towers>, EmbedError>> = LazyLock::new(|| shared(&Engine::default()));
    match engine.kind() {
        EngineKind::Rten => LOADED.clone(),
        EngineKind::OnnxRuntime => shared(engine),
    }
}

fn shared(engine: &Engine) -> Result<Arc<Towers>, EmbedError> {
    load(engine).map(Arc::new).map_err(|reason| unusable(format!("the built-in model: {reason}")))
}

fn load(engine: &Engine) -> Result<Towers, String> {
    let spec = spec()?;
    // Prepacked weights reduce a short query from 3.4 to 1.8 ms and cost 50 ms at the start and 45 MB. They make no
    // difference for the convolutions of the image tower.
    let image = engine.load(Onnx::BuiltIn { bytes: IMAGE, prepack: false })?;
    let text = engine.load(Onnx::BuiltIn { bytes: TEXT, prepack: true })?;
    // A run with several images takes longer for each, because the activations do not fit into the cache: with rten
    // alone 52 ms for one image, 58 each in runs of four and 60 in runs of eight.
    let run = engine.images_per_run(NonZeroUsize::MIN);
    Towers::new(BUILT_IN.to_owned(), &spec, Networks { image, text, run }, TOKENIZER, Precision::Fp32)
}

fn spec() -> Result<ModelSpec, String> {
    let files = [("config.json", CONFIG), ("preprocessor_config.json", PREPROCESSOR)];
    let files = Descriptions::parse(files.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())))?;
    let mut spec = ModelSpec::read(BUILT_IN, Layout::Towers, &files, &files)?;
    // Its card rounds the length of the longer side.
    spec.image.preprocessing.resize = Resize::Crop;
    // Its text tower reads all tokens of a text, not only those before the first end token, and has a mask.
    spec.text.reads_end_token = false;
    spec.text.special_tokens_are_text = true;
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::local::towers::tokenizer::TextTokenizer;

    fn tokens(text: &str) -> Result<Vec<u32>, EmbedError> {
        static OWN: LazyLock<TextTokenizer> =
            LazyLock::new(|| TextTokenizer::parse(TOKENIZER, spec().unwrap().text).unwrap());
        OWN.tokens(text, None)
    }

    #[test]
    fn golden_texts_have_the_expected_tokens() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/models/glimpse-mini-1/golden.json");
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for text in golden["texts"].as_array().unwrap() {
            let tokens = tokens(text["text"].as_str().unwrap()).unwrap();
            assert_eq!(serde_json::json!(tokens), text["token_ids"]);
        }
    }

    #[test]
    fn accents_case_and_spaces_do_not_matter() {
        let expected = tokens("a cafe in zurich").unwrap();
        for same in [
            "A Café in Zürich",
            "  a\tcafe\u{a0}in\r\nzurich ",
            "a cafe\u{301} in zu\u{308}rich",
            "a\u{200B} cafe in\0 zurich",
        ] {
            assert_eq!(tokens(same).unwrap(), expected, "{same:?}");
        }
    }

    #[test]
    fn each_chinese_character_is_a_word() {
        assert_eq!(tokens("日本").unwrap(), tokens("日 本").unwrap());
        assert_eq!(tokens("日本").unwrap().len(), 4);
    }

    #[test]
    fn every_text_has_one_begin_and_one_end_token() {
        for text in ["xqzkj", "🦀", "👩‍👩‍👧", "##a", "[CLS]", "a [SEP] b", "a'b", "—", "ß", "İ", "ﬁ", "q", "\u{301}a"]
        {
            let tokens = tokens(text).unwrap();
            assert_eq!((tokens[0], tokens[tokens.len() - 1]), (101, 102), "{text}");
            assert!(tokens[1..tokens.len() - 1].iter().all(|token| ![101, 102].contains(token)), "{text}");
        }
    }

    #[test]
    fn long_texts_are_cut_and_keep_the_end_token() {
        for text in ["cat ".repeat(1_000_000), "x".repeat(1_000_000), "!?".repeat(100_000)] {
            let tokens = tokens(&text).unwrap();
            assert!(tokens.len() <= 64);
            assert_eq!(tokens.last(), Some(&102));
        }
        assert_eq!(tokens(&"cat ".repeat(1_000_000)).unwrap().len(), 64);
    }

    #[test]
    fn a_text_without_words_is_refused() {
        for text in ["", "   ", "\n\t", "\u{301}\u{301}", "\u{200B}", "\0"] {
            assert!(matches!(tokens(text), Err(EmbedError::Rejected(_))), "{text:?}");
        }
    }
}
