//! What may be asked: words, a image, where and how much.

use bytes::Bytes;

use super::SearchError;
use crate::domain::Filter;

/// What to be near to.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Words.
    pub text: Option<String>,
    /// The bytes of a image.
    pub image: Option<Bytes>,
    /// The id of an indexed image of the collection; it is no hit itself.
    pub like: Option<String>,
}

/// Where and how much.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// Hits, 1 to [`MAX_HITS`].
    pub limit: usize,
    /// Hits to leave out; with `limit` at most [`MAX_DEEP`].
    pub offset: usize,
    /// Which store; `None` for the default.
    pub provider: Option<String>,
    /// Which collection.
    pub collection: String,
    /// Which records may answer.
    pub filter: Filter,
    /// Only hits of at least this score.
    pub min_score: Option<f32>,
}

/// Most hits in one reply.
pub const MAX_HITS: usize = 100;
/// How deep a page may lie.
pub const MAX_DEEP: usize = 10_000;
/// Most characters of a query.
pub const MAX_CHARACTERS: usize = 1_000;
pub(super) fn nothing_asked() -> SearchError {
    SearchError::Invalid {
        field: "q",
        message: "say what to look for: words in `q`, the id of an image in `like`, or a image in `file`".to_owned(),
    }
}

/// Refuses what is out of its range.
pub(super) fn check(question: &Question, options: &SearchOptions) -> Result<(), SearchError> {
    let invalid = |field, message| Err(SearchError::Invalid { field, message });
    if let Some(text) = &question.text {
        let characters = text.trim().chars().count();
        if !(1..=MAX_CHARACTERS).contains(&characters) {
            return invalid(
                "q",
                format!("must have 1 to {MAX_CHARACTERS} characters after trimming, not {characters}"),
            );
        }
    } else if question.image.is_none() && question.like.is_none() {
        return Err(nothing_asked());
    }
    if !(1..=MAX_HITS).contains(&options.limit) {
        return invalid("limit", format!("must be 1 to {MAX_HITS}, not {}", options.limit));
    }
    if options.offset.saturating_add(options.limit) > MAX_DEEP {
        return invalid("offset", format!("offset and limit together may be {MAX_DEEP} at most"));
    }
    if let Some(score) = options.min_score.filter(|score| !(-1.0..=1.0).contains(score)) {
        return invalid("min_score", format!("must be -1 to 1, not {score}"));
    }
    match &options.filter.s3_prefix {
        Some(prefix) if !prefix.ends_with('/') => invalid("s3_prefix", format!("must end in `/`, not `{prefix}`")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> SearchOptions {
        SearchOptions {
            limit: 10,
            offset: 0,
            provider: None,
            collection: "c".into(),
            filter: Filter::default(),
            min_score: None,
        }
    }

    fn refused(question: &Question, options: &SearchOptions) -> String {
        check(question, options).unwrap_err().to_string()
    }

    #[test]
    fn each_option_out_of_range_is_named() {
        let words = |text: &str| Question { text: Some(text.to_owned()), ..Question::default() };
        check(&words("a cat"), &options()).unwrap();
        check(&words(&"ä".repeat(1000)), &options()).unwrap();
        assert!(refused(&words(" \n "), &options()).starts_with("q:"));
        assert!(refused(&words(&"a".repeat(1001)), &options()).starts_with("q:"));
        assert!(refused(&Question::default(), &options()).starts_with("q:"));
        assert!(refused(&words("a"), &SearchOptions { limit: 0, ..options() }).starts_with("limit:"));
        assert!(refused(&words("a"), &SearchOptions { limit: 101, ..options() }).starts_with("limit:"));
        assert!(refused(&words("a"), &SearchOptions { offset: 9_991, ..options() }).starts_with("offset:"));
        for score in [1.1, -1.1, f32::NAN] {
            let options = SearchOptions { min_score: Some(score), ..options() };
            assert!(refused(&words("a"), &options).starts_with("min_score:"));
        }
        let filter = Filter { s3_prefix: Some("images".into()), ..Filter::default() };
        assert!(refused(&words("a"), &SearchOptions { filter, ..options() }).starts_with("s3_prefix:"));
    }
}
