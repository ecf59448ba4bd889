//! The characters of the listed keys. With them, keys are placed on a line from 0 to 1 in their order: a middle between
//! two keys is then one that keys can have, such as `5` between `0` and `9`.

/// Maximum number of characters of an alphabet.
const MAX_CHARACTERS: usize = 256;

/// Number of characters of a text that decide its place.
const PLACE_CHARACTERS: usize = 10;

/// Number of characters of a text that [`Alphabet::text_at`] makes.
const TEXT_CHARACTERS: usize = 4;

/// Characters in the order of their bytes, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Alphabet(Vec<char>);

impl Alphabet {
    /// Adds the characters of a key.
    pub(super) fn add(&mut self, key: &str) {
        for character in key.chars() {
            if let Err(index) = self.0.binary_search(&character)
                && self.0.len() < MAX_CHARACTERS
            {
                self.0.insert(index, character);
            }
        }
    }

    /// The digits of a place: 0 for the end of the text, and one for each character.
    #[expect(clippy::cast_precision_loss, reason = "at most 257")]
    fn base(&self) -> f64 {
        (self.0.len() + 1) as f64
    }

    /// Returns the place of a text: from 0 to 1, in the order of texts that have known characters.
    #[expect(clippy::cast_precision_loss, reason = "at most 256")]
    pub(super) fn place(&self, text: &str) -> f64 {
        let (mut place, mut unit) = (0.0, 1.0);
        for character in text.chars().take(PLACE_CHARACTERS) {
            unit /= self.base();
            place += unit * (self.0.partition_point(|known| *known < character) + 1).min(self.0.len()) as f64;
        }
        place
    }

    /// Returns a short text whose place is at most `place`, near to it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "at most 256 and not negative"
    )]
    pub(super) fn text_at(&self, place: f64) -> String {
        let (mut text, mut rest) = (String::new(), place.clamp(0.0, 1.0));
        while text.chars().count() < TEXT_CHARACTERS {
            rest *= self.base();
            let digit = (rest as usize).min(self.0.len());
            let Some(character) = digit.checked_sub(1).and_then(|index| self.0.get(index)) else { break };
            text.push(*character);
            rest = (rest - digit as f64).clamp(0.0, 1.0);
        }
        text
    }

    /// Returns which share of the keys between `after` and `end` is passed at `position`, if they were spread evenly.
    pub(super) fn passed(&self, after: &str, position: &str, end: &str) -> f64 {
        let common = common_prefix(after, end);
        let place = |text: &str| self.place(text.get(common..).unwrap_or_default());
        let (from, to) = (place(after), place(end));
        match position {
            _ if position >= end => 1.0,
            _ if to <= from => 0.5,
            _ => ((place(position) - from) / (to - from)).clamp(0.0, 1.0),
        }
    }
}

/// Returns the length in bytes of the longest common prefix of whole characters.
pub(super) fn common_prefix(one: &str, other: &str) -> usize {
    let differing = one.char_indices().zip(other.chars()).find(|((_, left), right)| left != right);
    differing.map_or(one.len().min(other.len()), |((at, _), _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alphabet(key: &str) -> Alphabet {
        let mut alphabet = Alphabet::default();
        alphabet.add(key);
        alphabet
    }

    #[test]
    fn places_are_in_the_order_of_texts() {
        let digits = alphabet("images/0123456789.jpg");
        let texts = ["", ".", "0", "0.", "00", "01", "09", "1", "5", "55", "9", "99", "a", "jpg", "s"];
        for pair in texts.windows(2) {
            assert!(digits.place(pair[0]) < digits.place(pair[1]), "{pair:?}");
        }
        assert!(digits.place("\u{10FFFF}\u{10FFFF}") <= 1.0);
        assert!(Alphabet::default().place("a").abs() < 2.0);
    }

    #[test]
    fn a_text_is_near_its_place_and_not_after_it() {
        let hex = alphabet("0123456789abcdef.jpg");
        for step in 0..=1_000 {
            let place = f64::from(step) / 1_000.0;
            let text = hex.text_at(place);
            assert!(hex.place(&text) <= place + 1e-9, "{place}: {text}");
            assert!(place - hex.place(&text) < 0.06, "{place}: {text}");
        }
        assert_eq!(Alphabet::default().text_at(0.5), "");
    }

    #[test]
    fn the_share_that_is_passed_follows_the_position() {
        let digits = alphabet("0123456789");
        let passed = |position| digits.passed("a/00100", position, "a/00900");
        assert!(passed("a/00100").abs() < 1e-9 && (passed("a/00900") - 1.0).abs() < 1e-9);
        assert!((passed("a/00500") - 0.5).abs() < 0.05);
        assert!((digits.passed("xß", "xßa", "xü") - 0.5).abs() < 1e-9);
        assert!((digits.passed("a/1", "b", "a/2") - 1.0).abs() < 1e-9, "a key after the end");
    }

    #[test]
    fn common_prefixes_have_whole_characters() {
        for (one, other, length) in [("", "a", 0), ("ab", "ac", 1), ("é", "è", 0), ("aé", "aéb", 3), ("a", "a", 1)]
        {
            assert_eq!(common_prefix(one, other), length, "{one} {other}");
        }
    }
}
