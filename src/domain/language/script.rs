//! Finds the language of a text by its script alone.

use std::collections::BTreeMap;

use super::Language;

/// Ranges of characters, in order, and the language of most texts that are written with them.
const SCRIPTS: [(char, char, &str); 39] = [
    ('\u{0370}', '\u{03FF}', "ell_Grek"),
    ('\u{0400}', '\u{052F}', "rus_Cyrl"),
    ('\u{0530}', '\u{058F}', "hye_Armn"),
    ('\u{0590}', '\u{05FF}', "heb_Hebr"),
    ('\u{0600}', '\u{06FF}', "arb_Arab"),
    ('\u{0750}', '\u{077F}', "arb_Arab"),
    ('\u{0900}', '\u{097F}', "hin_Deva"),
    ('\u{0980}', '\u{09FF}', "ben_Beng"),
    ('\u{0A00}', '\u{0A7F}', "pan_Guru"),
    ('\u{0A80}', '\u{0AFF}', "guj_Gujr"),
    ('\u{0B00}', '\u{0B7F}', "ory_Orya"),
    ('\u{0B80}', '\u{0BFF}', "tam_Taml"),
    ('\u{0C00}', '\u{0C7F}', "tel_Telu"),
    ('\u{0C80}', '\u{0CFF}', "kan_Knda"),
    ('\u{0D00}', '\u{0D7F}', "mal_Mlym"),
    ('\u{0D80}', '\u{0DFF}', "sin_Sinh"),
    ('\u{0E00}', '\u{0E7F}', "tha_Thai"),
    ('\u{0E80}', '\u{0EFF}', "lao_Laoo"),
    ('\u{0F00}', '\u{0FFF}', "bod_Tibt"),
    ('\u{1000}', '\u{109F}', "mya_Mymr"),
    ('\u{10A0}', '\u{10FF}', "kat_Geor"),
    ('\u{1100}', '\u{11FF}', "kor_Hang"),
    ('\u{1200}', '\u{139F}', "amh_Ethi"),
    ('\u{1780}', '\u{17FF}', "khm_Khmr"),
    ('\u{1F00}', '\u{1FFF}', "ell_Grek"),
    ('\u{2D30}', '\u{2D7F}', "tzm_Tfng"),
    ('\u{3040}', '\u{30FF}', KANA),
    ('\u{3130}', '\u{318F}', "kor_Hang"),
    ('\u{31F0}', '\u{31FF}', KANA),
    ('\u{3400}', '\u{4DBF}', HAN),
    ('\u{4E00}', '\u{9FFF}', HAN),
    ('\u{AC00}', '\u{D7AF}', "kor_Hang"),
    ('\u{F900}', '\u{FAFF}', HAN),
    ('\u{FB1D}', '\u{FB4F}', "heb_Hebr"),
    ('\u{FB50}', '\u{FDFF}', "arb_Arab"),
    ('\u{FE70}', '\u{FEFF}', "arb_Arab"),
    ('\u{FF66}', '\u{FF9F}', KANA),
    ('\u{20000}', '\u{2FA1F}', HAN),
    ('\u{30000}', '\u{323AF}', HAN),
];

const KANA: &str = "jpn_Jpan";
const HAN: &str = "zho_Hans";

impl Language {
    /// Returns the language that most texts in the script of this text have: Russian for Cyrillic, Chinese for Han
    /// characters without kana. The script is that of most letters. `None` for Latin letters, which every third language
    /// uses, and for a text without letters.
    pub fn detect(text: &str) -> Option<Self> {
        let has_kana = text.chars().any(|letter| by_letter(letter) == Some(KANA));
        let mut counts = BTreeMap::new();
        for letter in text.chars().filter(|letter| letter.is_alphabetic()) {
            let code = by_letter(letter).map(|code| if has_kana && code == HAN { KANA } else { code });
            *counts.entry(code).or_insert(0_usize) += 1;
        }
        let (code, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        code.map(Self)
    }
}

fn by_letter(letter: char) -> Option<&'static str> {
    let end = SCRIPTS.partition_point(|(first, ..)| *first <= letter);
    let (_, last, code) = SCRIPTS[..end].last()?;
    (letter <= *last).then_some(*code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::language::codes::CODES;

    #[test]
    fn most_letters_decide() {
        for (text, code) in [
            ("кошка на диване", Some("rus_Cyrl")),
            ("γάτα", Some("ell_Grek")),
            ("고양이", Some("kor_Hang")),
            ("日本の猫", Some("jpn_Jpan")),
            ("猫在沙发上", Some("zho_Hans")),
            ("قطة على الأريكة", Some("arb_Arab")),
            ("बिल्ली", Some("hin_Deva")),
            ("แมว", Some("tha_Thai")),
            ("חתול", Some("heb_Hebr")),
            ("a photo of 猫", None),
            ("LED и кошка", Some("rus_Cyrl")),
            ("eine Katze", None),
            ("123 🐈 !", None),
            ("", None),
        ] {
            assert_eq!(Language::detect(text).map(Language::code), code, "{text}");
        }
    }

    #[test]
    fn the_ranges_are_ordered_and_have_codes() {
        assert!(
            SCRIPTS.windows(2).all(|two| two[0].1 < two[1].0) && SCRIPTS.iter().all(|(first, last, _)| first < last)
        );
        assert!(SCRIPTS.iter().all(|(.., code)| CODES.contains(code)));
    }
}
