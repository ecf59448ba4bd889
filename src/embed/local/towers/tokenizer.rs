//! Splits texts into tokens as `tokenizer.json` and the spec of the model say, with the library that transformers uses.

use tokenizers::{Tokenizer, TruncationParams};

use crate::domain::Language;
use crate::embed::{EmbedError, NO_WORDS};
use crate::models::{PadToken, TextSpec, lfs_pointer};

/// Maximum characters that are tokenized. No model reads that many, so the rest of a text cannot change the tokens.
const MAX_CHARS: usize = 16_384;

/// The tokenizer of one model.
pub(in crate::embed::local) struct TextTokenizer {
    tokenizer: Tokenizer,
    spec: TextSpec,
    /// Tokens of a text without words.
    frame: Vec<u32>,
    /// The id of the pad token, or why there is none.
    pad: Result<u32, String>,
}

impl TextTokenizer {
    /// Parses a `tokenizer.json`. Texts are prepared and cut as `spec` says, and not padded.
    pub(in crate::embed::local) fn parse(json: &[u8], spec: TextSpec) -> Result<Self, String> {
        let invalid = |error: tokenizers::Error| format!("tokenizer.json: {error}");
        lfs_pointer::refuse(json).map_err(|reason| format!("tokenizer.json: {reason}"))?;
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(invalid)?;
        check_vocabulary(&tokenizer, &spec)?;
        let pad = match &spec.pad {
            PadToken::Id(id) => Ok(*id),
            PadToken::Name(name) => token(&tokenizer, name, "the pad token"),
            PadToken::OfTokenizer => tokenizer.get_padding().map(|padding| padding.pad_id).ok_or_else(|| {
                "neither pad_token in tokenizer_config.json nor padding in tokenizer.json names the pad token"
                    .to_owned()
            }),
        };
        // The files of equal models differ in these two.
        tokenizer.with_padding(None);
        let cut = TruncationParams { max_length: spec.context, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(cut)).map_err(invalid)?;
        tokenizer.set_encode_special_tokens(spec.special_tokens_are_text);
        let start = format!("{}{}", spec.language.unwrap_or_default(), spec.prefix);
        let frame = tokenizer.encode_fast(start, true).map_err(invalid)?.get_ids().to_vec();
        // Without an end token the tower would read a wrong row.
        if spec.reads_end_token && frame.len() != 2 {
            return Err(format!("tokenizer.json frames a text with {frame:?}; it must be one begin and one end token"));
        }
        Ok(Self { tokenizer, spec, frame, pad })
    }

    /// Returns the id of the pad token, or why the model has none.
    pub(super) fn pad(&self) -> Result<u32, &String> {
        self.pad.as_ref().copied()
    }

    /// Returns the maximum number of tokens of a text.
    pub(super) fn context(&self) -> usize {
        self.spec.context
    }

    /// Changes the maximum number of tokens of a text.
    pub(super) fn set_context(&mut self, context: usize) -> Result<(), String> {
        let cut = TruncationParams { max_length: context, ..TruncationParams::default() };
        self.tokenizer.with_truncation(Some(cut)).map_err(|error| format!("tokenizer.json: {error}"))?;
        self.spec.context = context;
        Ok(())
    }

