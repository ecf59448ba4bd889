//! Repairs the text of a listing page. For the SDK, one key that is not UTF-8, or one character that XML does not allow,
//! makes the whole page unreadable. After the repair, only that key is unreadable.

use std::borrow::Cow;
use std::fmt::Write;

use memchr::memmem;

/// Replaces what cannot be read. Unicode guarantees that these code points are never characters. A key can have one of
/// them, but not this sequence.
pub(super) const UNREADABLE: &str = "\u{FDD0}\u{FDEF}\u{FDD0}";

/// Returns the bytes with [`UNREADABLE`] in place of everything that an XML parser refuses.
pub(super) fn repair(bytes: &[u8]) -> Cow<'_, [u8]> {
    match without_markup(bytes) {
        Some(escaped) => repair_text(&escaped).into_owned().into(),
        None => repair_text(bytes),
    }
}

/// Begin and end of markup inside a text. The SDK ends the text there.
const MARKUP: [Markup; 3] = [(CDATA, b"]]>"), (b"<!--", b"-->"), (b"<?", b"?>")];
type Markup = (&'static [u8], &'static [u8]);
const CDATA: &[u8] = b"<![CDATA[";

/// Returns the page without comments and processing instructions, and with escaped text in place of its CDATA sections;
/// `None` if it has none of them after its first line.
fn without_markup(bytes: &[u8]) -> Option<Vec<u8>> {
    // Every page may begin with `<?xml`.
    let prolog = if bytes.starts_with(b"<?xml") { memmem::find(bytes, b"?>").map_or(0, |end| end + 2) } else { 0 };
    let (mut out, mut rest) = (bytes[..prolog].to_vec(), &bytes[prolog..]);
    while let Some((start, (begin, end))) = next_markup(rest) {
        let text = &rest[start + begin.len()..];
        let Some(length) = memmem::find(text, end) else { break };
        out.extend_from_slice(&rest[..start]);
        if begin == CDATA {
            escape(&text[..length], &mut out);
        }
        rest = &text[length + end.len()..];
    }
    if rest.len() == bytes.len() - prolog {
        return None;
    }
    out.extend_from_slice(rest);
    Some(out)
}

fn next_markup(bytes: &[u8]) -> Option<(usize, Markup)> {
    memchr::memchr_iter(b'<', bytes)
        .find_map(|at| MARKUP.into_iter().find(|(begin, _)| bytes[at..].starts_with(begin)).map(|found| (at, found)))
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            byte => out.push(*byte),
        }
    }
}

fn repair_text(bytes: &[u8]) -> Cow<'_, [u8]> {
    let good =
        std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_allowed) && has_only_valid_references(text));
    if good {
        return Cow::Borrowed(bytes);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if is_allowed(letter) { text.push(letter) } else { text.push_str(UNREADABLE) }
        }
        if !chunk.invalid().is_empty() {
            text.push_str(UNREADABLE);
        }
    }
    Cow::Owned(repair_references(&text).into_bytes())
}

/// Whether XML 1.0 allows a character.
fn is_allowed(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// A `;` further away from an ampersand does not end a reference.
const MAX_REFERENCE_BYTES: usize = 64;

/// The text after an ampersand.
enum Reference {
    /// A valid reference, with its length in bytes.
    Valid(usize),
    /// A number that is not a character, or an entity that XML does not define, with the length of the reference in
    /// bytes.
    Undefined(usize),
    /// No reference: the ampersand was not escaped.
    None,
}

/// Parses the text after an ampersand.
fn parse_reference(rest: &str) -> Reference {
    let Some(end) = rest.as_bytes().iter().take(MAX_REFERENCE_BYTES).position(|byte| *byte == b';') else {
        return Reference::None;
    };
    let name = &rest[..end];
    let number = match name.strip_prefix('#') {
        None if matches!(name, "amp" | "lt" | "gt" | "quot" | "apos") => return Reference::Valid(end + 1),
        None if is_entity_name(name) => return Reference::Undefined(end + 1),
        None => return Reference::None,
        Some(digits) => match digits.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => digits.parse(),
        },
    };
    match number {
        Ok(number) if char::from_u32(number).is_some() => Reference::Valid(end + 1),
        Ok(_) => Reference::Undefined(end + 1),
        Err(_) => Reference::None,
    }
}

/// Whether a text is the name of an entity. A listing has no definitions of others than the five of XML.
fn is_entity_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.'))
}

fn has_only_valid_references(text: &str) -> bool {
    text.match_indices('&').all(|(at, _)| matches!(parse_reference(&text[at + 1..]), Reference::Valid(_)))
}

fn repair_references(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let length = match parse_reference(after) {
            Reference::Valid(length) => {
                write!(out, "&{}", &after[..length]).ok();
                length
            }
            Reference::Undefined(length) => {
                out.push_str(UNREADABLE);
                length
            }
            Reference::None => {
                out.push_str("&amp;");
                0
            }
        };
        rest = &after[length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
#[path = "page_text_tests.rs"]
mod tests;
