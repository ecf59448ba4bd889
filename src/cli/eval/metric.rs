//! recall@k and MRR.

use std::collections::BTreeMap;

use serde::Serialize;

use super::answers::KnownAnswer;

/// The quality of the search results.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Report {
    /// Number of queries.
    pub(super) queries: usize,
    /// For each k: the share (0 to 1) of queries with a right answer among the first k results.
    pub(super) recall: BTreeMap<usize, f64>,
    /// Mean of 1/rank of the first right answer, from 0 to 1. A query without a right answer counts as 0.
    pub(super) mrr: f64,
    /// Queries without a right answer among the results.
    pub(super) missed: Vec<String>,
}

impl Report {
    /// Computes the report from the rank of the first right answer of each query. Ranks start at 1.
    pub(super) fn from_ranks(known: &[KnownAnswer], ranks: &[Option<usize>], cuts: &[usize]) -> Self {
        let queries = ranks.len();
        let share = |sum: f64| if queries == 0 { 0.0 } else { sum / float(queries) };
        let within = |cut: usize| ranks.iter().flatten().filter(|rank| **rank <= cut).count();
        Self {
            queries,
            recall: cuts.iter().map(|&cut| (cut, share(float(within(cut))))).collect(),
            mrr: share(ranks.iter().flatten().map(|&rank| 1.0 / float(rank)).sum()),
            missed: known
                .iter()
                .zip(ranks)
                .filter(|(_, rank)| rank.is_none())
                .map(|(known, _)| known.query.clone())
                .collect(),
        }
    }
}

/// Returns the rank, counted from 1, of the first key that matches one of the answers.
pub(super) fn rank_of_first_answer(keys: &[&str], answers: &[String]) -> Option<usize> {
    keys.iter().position(|key| answers.iter().any(|answer| is_end(key, answer))).map(|at| at + 1)
}

/// Whether the key ends with the path segments of the answer.
fn is_end(key: &str, answer: &str) -> bool {
    let answer = answer.trim_start_matches('/');
    !answer.is_empty() && key.strip_suffix(answer).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

#[expect(clippy::cast_precision_loss, reason = "counts of queries")]
fn float(count: usize) -> f64 {
    count as f64
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
            assert_eq!(is_end(key, answer), right, "{key} {answer}");
        }
        let answers = ["c.jpg".to_owned(), "b.jpg".to_owned()];
        assert_eq!(rank_of_first_answer(&["a.jpg", "b.jpg", "c.jpg"], &answers), Some(2));
        assert_eq!(rank_of_first_answer(&["a.jpg"], &answers), None);
    }

    #[test]
    fn recall_and_mrr_are_those_computed_by_hand() {
        let known: Vec<_> =
            ["p", "q", "r", "s"].map(|query| KnownAnswer { query: query.to_owned(), answers: Vec::new() }).into();
        let report = Report::from_ranks(&known, &[Some(1), Some(4), None, Some(2)], &[1, 2, 5]);
        assert_eq!(report.recall, BTreeMap::from([(1, 0.25), (2, 0.5), (5, 0.75)]));
        assert!((report.mrr - (1.0 + 0.25 + 0.5) / 4.0).abs() < 1e-12);
        assert_eq!(report.missed, ["r"]);
        assert!(Report::from_ranks(&[], &[], &[1]).mrr.abs() < 1e-12, "no query is not an error");
    }
}
