//! The keys of uploads.

/// Maximum length of a key in bytes, as in S3.
pub const MAX_KEY_BYTES: usize = 1024;

/// Fails if a key cannot be that of an upload. Any other key is stored unchanged.
///
/// # Errors
/// A message that says what is wrong.
pub(super) fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() || key.ends_with('/') {
        return Err("it must name an object, and not be empty or end with `/`".to_owned());
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(format!("it has {} bytes; at most {MAX_KEY_BYTES} are allowed", key.len()));
    }
    // Clients, proxies and some servers resolve these, so that the object would have another key.
    if key.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err("it must not contain an empty name, `.` or `..` between two `/`, or begin with `/`".to_owned());
    }
    if key.chars().any(char::is_control) {
        return Err("it must not contain control characters".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusual_keys_are_allowed() {
        for key in ["a.jpg", "a b+c%2F.jpg", "⛄/日本.png", "..a/b...jpg", &"x".repeat(1024)] {
            assert_eq!(check_key(key), Ok(()), "{key}");
        }
    }

    #[test]
    fn keys_that_name_no_object_or_another_folder_are_refused() {
        for key in [
            "",
            "/",
            "a/",
            "..",
            "../a.jpg",
            "a/../b.jpg",
            "a/./b.jpg",
            "/lead.jpg",
            "a//b.jpg",
            "a\n.jpg",
            "\0",
            &"x".repeat(1025),
        ] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
    }
}
