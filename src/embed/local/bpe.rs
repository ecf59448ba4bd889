//! Words to token ids for a CLIP: byte pairs as its `tokenizer.json` says, by the library that transformers runs.

use tokenizers::{Tokenizer, TruncationParams};

use super::text::says_something;
use crate::embed::EmbedError;

/// Far more than any model reads: what stands behind it cannot change the tokens, and need not be looked at.
const MAX_CHARS: usize = 16_384;

/// The tokenizer of one CLIP.
pub(super) struct Bpe {
    tokenizer: Tokenizer,
    end: u32,
}

impl Bpe {
    /// Reads a `tokenizer.json` and sets it to cut texts to `max_tokens`, the end token kept, and never to pad.
    pub(super) fn parse(json: &[u8], max_tokens: usize) -> Result<Self, String> {
        let wrong = |error: tokenizers::Error| format!("tokenizer.json: {error}");
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(wrong)?;
        tokenizer.with_padding(None);
        let cut = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(cut)).map_err(wrong)?;
        let nothing = tokenizer.encode_fast("", true).map_err(wrong)?;
        // What it makes of nothing is its frame: where the frame has no end, the tower would read some other row.
        match *nothing.get_ids() {
            [_, end] => Ok(Self { tokenizer, end }),
            ref other => Err(format!("tokenizer.json frames a text by {other:?}, not by a begin and an end token")),
        }
    }

    /// Token ids of `text`, cut to what the model reads. A text without a single word is refused: the model would
    /// give it a vector all the same, and that vector means nothing.
    pub(super) fn tokens(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        let refused = |reason: &str| EmbedError::Rejected(format!("no words to search by: {reason}"));
        if !says_something(text) {
            return Err(refused("the text is empty"));
        }
        let text: String = text.trim_start().chars().take(MAX_CHARS).collect();
        let encoded = self.tokenizer.encode_fast(text, true).map_err(|error| refused(&error.to_string()))?;
        let mut tokens = encoded.get_ids().to_vec();
        // The tower reads the row of the first end token, and rows know only what stands before them. A text that
        // spells an end token has two, of which rten would take the last (see `Towers::text`): what stands behind
        // the first is left out, which changes nothing else.
        if let Some(first) = tokens.iter().position(|&token| token == self.end) {
            tokens.truncate(first + 1);
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    fn file(name: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clip-tiny").join(name)).unwrap()
    }

    fn words() -> Bpe {
        Bpe::parse(&file("tokenizer.json"), 77).unwrap()
    }

    #[test]
    fn tokens_are_those_of_transformers() {
        let (words, golden) = (words(), serde_json::from_slice::<Value>(&file("golden.json")).unwrap());
        let mut compared = 0;
        for expected in golden["texts"].as_array().unwrap() {
            let text = expected["text"].as_str().unwrap();
            let mut tokens: Vec<u64> =
                expected["tokens"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
            // Transformers reads on behind an end token in the text; the network does not.
            let end = *tokens.last().unwrap();
            tokens.truncate(tokens.iter().position(|&token| token == end).unwrap() + 1);
            match words.tokens(text) {
                Ok(ours) => assert_eq!(ours.into_iter().map(u64::from).collect::<Vec<_>>(), tokens, "{text:?}"),
                Err(error) => assert!(!says_something(text), "{text:?}: {error}"),
            }
            compared += 1;
        }
        assert!(compared > 30);
    }

    #[test]
    fn a_text_has_one_end_token_and_that_is_its_last() {
        let words = words();
        for text in
            ["cat", "a cat <|endoftext|> a dog", "<|endoftext|>", &"a cat ".repeat(10_000), &"x".repeat(100_000)]
        {
            let tokens = words.tokens(text).unwrap();
            assert!(tokens.len() <= 77);
            assert_eq!(tokens.iter().filter(|&&token| token == words.end).count(), 1, "{text:.40}");
            assert_eq!(tokens.last(), Some(&words.end), "{text:.40}");
        }
        assert_eq!(words.tokens(&"a ".repeat(500)).unwrap().len(), 77);
    }

    #[test]
    fn a_file_that_asks_for_padding_is_not_obeyed() {
        let padding = r#""padding":{"strategy":{"Fixed":77},"direction":"Right","pad_to_multiple_of":null,
            "pad_id":1113,"pad_type_id":0,"pad_token":"<|endoftext|>"}"#;
        let json = String::from_utf8(file("tokenizer.json")).unwrap().replacen(r#""padding":null"#, padding, 1);
        assert!(json.contains("Fixed"));
        let tokens = Bpe::parse(json.as_bytes(), 77).unwrap().tokens("a cat").unwrap();
        assert_eq!(tokens, words().tokens("a cat").unwrap());
    }

    #[test]
    fn a_text_without_words_is_refused_and_so_is_a_file_that_is_none() {
        for text in ["", "  ", "\n\t", "\u{200B}", "\0"] {
            assert!(matches!(words().tokens(text), Err(EmbedError::Rejected(_))), "{text:?}");
        }
        assert!(Bpe::parse(b"{}", 77).err().unwrap().contains("tokenizer.json"));
        let unframed = String::from_utf8(file("tokenizer.json")).unwrap();
        let start = unframed.find(r#""post_processor":"#).unwrap();
        let end = unframed.find(r#","decoder""#).unwrap();
        let unframed = format!("{}\"post_processor\":null{}", &unframed[..start], &unframed[end..]);
        assert!(Bpe::parse(unframed.as_bytes(), 77).err().unwrap().contains("frames"));
    }
}
