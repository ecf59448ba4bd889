//! Unicode normal forms of keys. File systems and tools write `é` as one character (NFC) or as two (NFD); a bucket keeps what it
//! was given, so that the same name typed elsewhere may have other bytes.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The text in NFC.
pub fn nfc(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text.into(),
        IsNormalized::No | IsNormalized::Maybe => text.nfc().collect::<String>().into(),
    }
}

/// The text in NFD. One text begins with another in any normal form if it does so in this one.
pub fn nfd(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { text.into() } else { text.nfd().collect::<String>().into() }
}

/// The same text in NFC and in NFD, without those forms that it is in already, and the name of each.
pub fn other_forms(text: &str) -> Vec<(&'static str, String)> {
    let forms = [("NFC", nfc(text)), ("NFD", nfd(text))];
    forms.into_iter().filter(|(_, form)| form != text).map(|(name, form)| (name, form.into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_forms_are_other_bytes() {
        assert_eq!(other_forms("images/plain"), []);
        assert_eq!(other_forms("\u{fc}"), [("NFD", "u\u{308}".to_owned())]);
        assert_eq!(other_forms("u\u{308}"), [("NFC", "\u{fc}".to_owned())]);
        // Mixed: neither form is the text itself.
        assert_eq!(other_forms("\u{fc}u\u{308}").len(), 2);
        assert_eq!(other_forms("\u{d55c}").len(), 1, "Hangul is decomposed, too");
        assert_eq!(other_forms("日本"), []);
    }
}
