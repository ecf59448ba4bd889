//! The order of keys: that of their UTF-8 bytes, which is that of their code points.

/// Returns the first text after all texts that begin with `prefix`. For the empty prefix, returns the empty text.
pub(crate) fn end_of_prefix(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // Skip the surrogates, which are not characters.
        let next = if last == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(last as u32 + 1) };
        if let Some(next) = next {
            end.push(next);
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_after_all_texts_with_the_prefix() {
        for (prefix, end) in
            [("s3://b/", "s3://b0"), ("a\u{D7FF}", "a\u{E000}"), ("a\u{10FFFF}", "b"), ("\u{10FFFF}", ""), ("", "")]
        {
            assert_eq!(end_of_prefix(prefix), end);
        }
    }
}
