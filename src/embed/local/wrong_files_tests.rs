//! Copies of the tiny models (`tests/data/families`) with missing files, files of another model, or wrong values: each is
//! refused with the file and the field, or has the vectors of the unchanged model.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::*;

fn family(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/families").join(name)
}

fn copy_into(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_into(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn copy(name: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_into(&family(name), copy.path());
    copy
}

fn open(folder: &Path) -> Result<Towers, String> {
    let wanted = Wanted {
        name: "copy".to_owned(),
        repository: "copy".to_owned(),
        precision: Precision::Auto,
        size: None,
        engine: Engine::default(),
    };
    load(&Folders::one(folder.to_owned()), &wanted).map_err(|error| error.to_string())
}

fn refused(folder: &Path) -> String {
    open(folder).err().unwrap()
}

/// Sets a value of a JSON file, or removes it.
fn set(folder: &Path, file: &str, key: &str, value: Value) {
    let path = folder.join(file);
    let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    json[key] = value;
    std::fs::write(path, json.to_string()).unwrap();
}

#[test]
fn a_siglip_of_each_version_needs_only_its_tokenizer() {
    for name in ["siglip", "siglip2"] {
        let copy = copy(name);
        for file in ["tokenizer_config.json", "special_tokens_map.json"] {
            std::fs::remove_file(copy.path().join(file)).unwrap();
        }
        let (bare, whole) = (open(copy.path()).unwrap(), open(&family(name)).unwrap());
        assert_eq!(bare.text_rule, whole.text_rule);
        let text = "Two CATS, sleeping!";
        assert_eq!(bare.ids(text, None).unwrap(), whole.ids(text, None).unwrap(), "{name}");
    }
}

#[test]
fn the_tokenizer_of_another_model_is_refused() {
    for (name, place, other, message) in [
        ("nllb-clip", "textual", "openclip-xlm-roberta/textual", "tokenizer.json has no token `eng_Latn`"),
        ("siglip2", "", "nomic/text", "tokenizer.json: its model is WordPiece"),
        ("siglip2", "", "siglip", "tokenizer_class is \"GemmaTokenizer\", but tokenizer.json is Unigram"),
        ("metaclip2", "", "siglip2", "tokenizer.json has 623 tokens, but vocab_size in config.json is 422"),
        ("nomic", "text", "metaclip2", "tokenizer.json has 422 tokens, but vocab_size in config.json is 665"),
        ("bioclip", "", "nomic/text", "tokenizer.json has 665 tokens, but vocab_size in model_config.json is 602"),
    ] {
        let copy = copy(name);
        let wrong = family(other).join("tokenizer.json");
        std::fs::copy(wrong, copy.path().join(place).join("tokenizer.json")).unwrap();
        let error = refused(copy.path());
        assert!(error.contains(message), "{name}: {error}");
    }
}

#[test]
fn padding_on_the_left_is_refused_if_texts_are_padded() {
    for (name, place, is_padded) in
        [("siglip2", "", true), ("mobileclip", "", true), ("metaclip2", "", false), ("tinyclip", "", false)]
    {
        let copy = copy(name);
        set(copy.path(), &format!("{place}tokenizer_config.json"), "padding_side", "left".into());
        match open(copy.path()) {
            Err(error) => assert!(is_padded && error.contains("padding_side is \"left\""), "{name}: {error}"),
            Ok(_) => assert!(!is_padded, "{name}"),
        }
    }
}

#[test]
fn the_pooling_of_a_text_tower_is_read_from_its_file() {
    const FILE: &str = "text/1_Pooling/config.json";
    let (copy, text) = (copy("nomic"), "a cat on a mat");
    let own = open(copy.path()).unwrap().text(text, None).unwrap();
    set(copy.path(), FILE, "pooling_mode_mean_tokens", false.into());
    set(copy.path(), FILE, "pooling_mode_cls_token", true.into());
    let first = open(copy.path()).unwrap().text(text, None).unwrap();
    assert!(first.cosine(&own) < 0.999, "{}", first.cosine(&own));
    set(copy.path(), FILE, "pooling_mode_max_tokens", true.into());
    let error = refused(copy.path());
    assert!(error.contains("1_Pooling/config.json: pooling_mode_cls_token and pooling_mode_max_tokens"), "{error}");
}

#[test]
fn the_longest_text_is_tried_when_a_model_is_loaded() {
    // Their files allow 8,192 tokens.
    for name in ["jina-clip-v1", "nomic"] {
        let towers = open(&family(name)).unwrap();
        assert_eq!(towers.context(), 512, "{name}");
        assert!(towers.details.as_ref().unwrap().text.rules.contains("at most 512 tokens"), "{name}");
        assert_eq!(towers.ids(&"cat ".repeat(1_000), None).unwrap().len(), 512, "{name}");
        towers.text(&"cat ".repeat(1_000), None).unwrap();
    }
    for (name, length) in [("metaclip2", 500), ("siglip", 99)] {
        let copy = copy(name);
        let path = copy.path().join("config.json");
        let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        json["text_config"]["max_position_embeddings"] = length.into();
        std::fs::write(path, json.to_string()).unwrap();
        let error = refused(copy.path());
        let expected = format!("the text tower cannot process a text of {length} tokens");
        assert!(error.contains(&expected) && error.contains("max_position_embeddings in config.json"), "{error}");
    }
}

#[test]
fn towers_and_files_of_different_sizes_are_refused() {
    let copy = copy("tinyclip");
    set(copy.path(), "config.json", "projection_dim", 24.into());
    let error = refused(copy.path());
    assert!(error.contains("vectors of 16 numbers, but its files say 24 (projection_dim in config.json"), "{error}");

    // A tower of 24 numbers for images of the same size.
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clip-tiny/onnx/vision_model.onnx");
    std::fs::copy(other, copy.path().join("vision_model.onnx")).unwrap();
    let error = refused(copy.path());
    assert!(error.contains("the image tower makes vectors of 24 numbers and the text tower of 16"), "{error}");
}
