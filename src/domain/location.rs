//! A place that a user names: an address with a scheme, or a path of this machine.

/// Splits `scheme:/rest` into the scheme and what follows the colon. Returns `None` for a path. A scheme has at least two
/// characters, and its case does not matter.
pub(crate) fn split_scheme(location: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = location.split_once(':')?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_scheme =
        scheme.len() > 1 && scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(is_part);
    (is_scheme && rest.starts_with('/')).then_some((scheme, rest))
}

/// Returns what follows `s3://` in any case.
pub(crate) fn strip_s3(location: &str) -> Option<&str> {
    let (scheme, rest) = split_scheme(location)?;
    rest.strip_prefix("//").filter(|_| scheme.eq_ignore_ascii_case("s3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_not_a_path_in_any_case() {
        for (location, scheme) in [("s3://b/p", "s3"), ("S3:/b", "S3"), ("HTTPS://h/", "HTTPS"), ("s3+x://b", "s3+x")] {
            assert_eq!(split_scheme(location).map(|(scheme, _)| scheme), Some(scheme), "{location}");
        }
        for path in ["", "a", "./s3:/b", "/a:/b", "s3:", "s3:b", "a b:/c", "2:/b", "C:/a", "1s:/b", ":/b", "ä1:/b"] {
            assert_eq!(split_scheme(path), None, "{path}");
        }
        assert_eq!((strip_s3("S3://b/p"), strip_s3("s3://b")), (Some("b/p"), Some("b")));
        assert_eq!((strip_s3("S3:/b/p"), strip_s3("http://b"), strip_s3("b")), (None, None, None));
    }
}
