//! Tokenizer of the built-in model: BERT's normalisation, WordPiece, `[CLS] … [SEP]`.
//!
//! Uses parts of `rten-text` and not its `Tokenizer`, which cannot be shared by threads, omits BERT's treatment of
//! control characters and Chinese, and maps every token to offsets in the text that may be beyond its end (0.27 counts
//! the `##` of each piece), so that `xqzkj` would panic.

use std::collections::HashMap;

use rten_text::models::{Model, WordPiece, WordPieceOptions};
use rten_text::normalizers::{Bert, BertOptions, Normalizer};
use rten_text::pre_tokenizers::{self, PreTokenizer};
use serde::Deserialize;

use super::unusable;
use crate::embed::EmbedError;

/// Maximum characters that are tokenized. No model reads so many, so the rest of a text cannot change the tokens.
const MAX_CHARS: usize = 16_384;

#[derive(Deserialize)]
struct TokenizerFile {
    normalizer: NormalizerConfig,
    model: ModelConfig,
}

#[derive(Deserialize)]
struct NormalizerConfig {
    lowercase: bool,
    strip_accents: Option<bool>,
}

#[derive(Deserialize)]
struct ModelConfig {
    vocab: HashMap<String, u32>,
    max_input_chars_per_word: usize,
}

/// The tokenizer of one model.
pub(super) struct Words {
    normalizer: Bert,
    pieces: WordPiece,
    begin: u32,
    end: u32,
    max_tokens: usize,
}

impl Words {
    /// Parses a `tokenizer.json` with a WordPiece model.
    pub(super) fn parse(json: &[u8], max_tokens: usize) -> Result<Self, EmbedError> {
        let file: TokenizerFile =
            serde_json::from_slice(json).map_err(|error| unusable(format!("tokenizer.json: {error}")))?;
        let NormalizerConfig { lowercase, strip_accents } = file.normalizer;
        let normalizer = Bert::new(BertOptions { lowercase, strip_accents: strip_accents.unwrap_or(lowercase) });
        let options = WordPieceOptions { max_word_len: Some(file.model.max_input_chars_per_word) };
        let pieces = WordPiece::from_vocab(file.model.vocab, options);
        let special = |name: &str| {
            pieces.get_token_id(name).ok_or_else(|| unusable(format!("tokenizer.json: the vocabulary has no {name}")))
        };
        let (begin, end) = (special("[CLS]")?, special("[SEP]")?);
        Ok(Self { normalizer, pieces, begin, end, max_tokens })
    }

    /// Returns the token ids of `text`, cut to the maximum of the model. Refuses a text without words, because the
    /// model would return a meaningless vector for it.
    pub(super) fn tokens(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        let rejected = |reason: &str| EmbedError::Rejected(format!("the text cannot be embedded: {reason}"));
        let (plain, _) = self.normalizer.normalize(&clean(text)).map_err(|error| rejected(&error.to_string()))?;
        let words = pre_tokenizers::Bert::new().pre_tokenize(&plain).map_err(|error| rejected(&error.to_string()))?;
        let mut tokens = vec![self.begin];
        for word in words {
            let found = self.pieces.encode_with_offsets(word, &mut |_, token| tokens.push(token));
            found.map_err(|error| rejected(&format!("{error:?}")))?;
            if tokens.len() >= self.max_tokens {
                break;
            }
        }
        if tokens.len() == 1 {
            return Err(rejected("it has no words"));
        }
        tokens.truncate(self.max_tokens - 1);
        tokens.push(self.end);
        Ok(tokens)
    }
}

/// Removes control characters, replaces each run of spaces by one space, and puts spaces around Chinese characters.
fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_CHARS));
    for character in text.chars().filter(|&it| it.is_whitespace() || !is_dropped(it)).take(MAX_CHARS) {
        match character {
            _ if character.is_whitespace() => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            _ if is_chinese(character) => out.extend([' ', character, ' ']),
            _ => out.push(character),
        }
    }
    out
}

/// Whether the text has a visible character.
pub(super) fn has_visible_text(text: &str) -> bool {
    text.chars().any(|character| !character.is_whitespace() && !is_dropped(character))
}

/// Whether the character is a control, or an invisible one that joins emoji or sets the writing direction.
fn is_dropped(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{FFFD}' | '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}')
}

/// Whether the character is in the blocks at which BERT splits: Chinese, without Japanese kana and Korean hangul.
fn is_chinese(character: char) -> bool {
    matches!(character, '\u{4E00}'..='\u{9FFF}' | '\u{3400}'..='\u{4DBF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{2A6DF}' | '\u{2A700}'..='\u{2CEAF}' | '\u{2F800}'..='\u{2FA1F}')
}

#[cfg(test)]
mod tests {
    use super::super::files;
    use super::*;

    fn tokenizer() -> Words {
        Words::parse(files::TOKENIZER, 64).unwrap()
    }

    #[test]
    fn golden_texts_have_the_expected_tokens() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/models/glimpse-mini-1/golden.json");
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for text in golden["texts"].as_array().unwrap() {
            let tokens = tokenizer().tokens(text["text"].as_str().unwrap()).unwrap();
            assert_eq!(serde_json::json!(tokens), text["token_ids"]);
        }
    }

    #[test]
    fn accents_case_and_spaces_do_not_matter() {
        let tokenizer = tokenizer();
        let expected = tokenizer.tokens("a cafe in zurich").unwrap();
        for same in [
            "A Café in Zürich",
            "  a\tcafe\u{a0}in\r\nzurich ",
            "a cafe\u{301} in zu\u{308}rich",
            "a\u{200B} cafe in\0 zurich",
        ] {
            assert_eq!(tokenizer.tokens(same).unwrap(), expected, "{same:?}");
        }
    }

    #[test]
    fn each_chinese_character_is_a_word() {
        let tokenizer = tokenizer();
        assert_eq!(tokenizer.tokens("日本").unwrap(), tokenizer.tokens("日 本").unwrap());
        assert_eq!(tokenizer.tokens("日本").unwrap().len(), 4);
    }

    #[test]
    fn unusual_words_do_not_panic() {
        let tokenizer = tokenizer();
        for text in ["xqzkj", "zzxxqqjjkk", "🦀", "👩‍👩‍👧", "##a", "[CLS]", "a'b", "—", "ß", "İ", "ﬁ", "q", "\u{301}a"]
        {
            let tokens = tokenizer.tokens(text).unwrap();
            assert_eq!((tokens[0], tokens[tokens.len() - 1]), (101, 102), "{text}");
        }
    }

    #[test]
    fn long_texts_are_cut_and_keep_the_end_token() {
        let tokenizer = tokenizer();
        for text in ["cat ".repeat(1_000_000), "x".repeat(1_000_000), "!?".repeat(100_000)] {
            let tokens = tokenizer.tokens(&text).unwrap();
            assert!(tokens.len() <= 64);
            assert_eq!(tokens.last(), Some(&102));
        }
        assert_eq!(tokenizer.tokens(&"cat ".repeat(1_000_000)).unwrap().len(), 64);
    }

    #[test]
    fn a_text_without_words_is_refused() {
        for text in ["", "   ", "\n\t", "\u{301}\u{301}", "\u{200B}", "\0"] {
            assert!(matches!(tokenizer().tokens(text), Err(EmbedError::Rejected(_))), "{text:?}");
        }
    }
}
