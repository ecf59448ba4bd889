//! The characters that keys have at each offset. With them, keys are placed on a line from 0 to 1 in their order: a
//! middle between two keys is then one that keys can have, such as `5` between `0` and `9`.

use std::ops::RangeInclusive;

/// Number of offsets whose characters are distinguished; all later offsets share the last one.
const MAX_OFFSETS: usize = 128;

/// Maximum number of characters of an offset.
const MAX_CHARACTERS: usize = 256;

/// Number of changes between letters and digits from which a word counts as mixed: `IMG00012` has one.
const MIN_ALTERNATIONS: usize = 4;

/// Number of characters of a text that decide its place.
const PLACE_CHARACTERS: usize = 10;

/// Number of characters of a text that [`Alphabet::text_at`] makes.
const TEXT_CHARACTERS: usize = 8;

/// The characters at each offset after the prefix of a job.
#[derive(Clone, Debug, Default)]
pub(super) struct Alphabet {
    /// Bytes of the prefix, which all keys have.
    prefix: usize,
    /// For each offset, the characters in the order of their bytes, each once.
    offsets: Vec<Vec<char>>,
}

/// The keys after a position and before a bound: they begin with a stem, and what follows has a place.
struct Interval {
    /// Bytes of the stem.
    stem: usize,
    /// Characters of the stem after the prefix.
    offset: usize,
    from: f64,
    to: f64,
}

impl Alphabet {
    /// Returns the alphabet of keys with a prefix; no character is known.
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.len(), offsets: Vec::new() }
    }

    /// Adds the characters of a key, and similar ones.
    pub(super) fn add(&mut self, key: &str) {
        let characters: Vec<char> = key.get(self.prefix..).unwrap_or_default().chars().collect();
        let mut offset = 0;
        for word in characters.chunk_by(|one, next| one.is_ascii_alphanumeric() && next.is_ascii_alphanumeric()) {
            let is_mixed = is_mixed(word);
            for character in word {
                match self.characters_mut(offset) {
                    known if is_mixed => word.iter().for_each(|character| insert_similar(known, *character)),
                    known => insert_similar(known, *character),
                }
                offset += 1;
            }
        }
    }

    fn characters_mut(&mut self, offset: usize) -> &mut Vec<char> {
        let offset = offset.min(MAX_OFFSETS - 1);
        if self.offsets.len() <= offset {
            self.offsets.resize_with(offset + 1, Vec::new);
        }
        &mut self.offsets[offset]
    }

    fn known(&self, offset: usize) -> &[char] {
        self.offsets.get(offset.min(MAX_OFFSETS - 1)).map_or(&[], Vec::as_slice)
    }

    /// Returns the place of a text that begins at an offset: from 0 to 1, in the order of the texts. Each character is a
    /// digit of the place: 0 is the end of the text, 1 the first known character. A character that is not known has the
    /// place after all texts that begin with a lower one.
    #[expect(clippy::cast_precision_loss, reason = "at most 257")]
    fn place(&self, text: &str, offset: usize) -> f64 {
        let (mut place, mut unit) = (0.0, 1.0);
        for (index, character) in text.chars().take(PLACE_CHARACTERS).enumerate() {
            let known = self.known(offset + index);
            let found = known.binary_search(&character);
            let (Ok(digit) | Err(digit)) = found;
            unit /= (known.len() + 1) as f64;
            place += unit * (digit + 1) as f64;
            if found.is_err() {
                break;
            }
        }
        place
    }

    /// Returns a short text that begins at an offset and whose place is at most `place`, near to it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "at most 257 and not negative"
    )]
    fn text_at(&self, place: f64, offset: usize) -> String {
        let (mut text, mut rest) = (String::new(), place.clamp(0.0, 1.0));
        for index in 0..TEXT_CHARACTERS {
            let known = self.known(offset + index);
            rest *= (known.len() + 1) as f64;
            let digit = (rest as usize).min(known.len());
            let Some(character) = digit.checked_sub(1).and_then(|index| known.get(index)) else { break };
            text.push(*character);
            rest = (rest - digit as f64).clamp(0.0, 1.0);
        }
        text
    }

    fn interval(&self, position: &str, bound: &str) -> Interval {
        let stem = common_prefix(position, bound).max(self.prefix);
        let offset = position.get(self.prefix..stem).unwrap_or_default().chars().count();
        let place = |text: &str| self.place(text.get(stem..).unwrap_or_default(), offset);
        let from = place(position);
        // A bound that does not begin with the prefix is after all keys that do.
        let begins_with_stem = bound.len() >= stem && bound.get(..stem) == position.get(..stem);
        Interval { stem, offset, from, to: if begins_with_stem { place(bound).max(from) } else { 1.0 } }
    }

    /// Returns which share of the keys between `after` and `bound` is passed at `position`, if they are spread evenly.
    pub(super) fn passed(&self, after: &str, position: &str, bound: &str) -> f64 {
        let Interval { stem, offset, from, to } = self.interval(after, bound);
        match position {
            _ if position >= bound => 1.0,
            _ if to <= from => 0.5,
            _ => {
                let place = self.place(position.get(stem..).unwrap_or_default(), offset);
                ((place - from) / (to - from)).clamp(0.0, 1.0)
            }
        }
    }

    /// Returns at most `count` texts after `position` and before `bound`, in their order, that divide the keys evenly.
    pub(super) fn texts(&self, position: &str, bound: &str, count: usize) -> Vec<String> {
        let Interval { stem, offset, from, to } = self.interval(position, bound);
        let Some(stem) = position.get(..stem) else { return Vec::new() };
        #[expect(clippy::cast_precision_loss, reason = "at most the number of lanes")]
        let place = |step: usize| from + (to - from) * step as f64 / (count + 1) as f64;
        let texts = (1..=count).map(|step| format!("{stem}{}", self.text_at(place(step), offset)));
        let mut texts: Vec<String> = texts.filter(|text| text.as_str() > position && text.as_str() < bound).collect();
        texts.dedup();
        texts
    }
}

