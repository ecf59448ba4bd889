//! The worst queries, with what was expected and what was found.

use std::collections::{BTreeMap, BTreeSet};

use super::super::answers::KnownQuery;
use super::super::measure::Measure;
use super::super::report::Values;
use super::super::search::{Outcome, RightAnswer, Run};
use crate::domain::ImageUri;

/// At most as many queries are shown.
const MAX_QUERIES: usize = 24;
/// At most as many expected answers of a query are shown.
const MAX_EXPECTED: usize = 4;

/// A query as it is shown.
pub(super) struct WorstQuery<'a> {
    pub(super) known: &'a KnownQuery,
    pub(super) outcome: &'a Outcome,
    pub(super) measure: Measure,
    pub(super) value: f64,
    /// The answers, those that were not found first.
    pub(super) expected: Vec<ExpectedImage<'a>>,
    /// Number of answers that are not shown.
    pub(super) not_shown: usize,
}

/// An expected answer.
pub(super) struct ExpectedImage<'a> {
    pub(super) answer: &'a str,
    /// Its rank, if it was found.
    pub(super) rank: Option<usize>,
    /// The probable id of the image.
    pub(super) id: Option<String>,
}

/// Returns the queries with the lowest values that are not perfect, the worst first.
pub(super) fn worst_queries<'a>(known: &'a [KnownQuery], run: &'a Run, values: &Values) -> Vec<WorstQuery<'a>> {
    let (measure, quality) = values.quality();
    let mut order: Vec<usize> = (0..known.len()).filter(|at| quality[*at] < 1.0 - 1e-9).collect();
    order.sort_by(|a, b| quality[*a].total_cmp(&quality[*b]));
    let base = common_base(&run.outcomes);
    let shown = order.into_iter().take(MAX_QUERIES).map(|at| {
        let (known, outcome) = (&known[at], &run.outcomes[at]);
        let mut expected: Vec<ExpectedImage<'_>> = known
            .answers
            .iter()
            .enumerate()
            .map(|(number, answer)| {
                let right = outcome.right.iter().find(|right| right.answer == number);
                ExpectedImage { answer, rank: right.map(|right| right.rank), id: id(outcome, right, base, answer) }
            })
            .collect();
        expected.sort_by_key(|image| image.rank);
        expected.truncate(MAX_EXPECTED);
        let not_shown = known.answers.len() - expected.len();
        WorstQuery { known, outcome, measure, value: quality[at], expected, not_shown }
    });
    shown.collect()
}

/// Returns the ids of the images that are shown.
pub(super) fn image_ids(queries: &[WorstQuery<'_>]) -> BTreeSet<String> {
    let found = queries.iter().flat_map(|query| query.outcome.hits.iter().map(|hit| hit.image.id.clone()));
    let expected = queries.iter().flat_map(|query| query.expected.iter().filter_map(|image| image.id.clone()));
    found.chain(expected).collect()
}

/// Returns the id of an answer: of the result that matches it, or of the image at this path below the common base.
fn id(outcome: &Outcome, right: Option<&RightAnswer>, base: Option<&str>, answer: &str) -> Option<String> {
    if let Some(hit) = right.and_then(|right| outcome.hits.get(right.hit)) {
        return Some(hit.image.id.clone());
    }
    let uri = ImageUri::parse(&format!("{}{}", base?, answer.trim_start_matches('/'))).ok()?;
    Some(uri.id().to_string())
}

/// Returns the begin of the URIs that most right answers have: `s3://photos/images/` if `cat.jpg` was found there.
fn common_base(outcomes: &[Outcome]) -> Option<&str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for base in outcomes.iter().filter_map(|outcome| outcome.base.as_deref()) {
        *counts.entry(base).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(base, _)| base)
}
