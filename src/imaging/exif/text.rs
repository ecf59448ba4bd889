//! Texts of metadata, which have any encoding and any characters.

/// Decodes UTF-8, or else Latin-1.
pub(super) fn decode(bytes: &[u8]) -> String {
    str::from_utf8(bytes).map_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect(), str::to_owned)
}

/// Returns a text without control characters and without spaces at its ends, and with at most `max_bytes`; `None` if nothing
/// is left.
pub(super) fn clean(text: &str, max_bytes: usize) -> Option<String> {
    let is_kept = |c: &char| !c.is_control() || *c == '\n';
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
