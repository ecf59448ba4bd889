//! The language of a text, which some models read beside it: [`Language`].

mod codes;
mod script;

use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::nearest;
use codes::{CODES, language_of_codes};

/// The maximum number of characters of an unknown language in a message. No longer text is compared with the codes.
const MAX_SHOWN: usize = 40;

/// One of the languages of NLLB-200, which are those of the models that read a language.
///
/// It is parsed from a BCP 47 tag (`de`, `pt-BR`, `zh-Hant`) or from the code of NLLB (`deu_Latn`), in upper or lower
/// case. A region only selects the script of Chinese; other subtags have no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Language(&'static str);

/// A language that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the language `{language}` is not known; {advice}")]
pub struct UnknownLanguage {
    language: String,
    advice: String,
}

impl Language {
    /// Returns the code of NLLB: the language by ISO 639-3 and its script, such as `deu_Latn`.
    pub fn code(self) -> &'static str {
        self.0
    }
}

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(text: &str) -> Result<Self, UnknownLanguage> {
        let tag = text.to_ascii_lowercase();
        let mut subtags = tag.split(['-', '_']);
        let language = language_of_codes(subtags.next().unwrap_or_default());
        let codes = || CODES.into_iter().filter(move |code| code.split('_').next() == Some(language));
        let is_tag = tag.split(['-', '_']).skip(1).all(is_subtag);
        let script = subtags.find_map(|subtag| match subtag {
            "tw" | "hk" | "mo" if language == "zho" => Some("hant"),
            script if script.len() == 4 && script.bytes().all(|byte| byte.is_ascii_alphabetic()) => Some(script),
            _ => None,
        });
        let has_script = |code: &&str| script.is_none_or(|script| code[4..].eq_ignore_ascii_case(script));
        codes()
            .find(has_script)
            .filter(|_| is_tag)
            .map(Self)
            .ok_or_else(|| UnknownLanguage::new(text, &codes().collect::<Vec<_>>()))
    }
}

/// Whether BCP 47 allows a subtag after the language. Three letters are a further language, which is not supported.
fn is_subtag(subtag: &str) -> bool {
    let is_word = matches!(subtag.len(), 1..=8) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word && !(subtag.len() == 3 && subtag.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

impl<'de> Deserialize<'de> for Language {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl UnknownLanguage {
    /// `codes` are those of the same language in another script.
    fn new(text: &str, codes: &[&str]) -> Self {
        let nearest = Some(text).filter(|text| text.len() <= MAX_SHOWN).and_then(|text| nearest(text, CODES));
        let advice = match (codes, nearest) {
            ([_, ..], _) => format!("this language can be `{}`", codes.join("` or `")),
            (_, Some(nearest)) => format!("did you mean `{nearest}`?"),
            _ => "use a tag of BCP 47 such as `de` or `pt-BR`, or a code of NLLB such as `deu_Latn`".to_owned(),
        };
        Self { language: text.chars().take(MAX_SHOWN).collect(), advice }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_codes_are_parsed() {
        for (text, code) in [
            ("de", "deu_Latn"),
            ("DE-ch-1996", "deu_Latn"),
            ("pt-BR", "por_Latn"),
            ("deu", "deu_Latn"),
            ("deu_Latn", "deu_Latn"),
            ("DEU_LATN", "deu_Latn"),
            ("zh", "zho_Hans"),
            ("zh-TW", "zho_Hant"),
            ("zh_Hant_HK", "zho_Hant"),
            ("zh-Hans-TW", "zho_Hans"),
            ("de-TW", "deu_Latn"),
            ("ar", "arb_Arab"),
            ("fil", "tgl_Latn"),
            ("min-Latn", "min_Latn"),
            ("ks-Deva", "kas_Deva"),
            ("nb-NO", "nob_Latn"),
        ] {
            assert_eq!(text.parse().map(Language::code), Ok(code), "{text}");
        }
        assert!(CODES.iter().all(|code| code.parse() == Ok(Language(code))));
    }

    #[test]
    fn an_unknown_language_gets_a_suggestion() {
        let message = |text: &str| text.parse::<Language>().unwrap_err().to_string();
        assert_eq!(message("sr-Latn"), "the language `sr-Latn` is not known; this language can be `srp_Cyrl`");
        assert_eq!(
            message("zh-Latn"),
            "the language `zh-Latn` is not known; this language can be `zho_Hans` or `zho_Hant`"
        );
        assert_eq!(message("deu_Lat"), "the language `deu_Lat` is not known; this language can be `deu_Latn`");
        assert_eq!(message("duu_Latn"), "the language `duu_Latn` is not known; did you mean `deu_Latn`?");
        for unknown in ["german", "tlh", "", "-", "de DE", &"x".repeat(1000)] {
            let message = message(unknown);
            assert!(message.ends_with("such as `deu_Latn`") && message.len() < 200, "{message}");
        }
        assert!("de--de".parse::<Language>().is_err() && "de-DE ".parse::<Language>().is_err());
    }
}
