//! 1,000 strings in ten scripts (`tests/data/tokenizers`): the ids are those of the `tokenizers` package of Python.

use std::path::Path;

use serde_json::Value;

use super::*;
use crate::models::Cleaning;

fn read(file: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// FNV-1a in 32 bits, in hexadecimal.
fn fingerprint(ids: &[u32]) -> String {
    let bytes = ids.iter().flat_map(|id| id.to_le_bytes());
    let hash = bytes.fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

#[test]
fn every_type_of_tokenizer_gives_the_ids_of_the_python_package() {
    let strings: Vec<String> = serde_json::from_slice(&read("tests/data/tokenizers/strings.json")).unwrap();
    let expected: Value = serde_json::from_slice(&read("tests/data/tokenizers/expected.json")).unwrap();
    let mut wrong = Vec::new();
    for (kind, expected) in expected.as_object().unwrap() {
        let spec = TextSpec {
            context: MAX_CHARS * 2,
            pad: PadToken::OfTokenizer,
            pads_left: false,
            vocabulary: None,
            pads_to_context: false,
            reads_end_token: false,
            cleaning: Cleaning::None,
            prefix: "",
            language: None,
            special_tokens_are_text: false,
        };
        let tokenizer = TextTokenizer::parse(&read(expected["file"].as_str().unwrap()), spec).unwrap();
        let hashes = expected["fnv1a"].as_str().unwrap();
        assert_eq!(hashes.len(), strings.len() * 8);
        for (number, text) in strings.iter().enumerate() {
            let expected = &hashes[number * 8..][..8];
            match tokenizer.tokens(text, None) {
                Ok(ids) if fingerprint(&ids) == expected => {}
                // A text without visible characters or without tokens is refused.
                Err(_) if !has_visible_text(text) || fingerprint(&tokenizer.frame) == expected => {}
                other => wrong.push(format!("{kind} {number} {text:.30?}: {other:.200?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}
