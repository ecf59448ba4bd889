//! Unicode normal forms of keys. File systems and tools write `é` as one character (NFC) or as two (NFD). A bucket
//! keeps the bytes that it receives, so the same name typed on another system can have other bytes.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Returns the text in NFC.
pub fn nfc(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text.into(),
        IsNormalized::No | IsNormalized::Maybe => text.nfc().collect::<String>().into(),
    }
}

/// Returns the text in NFD. If one text begins with another in any normal form, it also does so in NFD.
pub fn nfd(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { text.into() } else { text.nfd().collect::<String>().into() }
}

/// Returns the text in NFC and in NFD, each with the name of the form. A form that is equal to the text is left out.
pub fn other_forms(text: &str) -> Vec<(&'static str, String)> {
    let forms = [("NFC", nfc(text)), ("NFD", nfd(text))];
    forms.into_iter().filter(|(_, form)| form != text).map(|(name, form)| (name, form.into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forms_with_other_bytes_are_returned() {
        assert_eq!(other_forms("images/plain"), []);
        assert_eq!(other_forms("\u{fc}"), [("NFD", "u\u{308}".to_owned())]);
        assert_eq!(other_forms("u\u{308}"), [("NFC", "\u{fc}".to_owned())]);
        // Mixed: neither form is the text itself.
        assert_eq!(other_forms("\u{fc}u\u{308}").len(), 2);
        assert_eq!(other_forms("\u{d55c}").len(), 1, "Hangul is decomposed, too");
        assert_eq!(other_forms("日本"), []);
    }
}