    /// Returns the token ids of `text`, cut to the maximum of the model. Refuses a text without visible characters or
    /// words, because the model would return a meaningless vector for it. Models that read a
    /// `language` detect it by the script of the text if none is given; other models ignore it.
    pub(in crate::embed::local) fn tokens(
        &self,
        text: &str,
        language: Option<Language>,
    ) -> Result<Vec<u32>, EmbedError> {
        let rejected = |reason: &str| EmbedError::Rejected(format!("the text cannot be embedded: {reason}"));
        if !has_visible_text(text) {
            return Err(rejected("it has no visible characters"));
        }
        let text: String = match text.char_indices().nth(MAX_CHARS) {
            Some(_) => text.trim_start().chars().take(MAX_CHARS).collect(),
            None => text.to_owned(),
        };
        let language = || language.or_else(|| Language::detect(&text));
        let code = self.spec.language.map(|default| language().map_or(default, Language::code));
        let (code, prefix) = (code.unwrap_or_default(), self.spec.prefix);
        let text = format!("{code}{prefix}{}", self.spec.cleaning.apply(&text));
        let encoded = self.tokenizer.encode_fast(text, true).map_err(|error| rejected(&error.to_string()))?;
        let mut tokens = encoded.get_ids().to_vec();
        if tokens.len() <= self.frame.len() {
            return Err(EmbedError::Rejected(NO_WORDS.to_owned()));
        }
        // The tower reads the row of the first end token, and a row depends only on the tokens before it. A text that
        // contains an end token has two of them, and ArgMax of rten 0.27 returns the last of equal values. The tokens
        // after the first are removed, which does not change its row.
        if let (true, Some(end)) = (self.spec.reads_end_token, self.frame.last())
            && let Some(first) = tokens.iter().position(|token| token == end)
        {
            tokens.truncate(first + 1);
        }
        Ok(tokens)
    }
}

/// Returns the id of a token that the model needs.
fn token(tokenizer: &Tokenizer, name: &str, role: &str) -> Result<u32, String> {
    tokenizer.token_to_id(name).ok_or_else(|| format!("tokenizer.json has no token `{name}`, {role}; {OWN_FILE}"))
}

/// What to do about the file of another model.
const OWN_FILE: &str = "use the tokenizer.json of the model's own repository";

