//! How a text is cleaned before it is split into tokens. Many tokenizer files do the same themselves; doing it twice
//! changes nothing.

use std::borrow::Cow;

/// The rules of the libraries with which models are trained and served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cleaning {
    /// The tokenizer gets the text as it is.
    None,
    /// Lower case (SigLIP 2 in transformers).
    Lower,
    /// One space between words, none at the ends (OpenCLIP and immich, for tokenizers of other models).
    Spaces,
    /// Lower case, and one space between words (OpenCLIP's own tokenizer).
    LowerSpaces,
    /// Lower case, without ASCII punctuation, then one space between words (SigLIP in transformers).
    Canonical,
    /// As `Canonical`, but `_` is a space (OpenCLIP).
    CanonicalOpenClip,
    /// As `Canonical`, but the spaces are changed before the punctuation is removed (immich).
    CanonicalImmich,
}

impl Cleaning {
    /// Returns the name of a rule that changes vectors, as the end of the name of the preparation. Spaces do not change
    /// them, because the tokenizers of these models ignore them.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None | Self::Spaces | Self::LowerSpaces => "",
            Self::Lower => "+lower",
            Self::Canonical => "+canonical",
            Self::CanonicalOpenClip => "+canonical-openclip",
            Self::CanonicalImmich => "+canonical-immich",
        }
    }

    pub(crate) fn apply(self, text: &str) -> Cow<'_, str> {
        let spaced = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let without_punctuation =
            |text: &str| text.chars().filter(|char| !char.is_ascii_punctuation()).collect::<String>();
        Cow::Owned(match self {
            Self::None => return Cow::Borrowed(text),
            Self::Lower => text.to_lowercase(),
            Self::Spaces => spaced(text),
            Self::LowerSpaces => spaced(text).to_lowercase(),
            Self::Canonical => spaced(&without_punctuation(text).to_lowercase()),
            Self::CanonicalOpenClip => spaced(&without_punctuation(&text.replace('_', " ")).to_lowercase()),
            Self::CanonicalImmich => without_punctuation(&spaced(text)).to_lowercase(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_cleans_as_its_library() {
        for (rule, expected) in [
            (Cleaning::None, " A_b ,  It's\tÉ "),
            (Cleaning::Lower, " a_b ,  it's\té "),
            (Cleaning::Spaces, "A_b , It's É"),
            (Cleaning::LowerSpaces, "a_b , it's é"),
            (Cleaning::Canonical, "ab its é"),
            (Cleaning::CanonicalOpenClip, "a b its é"),
            (Cleaning::CanonicalImmich, "ab  its é"),
        ] {
            assert_eq!(rule.apply(" A_b ,  It's\tÉ "), expected, "{rule:?}");
            assert_eq!(rule.apply(&rule.apply("A_B, c")), rule.apply("A_B, c"), "{rule:?}");
        }
    }
}
