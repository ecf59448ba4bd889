//! Known answers of queries: the keys of images, or the ends of keys.

/// Whether a key ends with the path segments of the answer: `x/b/cat.jpg` with `b/cat.jpg`, but not with `at.jpg`.
pub(crate) fn is_answer(key: &str, answer: &str) -> bool {
    let answer = answer.trim_start_matches('/');
    !answer.is_empty() && key.strip_suffix(answer).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_matches_whole_segments_at_the_end_of_a_key() {
        for (key, answer, right) in [
            ("cat.jpg", "cat.jpg", true),
            ("images/cat.jpg", "cat.jpg", true),
            ("images/cat.jpg", "/cat.jpg", true),
            ("x/b/cat.jpg", "b/cat.jpg", true),
            ("x/bb/cat.jpg", "b/cat.jpg", false),
            ("images/wildcat.jpg", "cat.jpg", false),
            ("cat.jpg", "images/cat.jpg", false),
            ("images/", "", false),
        ] {
            assert_eq!(is_answer(key, answer), right, "{key} {answer}");
        }
    }
}
