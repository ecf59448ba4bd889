//! Texts of metadata, which have any encoding and any characters.

/// Decodes UTF-8, or else Latin-1.
pub(super) fn decode(bytes: &[u8]) -> String {
    str::from_utf8(bytes).map_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect(), str::to_owned)
}

/// Returns a name on one line, with single spaces, as [`clean`] returns it: a name is a value of filters and facets.
pub(super) fn clean_name(name: &str, max_bytes: usize) -> Option<String> {
    clean(&name.split_whitespace().collect::<Vec<_>>().join(" "), max_bytes)
}

/// Whether the character has no shape of its own, but changes the order or the form of others.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// Returns a text without control characters and invisible ones, without spaces at its ends, and with at most `max_bytes`; `None`
/// if nothing is left.
pub(super) fn clean(text: &str, max_bytes: usize) -> Option<String> {
    let is_kept = |c: &char| *c == '\n' || !(c.is_control() || is_invisible(*c));
    let mut cleaned = String::new();
    for c in text.trim().chars().filter(is_kept) {
        if cleaned.len() + c.len_utf8() > max_bytes {
            break;
        }
        cleaned.push(c);
    }
    let end = cleaned.trim_end().len();
    cleaned.truncate(end);
    (!cleaned.is_empty()).then_some(cleaned)
}

/// Returns the first `max_count` different texts, each as [`clean`] returns it.
pub(super) fn clean_list(texts: &[String], max_count: usize, max_bytes: usize) -> Vec<String> {
    let mut cleaned = Vec::new();
    for text in texts.iter().filter_map(|text| clean(text, max_bytes)) {
        if cleaned.len() == max_count {
            break;
        }
        if !cleaned.contains(&text) {
            cleaned.push(text);
        }
    }
    cleaned
}
