//! Splits texts into tokens as `tokenizer.json` says, with the library that transformers uses.

use tokenizers::{Tokenizer, TruncationParams};

use super::lfs_pointer;
use crate::embed::EmbedError;

/// Maximum characters that are tokenized. No model reads that many, so the rest of a text cannot change the tokens.
const MAX_CHARS: usize = 16_384;

/// The tokenizer of one model.
pub(super) struct TextTokenizer {
    tokenizer: Tokenizer,
    end: u32,
}

impl TextTokenizer {
    /// Parses a `tokenizer.json`. Texts are cut to `max_tokens` tokens, including the end token, and never padded.
    pub(super) fn parse(json: &[u8], max_tokens: usize) -> Result<Self, String> {
        let invalid = |error: tokenizers::Error| format!("tokenizer.json: {error}");
        lfs_pointer::refuse(json).map_err(|reason| format!("tokenizer.json: {reason}"))?;
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(invalid)?;
        tokenizer.with_padding(None);
        let cut = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(cut)).map_err(invalid)?;
        let empty = tokenizer.encode_fast("", true).map_err(invalid)?;
        // The tokens of an empty text are the frame of all texts. Without an end token in it, the tower would read a
        // wrong row.
        match *empty.get_ids() {
            [_, end] => Ok(Self { tokenizer, end }),
            ref other => {
                Err(format!("tokenizer.json frames a text with {other:?}; it must be one begin and one end token"))
            }
        }
    }

    /// Treats special tokens in a text, such as `[SEP]`, as ordinary characters.
    pub(super) fn read_special_tokens_as_text(&mut self) {
        self.tokenizer.set_encode_special_tokens(true);
    }

    /// Returns the token ids of `text`, cut to the maximum of the model. Refuses a text without visible characters or
    /// words, because the model would return a meaningless vector for it.
    pub(super) fn tokens(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        let rejected = |reason: &str| EmbedError::Rejected(format!("the text cannot be embedded: {reason}"));
        if !has_visible_text(text) {
            return Err(rejected("it has no visible characters"));
        }
        let text: String = text.trim_start().chars().take(MAX_CHARS).collect();
        let encoded = self.tokenizer.encode_fast(text, true).map_err(|error| rejected(&error.to_string()))?;
        let mut tokens = encoded.get_ids().to_vec();
        if tokens.len() <= 2 {
            return Err(rejected("it has no words"));
        }
        // The tower reads the row of the first end token, and a row depends only on the tokens before it. A text that
        // contains an end token has two of them, and rten would use the last (see `Towers::text`). The tokens after the
        // first are removed, which does not change its row.
        if let Some(first) = tokens.iter().position(|&token| token == self.end) {
            tokens.truncate(first + 1);
        }
        Ok(tokens)
    }
}

/// Whether the text has a visible character.
fn has_visible_text(text: &str) -> bool {
    text.chars().any(|character| !character.is_whitespace() && !is_invisible(character))
}

/// Whether the character is a control, or an invisible one that joins emoji or sets the writing direction.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{FFFD}' | '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    fn file(name: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clip-tiny").join(name)).unwrap()
    }

    fn tokenizer() -> TextTokenizer {
        TextTokenizer::parse(&file("tokenizer.json"), 77).unwrap()
    }

    #[test]
    fn tokens_are_those_of_transformers() {
        let (tokenizer, golden) = (tokenizer(), serde_json::from_slice::<Value>(&file("golden.json")).unwrap());
        let mut compared = 0;
        for expected in golden["texts"].as_array().unwrap() {
            let text = expected["text"].as_str().unwrap();
            let mut tokens: Vec<u64> =
                expected["tokens"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
            // Transformers continues after an end token in the text; the network does not.
            let end = *tokens.last().unwrap();
            tokens.truncate(tokens.iter().position(|&token| token == end).unwrap() + 1);
            match tokenizer.tokens(text) {
                Ok(ours) => assert_eq!(ours.into_iter().map(u64::from).collect::<Vec<_>>(), tokens, "{text:?}"),
                Err(error) => assert!(!has_visible_text(text), "{text:?}: {error}"),
            }
            compared += 1;
        }
        assert!(compared > 30);
    }

    #[test]
    fn a_text_has_one_end_token_at_its_end() {
        let tokenizer = tokenizer();
        for text in
            ["cat", "a cat <|endoftext|> a dog", "<|endoftext|>", &"a cat ".repeat(10_000), &"x".repeat(100_000)]
        {
            let tokens = tokenizer.tokens(text).unwrap();
            assert!(tokens.len() <= 77);
            assert_eq!(tokens.iter().filter(|&&token| token == tokenizer.end).count(), 1, "{text:.40}");
            assert_eq!(tokens.last(), Some(&tokenizer.end), "{text:.40}");
        }
        assert_eq!(tokenizer.tokens(&"a ".repeat(500)).unwrap().len(), 77);
    }

    #[test]
    fn padding_in_the_file_is_ignored() {
        let padding = r#""padding":{"strategy":{"Fixed":77},"direction":"Right","pad_to_multiple_of":null,
            "pad_id":1113,"pad_type_id":0,"pad_token":"<|endoftext|>"}"#;
        let json = String::from_utf8(file("tokenizer.json")).unwrap().replacen(r#""padding":null"#, padding, 1);
        assert!(json.contains("Fixed"));
        let tokens = TextTokenizer::parse(json.as_bytes(), 77).unwrap().tokens("a cat").unwrap();
        assert_eq!(tokens, tokenizer().tokens("a cat").unwrap());
    }

    #[test]
    fn a_text_without_visible_characters_and_an_invalid_file_are_refused() {
        for text in ["", "  ", "\n\t", "\u{200B}", "\0"] {
            assert!(matches!(tokenizer().tokens(text), Err(EmbedError::Rejected(_))), "{text:?}");
        }
        assert!(TextTokenizer::parse(b"{}", 77).err().unwrap().contains("tokenizer.json"));
        let unframed = String::from_utf8(file("tokenizer.json")).unwrap();
        let start = unframed.find(r#""post_processor":"#).unwrap();
        let end = unframed.find(r#","decoder""#).unwrap();
        let unframed = format!("{}\"post_processor\":null{}", &unframed[..start], &unframed[end..]);
        assert!(TextTokenizer::parse(unframed.as_bytes(), 77).err().unwrap().contains("frames"));
    }
}
