//! A query (text and/or image) and its options: collection, store, filter and page.

use std::sync::Arc;

use bytes::Bytes;

use super::{Collapse, SearchError, UploadPermit};
use crate::calibration::QueryKind;
use crate::domain::{Filter, ImageId, Language};
pub use crate::imaging::Region;

/// What to search for: images that are similar to the terms with a positive weight, and not to the others.
#[derive(Debug, Default)]
pub struct QueryInput {
    /// 1 to [`MAX_TERMS`] terms, at least one of them with a positive weight.
    pub terms: Vec<Term>,
    /// The language of its texts, for models that need to know it.
    pub language: Option<Language>,
}

/// A part of a query.
#[derive(Debug)]
pub struct Term {
    /// The text or image.
    pub input: TermInput,
    /// How much it counts: [`MIN_WEIGHT`] to [`MAX_WEIGHT`], or below 0 the same.
    pub weight: f32,
    /// The parameter or field that the client sent it in.
    pub field: &'static str,
    /// Its position, if the field is a list.
    pub position: Option<usize>,
}

/// The text or image of a term.
#[derive(Debug)]
pub enum TermInput {
    /// A text.
    Text(String),
    /// An image.
    Image(QueryImage),
    /// The id of an indexed image of the collection. The image itself is left out of the hits.
    Like(String),
}

/// An uploaded image, or a part of an indexed image.
#[derive(Debug, Default)]
pub struct QueryImage {
    /// The bytes of the file.
    pub bytes: Bytes,
    /// The part of the image to search for; `None` for all of it.
    pub region: Option<Region>,
    /// The id of the indexed image. It is left out of the hits.
    pub excluded: Option<ImageId>,
    /// The permit to hold the bytes in memory. Images of one request share it.
    pub permit: Option<Arc<UploadPermit>>,
}

impl Term {
    /// Returns where the client sent a property of the term: `positive[0].text`, or the parameter.
    fn place(&self, property: &str) -> String {
        match self.position {
            Some(position) => format!("{}[{position}].{property}", self.field),
            None => self.field.to_owned(),
        }
    }
}

impl QueryInput {
    /// Returns a query by a text (`q`), an uploaded image (`file`) and an indexed image (`like`), each with the weight 1.
    pub fn new(text: Option<String>, image: Option<QueryImage>, like: Option<String>) -> Self {
        let term = |field, input| Term { input, weight: 1.0, field, position: None };
        let like = like.map(|id| term("like", TermInput::Like(id)));
        let image = image.map(|image| term("file", TermInput::Image(image)));
        let text = text.map(|text| term("q", TermInput::Text(text)));
        Self { terms: [like, image, text].into_iter().flatten().collect(), language: None }
    }

    /// Sets the language of the texts.
    #[must_use]
    pub fn in_language(self, language: Option<Language>) -> Self {
        Self { language, ..self }
    }

    /// Returns what the query consists of.
    pub(super) fn kind(&self) -> QueryKind {
        match &self.terms[..] {
            [Term { input: TermInput::Text(_), .. }] => QueryKind::Text,
            [Term { input: TermInput::Image(_) | TermInput::Like(_), .. }] => QueryKind::Image,
            _ => QueryKind::Several,
        }
    }
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
    /// The number of a generation of the collection; `None` for the current one.
    pub generation: Option<u32>,
    /// The records that may be hits.
    pub filter: Filter,
    /// The minimum score of a hit.
    pub min_score: Option<f32>,
    /// The minimum relevance of a hit, 0 to 1.
    pub min_relevance: Option<f32>,
    /// Which images are one hit; `limit` and `offset` count hits after that.
    pub collapse: Collapse,
    /// Whether only copies of the image of the query are hits. The query must be one indexed image.
    pub copies_only: bool,
    /// Whether the store compares every vector. A hit of another search can be missing, but its score is exact, too.
    pub exact: bool,
}