/// Fails if the tokenizer is one of another model, whose ids the text tower would read as other words. Small differences
/// are normal: the table of a tower may be rounded up, and a tokenizer may have tokens that no text contains.
fn check_vocabulary(tokenizer: &Tokenizer, spec: &TextSpec) -> Result<(), String> {
    if let Some(code) = spec.language {
        token(tokenizer, code, "which stands before each text in this language")?;
    }
    let Some((known, file)) = spec.vocabulary else { return Ok(()) };
    let count = u64::try_from(tokenizer.get_vocab_size(true)).unwrap_or(u64::MAX);
    if count.abs_diff(known) > known / 10 {
        return Err(format!("tokenizer.json has {count} tokens, but vocab_size in {file} is {known}; {OWN_FILE}"));
    }
    Ok(())
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
#[path = "tokenizer_strings_tests.rs"]
mod strings_tests;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::models::Cleaning;

    fn file(name: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clip-tiny").join(name)).unwrap()
    }

    fn clip() -> TextSpec {
        TextSpec {
            context: 77,
            pad: PadToken::OfTokenizer,
            pads_left: false,
            vocabulary: None,
            pads_to_context: false,
            reads_end_token: true,
            cleaning: Cleaning::None,
            prefix: "",
            language: None,
            special_tokens_are_text: false,
        }
    }

    fn parse(json: &[u8]) -> Result<TextTokenizer, String> {
        TextTokenizer::parse(json, clip())
    }

    fn tokenizer() -> TextTokenizer {
        parse(&file("tokenizer.json")).unwrap()
    }

    fn tokens(text: &str) -> Result<Vec<u32>, EmbedError> {
        tokenizer().tokens(text, None)
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
            match tokenizer.tokens(text, None) {
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
        let end = tokenizer.frame[1];
        for text in
            ["cat", "a cat <|endoftext|> a dog", "<|endoftext|>", &"a cat ".repeat(10_000), &"x".repeat(100_000)]
        {
            let tokens = tokenizer.tokens(text, None).unwrap();
            assert!(tokens.len() <= 77);
            assert_eq!(tokens.iter().filter(|&&token| token == end).count(), 1, "{text:.40}");
            assert_eq!(tokens.last(), Some(&end), "{text:.40}");
        }
        assert_eq!(tokenizer.tokens(&"a ".repeat(500), None).unwrap().len(), 77);
    }

    #[test]
    fn padding_in_the_file_is_ignored() {
        let padding = r#""padding":{"strategy":{"Fixed":77},"direction":"Right","pad_to_multiple_of":null,
            "pad_id":1113,"pad_type_id":0,"pad_token":"<|endoftext|>"}"#;
        let json = String::from_utf8(file("tokenizer.json")).unwrap().replacen(r#""padding":null"#, padding, 1);
        assert!(json.contains("Fixed"));
        let padded = parse(json.as_bytes()).unwrap();
        assert_eq!(padded.tokens("a cat", None), tokens("a cat"));
        assert_eq!((padded.pad(), tokenizer().pad().is_err()), (Ok(1113), true));
    }

    #[test]
    fn a_text_without_visible_characters_and_an_invalid_file_are_refused() {
        for text in ["", "  ", "\n\t", "\u{200B}", "\0"] {
            assert!(matches!(tokens(text), Err(EmbedError::Rejected(_))), "{text:?}");
        }
        assert!(parse(b"{}").err().unwrap().contains("tokenizer.json"));
        let unframed = String::from_utf8(file("tokenizer.json")).unwrap();
        let start = unframed.find(r#""post_processor":"#).unwrap();
        let end = unframed.find(r#","decoder""#).unwrap();
        let unframed = format!("{}\"post_processor\":null{}", &unframed[..start], &unframed[end..]);
        assert!(parse(unframed.as_bytes()).err().unwrap().contains("frames"));
    }

    #[test]
    fn the_tokenizer_of_another_model_is_refused() {
        let with = |spec: TextSpec| TextTokenizer::parse(&file("tokenizer.json"), spec).err();
        assert_eq!(with(TextSpec { vocabulary: Some((1_200, "config.json")), ..clip() }), None);
        let other = with(TextSpec { vocabulary: Some((49_408, "config.json")), ..clip() }).unwrap();
        assert!(other.contains("1114 tokens, but vocab_size in config.json is 49408"), "{other}");
        let nllb = with(TextSpec { language: Some("eng_Latn"), reads_end_token: false, ..clip() }).unwrap();
        assert!(nllb.contains("tokenizer.json has no token `eng_Latn`"), "{nllb}");
        let pad = TextSpec { pad: PadToken::Name("<pad>".to_owned()), ..clip() };
        let pad = TextTokenizer::parse(&file("tokenizer.json"), pad).unwrap();
        assert!(pad.pad().unwrap_err().contains("no token `<pad>`, the pad token"));
    }

    #[test]
    fn a_text_is_cleaned_and_gets_its_prefix_and_language() {
        let with = |spec: TextSpec| TextTokenizer::parse(&file("tokenizer.json"), spec).unwrap();
        let free = TextSpec { reads_end_token: false, ..clip() };
        let clean = with(TextSpec { cleaning: Cleaning::Canonical, ..free.clone() });
        assert_eq!(clean.tokens("A cat, and a_dog!", None), tokens("a cat and adog"));
        assert!(clean.tokens("!?", None).is_err());
        let prefixed = with(TextSpec { prefix: "query: ", ..free.clone() });
        assert_eq!(prefixed.tokens("a cat", None), tokens("query: a cat"));
        let json = std::fs::read(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/families/nllb-clip/textual/tokenizer.json"),
        );
        let json = json.unwrap();
        let plain = TextTokenizer::parse(&json, free.clone()).unwrap();
        let nllb = TextTokenizer::parse(&json, TextSpec { language: Some("eng_Latn"), ..free }).unwrap();
        let tokens = |text: &str| plain.tokens(text, None);
        for (language, text) in [(None, "eng_Latna cat"), (Some("de-CH"), "deu_Latna cat")] {
            assert_eq!(
                nllb.tokens("a cat", language.map(|tag: &str| tag.parse().unwrap())),
                tokens(text),
                "{language:?}"
            );
        }
        assert_eq!(nllb.tokens("кот", None), tokens("rus_Cyrlкот"));
    }
}
