//! A query (text and/or image) and its options: collection, store, filter and page.

use bytes::Bytes;

use super::{SearchError, UploadPermit};
use crate::calibration::QueryKind;
use crate::domain::Filter;

/// What to search for. At least one field must be set.
#[derive(Debug, Default)]
pub struct QueryInput {
    /// A text.
    pub text: Option<String>,
    /// An image.
    pub image: Option<QueryImage>,
    /// The id of an indexed image of the collection. The image itself is left out of the hits.
    pub like: Option<String>,
}

impl QueryInput {
    /// Returns what the query consists of.
    pub(super) fn kind(&self) -> QueryKind {
        match (&self.text, &self.image, &self.like) {
            (Some(_), None, None) => QueryKind::Text,
            (None, Some(_), None) | (None, None, Some(_)) => QueryKind::Image,
            _ => QueryKind::Several,
        }
    }
}

/// An uploaded image.
#[derive(Debug)]
pub struct QueryImage {
    /// The bytes of the file.
    pub bytes: Bytes,
    /// The permit to hold the bytes in memory.
    pub permit: Option<UploadPermit>,
}

/// Where to search, and how many hits to return.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// The number of hits, 1 to [`MAX_HITS`].
    pub limit: usize,
    /// The number of hits to skip; `offset + limit` is at most [`MAX_PAGE_END`].
    pub offset: usize,
    /// The name of the store; `None` for the default.
    pub provider: Option<String>,
    /// The name of the collection.
    pub collection: String,
    /// The records that may be hits.
    pub filter: Filter,
    /// The minimum score of a hit.
    pub min_score: Option<f32>,
    /// The minimum relevance of a hit, 0 to 1.
    pub min_relevance: Option<f32>,
}

/// The maximum number of hits in one reply.
pub const MAX_HITS: usize = 100;
/// The maximum of `offset + limit`.
pub const MAX_PAGE_END: usize = 10_000;
/// The maximum number of characters of a text query.
pub const MAX_CHARACTERS: usize = 1_000;

/// The error for a query without a text, an image and an id.
pub(super) fn empty_query_error() -> SearchError {
    SearchError::Invalid {
        field: "q",
        message: "is missing: search by a text (`q`), by the id of an indexed image (`like`), or by a file (POST)"
            .to_owned(),
    }
}

/// Fails if the query is empty or an option is out of its range.
pub(super) fn validate(query: &QueryInput, options: &SearchOptions) -> Result<(), SearchError> {
    let invalid = |field, message| Err(SearchError::Invalid { field, message });
    if let Some(text) = &query.text {
        let characters = text.trim().chars().count();
        if !(1..=MAX_CHARACTERS).contains(&characters) {
            return invalid(
                "q",
                format!("must have 1 to {MAX_CHARACTERS} characters after trimming, not {characters}"),
            );
        }
    } else if query.image.is_none() && query.like.is_none() {
        return Err(empty_query_error());
    }
    if !(1..=MAX_HITS).contains(&options.limit) {
        return invalid("limit", format!("must be a whole number from 1 to {MAX_HITS}, not {}", options.limit));
    }
    let end = options.offset.saturating_add(options.limit);
    if end > MAX_PAGE_END {
        return invalid("offset", format!("offset + limit must be at most {MAX_PAGE_END}, not {end}"));
    }
    if let Some(score) = options.min_score.filter(|score| !(-1.0..=1.0).contains(score)) {
        return invalid("min_score", format!("must be a number from -1 to 1, not {score}"));
    }
    if let Some(relevance) = options.min_relevance.filter(|relevance| !(0.0..=1.0).contains(relevance)) {
        return invalid("min_relevance", format!("must be a number from 0 to 1, not {relevance}"));
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
            min_relevance: None,
        }
    }

    fn error_message(query: &QueryInput, options: &SearchOptions) -> String {
        validate(query, options).unwrap_err().to_string()
    }

    #[test]
    fn an_error_names_the_option_that_is_out_of_range() {
        let text_query = |text: &str| QueryInput { text: Some(text.to_owned()), ..QueryInput::default() };
        validate(&text_query("a cat"), &options()).unwrap();
        validate(&text_query(&"ä".repeat(1000)), &options()).unwrap();
        assert!(error_message(&text_query(" \n "), &options()).starts_with("q:"));
        assert!(error_message(&text_query(&"a".repeat(1001)), &options()).starts_with("q:"));
        assert!(error_message(&QueryInput::default(), &options()).starts_with("q:"));
        assert!(error_message(&text_query("a"), &SearchOptions { limit: 0, ..options() }).starts_with("limit:"));
        assert!(error_message(&text_query("a"), &SearchOptions { limit: 101, ..options() }).starts_with("limit:"));
        assert!(error_message(&text_query("a"), &SearchOptions { offset: 9_991, ..options() }).starts_with("offset:"));
        for score in [1.1, -1.1, f32::NAN] {
            let options = SearchOptions { min_score: Some(score), ..options() };
            assert!(error_message(&text_query("a"), &options).starts_with("min_score:"));
        }
        let filter = Filter { s3_prefix: Some("images".into()), ..Filter::default() };
        assert!(error_message(&text_query("a"), &SearchOptions { filter, ..options() }).starts_with("s3_prefix:"));
    }
}