/// The maximum number of hits in one reply.
pub const MAX_HITS: usize = 100;
/// The maximum of `offset + limit`.
pub const MAX_PAGE_END: usize = 10_000;
/// The maximum of `offset + limit` with [`Collapse::Similar`]: every hit is compared with the ones before it.
const MAX_SIMILAR_PAGE_END: usize = 200;
/// The maximum number of characters of a text query.
pub const MAX_CHARACTERS: usize = 1_000;
/// The maximum number of terms of a query.
pub const MAX_TERMS: usize = 16;
/// The maximum number of uploaded images of a query.
pub const MAX_IMAGES: usize = 8;
/// The smallest weight of a term, without its sign. With a much smaller one, the term would not change the query.
pub const MIN_WEIGHT: f32 = 1e-6;
/// The largest weight of a term.
pub const MAX_WEIGHT: f32 = 10.0;

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
    let terms = &query.terms;
    if terms.is_empty() {
        return Err(empty_query_error());
    }
    if !terms.iter().any(|term| term.weight > 0.0) {
        return invalid("positive", "is empty: a query needs at least one term to search for".to_owned());
    }
    if terms.len() > MAX_TERMS {
        // Of a longer list, only as many are read.
        let or_more = if terms.iter().any(|term| term.position >= Some(MAX_TERMS)) { " or more" } else { "" };
        let message = format!(
            "`positive` and `negative` have {}{or_more} terms together; at most {MAX_TERMS} are allowed",
            terms.len()
        );
        return Err(SearchError::InvalidTerm { field: "positive", message });
    }
    let images = terms.iter().filter(|term| matches!(term.input, TermInput::Image(_))).count();
    if images > MAX_IMAGES {
        let message =
            format!("`positive` and `negative` have {images} images together; at most {MAX_IMAGES} are allowed");
        return Err(SearchError::InvalidTerm { field: "positive", message });
    }
    for term in terms {
        let invalid = |property, message: String| {
            let message = format!("{}: {message}", term.place(property));
            Err(SearchError::InvalidTerm { field: term.field, message })
        };
        if let TermInput::Text(text) = &term.input {
            let characters = text.trim().chars().count();
            if !(1..=MAX_CHARACTERS).contains(&characters) {
                let message = format!("must have 1 to {MAX_CHARACTERS} characters after trimming, not {characters}");
                return invalid("text", message);
            }
        }
        let weight = term.weight.abs();
        if !(MIN_WEIGHT..=MAX_WEIGHT).contains(&weight) {
            return invalid("weight", format!("must be a number from {MIN_WEIGHT} to {MAX_WEIGHT}, not {weight}"));
        }
    }
    if !(1..=MAX_HITS).contains(&options.limit) {
        return invalid("limit", format!("must be a whole number from 1 to {MAX_HITS}, not {}", options.limit));
    }
    let end = options.offset.saturating_add(options.limit);
    if end > MAX_PAGE_END {
        return invalid("offset", format!("offset + limit must be at most {MAX_PAGE_END}, not {end}"));
    }
    if options.collapse == Collapse::Similar && end > MAX_SIMILAR_PAGE_END {
        let message =
            format!("with `collapse=similar`, offset + limit must be at most {MAX_SIMILAR_PAGE_END}, not {end}");
        return invalid("offset", message);
    }
    if options.copies_only && !matches!(&terms[..], [Term { input: TermInput::Like(_), .. }]) {
        let message = "needs a search by exactly one indexed image (`like`, or one `id` in `positive`), without a region \
                       and without other terms";
        return invalid("copies_only", message.to_owned());
    }
    if let Some(score) = options.min_score.filter(|score| !(-1.0..=1.0).contains(score)) {
        return invalid("min_score", format!("must be a number from -1 to 1, not {score}"));
    }
    if let Some(relevance) = options.min_relevance.filter(|relevance| !(0.0..=1.0).contains(relevance)) {
        return invalid("min_relevance", format!("must be a number from 0 to 1, not {relevance}"));
    }
    Ok(())
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
            generation: None,
            filter: Filter::default(),
            min_score: None,
            min_relevance: None,
            collapse: Collapse::None,
            copies_only: false,
            exact: false,
        }
    }

    fn error_message(query: &QueryInput, options: &SearchOptions) -> String {
        validate(query, options).unwrap_err().to_string()
    }

    #[test]
    fn an_error_names_the_option_that_is_out_of_range() {
        let text_query = |text: &str| QueryInput::new(Some(text.to_owned()), None, None);
        validate(&text_query("a cat"), &options()).unwrap();
        validate(&text_query(&"ä".repeat(1000)), &options()).unwrap();
        assert!(error_message(&text_query(" \n "), &options()).starts_with("q:"));
        assert!(error_message(&text_query(&"a".repeat(1001)), &options()).starts_with("q:"));
        assert!(error_message(&QueryInput::default(), &options()).starts_with("q:"));
        assert!(error_message(&text_query("a"), &SearchOptions { limit: 0, ..options() }).starts_with("limit:"));
        assert!(error_message(&text_query("a"), &SearchOptions { limit: 101, ..options() }).starts_with("limit:"));
        assert!(error_message(&text_query("a"), &SearchOptions { offset: 9_991, ..options() }).starts_with("offset:"));
        let similar = SearchOptions { collapse: Collapse::Similar, offset: 191, ..options() };
        assert!(error_message(&text_query("a"), &similar).contains("at most 200, not 201"));
        for score in [1.1, -1.1, f32::NAN] {
            let options = SearchOptions { min_score: Some(score), ..options() };
            assert!(error_message(&text_query("a"), &options).starts_with("min_score:"));
        }
        let copies = SearchOptions { copies_only: true, ..options() };
        let like = |text: Option<&str>| QueryInput::new(text.map(str::to_owned), None, Some("id".to_owned()));
        validate(&like(None), &copies).unwrap();
        assert!(error_message(&like(Some("a")), &copies).starts_with("copies_only: needs a search by exactly one"));
        let weighted = |weights: &[f32]| {
            let term = |(position, weight): (usize, &f32)| {
                let input = TermInput::Text("a".into());
                Term { input, weight: *weight, field: "positive", position: Some(position) }
            };
            let terms = weights.iter().enumerate().map(term).collect();
            error_message(&QueryInput { terms, language: None }, &options())
        };
        assert!(weighted(&[-1.0]).contains("at least one term to search for"));
        assert!(
            weighted(&[1.0, 0.0]).contains("from 0.000001 to 10, not 0")
                && weighted(&[1.0, -10.5]).contains("not 10.5")
        );
        assert!(weighted(&[1.0, f32::NAN]).starts_with("positive[1].weight: must"));
        assert!(weighted(&[1.0; 17]).contains("have 17 or more terms together; at most 16"));
    }
}