/// Whether letters and digits alternate often, as in hexadecimal numbers: then each can be anywhere in the word.
fn is_mixed(word: &[char]) -> bool {
    word.windows(2).filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit()).count() >= MIN_ALTERNATIONS
}

fn insert_similar(known: &mut Vec<char>, character: char) {
    if known.binary_search(&character).is_ok() {
        return;
    }
    for similar in similar_characters(character) {
        if let Err(index) = known.binary_search(&similar)
            && known.len() < MAX_CHARACTERS
        {
            known.insert(index, similar);
        }
    }
}

/// Returns the characters that keys probably have where they have this one: all digits for a digit, all letters for a
/// letter, and only those of hexadecimal numbers if it is one of them.
fn similar_characters(character: char) -> RangeInclusive<char> {
    match character {
        '0'..='9' => '0'..='9',
        'a'..='f' => 'a'..='f',
        'g'..='z' => 'a'..='z',
        'A'..='F' => 'A'..='F',
        'G'..='Z' => 'A'..='Z',
        other => other..=other,
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

    fn alphabet(prefix: &str, key: &str) -> Alphabet {
        let mut alphabet = Alphabet::new(prefix);
        alphabet.add(key);
        alphabet
    }

    #[test]
    fn places_are_in_the_order_of_texts() {
        let digits = alphabet("", "000");
        let texts = ["", "0", "00", "000", "01", "09", "1", "5", "55", "9", "99", "999"];
        for pair in texts.windows(2) {
            assert!(digits.place(pair[0], 0) < digits.place(pair[1], 0), "{pair:?}");
        }
        assert!(digits.place(".", 0) <= digits.place("0", 0) && digits.place("999", 0) < digits.place("a", 0));
        assert!((digits.place("\u{10FFFF}\u{10FFFF}", 0) - 1.0).abs() < 1e-9);
        assert!((Alphabet::default().place("a", 0) - 1.0).abs() < 1e-9);
        let long = alphabet("", &"x".repeat(5_000));
        assert!(long.place("a", 4_000) < long.place("b", 4_000));
    }

    #[test]
    fn a_text_is_near_its_place_and_not_after_it() {
        let hex = alphabet("", "0f0f0f0f0f0f0f0f");
        for step in 0..=1_000 {
            let place = f64::from(step) / 1_000.0;
            let text = hex.text_at(place, 0);
            assert!(hex.place(&text, 0) <= place + 1e-9, "{place}: {text}");
            assert!(place - hex.place(&text, 0) < 0.12, "{place}: {text}");
        }
        assert_eq!(Alphabet::default().text_at(0.5, 0), "");
    }

    #[test]
    fn the_share_that_is_passed_follows_the_position() {
        let digits = alphabet("a/", "a/00100");
        let passed = |position| digits.passed("a/00100", position, "a/00900");
        assert!(passed("a/00100").abs() < 1e-9 && (passed("a/00900") - 1.0).abs() < 1e-9);
        assert!((passed("a/00500") - 0.5).abs() < 0.05);
        assert!(
            (0.1..0.2).contains(&alphabet("x", "xßa").passed("xß", "xßa", "xü")),
            "an end with an unknown character"
        );
        assert!((digits.passed("a/1", "b", "a/2") - 1.0).abs() < 1e-9, "a key after the end");
    }

    #[test]
    fn texts_have_the_characters_of_their_offsets() {
        let names = alphabet("images/", "images/IMG_00001234.jpg");
        let texts = names.texts("images/IMG_00001234.jpg", "images/IMG_1", 4);
        assert!(texts.iter().zip(["IMG_01", "IMG_03", "IMG_05", "IMG_07"]).all(|(text, digits)| text[7..] > *digits));
        assert_eq!(texts.iter().map(|text| &text[..11]).collect::<Vec<_>>(), ["images/IMG_"; 4]);
        assert!(texts.is_sorted() && texts[3].as_str() < "images/IMG_09", "{texts:?}");
        for bound in ["images0", "\u{10FFFF}"] {
            let texts = names.texts("images/IMG_0", bound, 3);
            assert!(
                texts.iter().all(|text| text.starts_with("images/") && text.as_str() > "images/IMG_0"),
                "{texts:?}"
            );
            assert_eq!(texts.len(), 3);
        }
        assert_eq!(names.texts("", "images/5", 3), Vec::<String>::new(), "a position before the prefix");
        assert_eq!(names.texts("images/b", "images/a", 3), Vec::<String>::new());
    }

    #[test]
    fn common_prefixes_have_whole_characters() {
        for (one, other, length) in [("", "a", 0), ("ab", "ac", 1), ("é", "è", 0), ("aé", "aéb", 3), ("a", "a", 1)]
        {
            assert_eq!(common_prefix(one, other), length, "{one} {other}");
        }
    }
}
