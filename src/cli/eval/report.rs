//! The means of the measures, over all queries and by group.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::against::Comparison;
use super::answers::KnownQuery;
use super::measure::{Measure, float, sum};
use super::search::{Run, Searched};

/// The group of queries that lack the field.
const NO_GROUP: &str = "(none)";

/// What was measured, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) searched: Searched,
    #[serde(flatten)]
    pub(super) all: Means,
    /// Queries without a right answer among the results.
    pub(super) missed: Vec<String>,
    /// Number of queries of the file without an answer, which are not measured.
    pub(super) without_answers: usize,
    /// The means of the queries by group, with `--by`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) groups: BTreeMap<String, Means>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) against: Option<Comparison>,
}

/// The mean of each measure over some queries.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Means {
    /// Number of queries.
    pub(super) queries: usize,
    /// For each k: the share of queries with a right answer among the first k results.
    pub(super) recall: BTreeMap<usize, f64>,
    pub(super) mrr: f64,
    pub(super) map: BTreeMap<usize, f64>,
    pub(super) ndcg: BTreeMap<usize, f64>,
}

/// The values of each measure, in the order of the queries.
#[derive(Debug)]
pub(super) struct Values(pub(super) Vec<(Measure, Vec<f64>)>);

impl Values {
    pub(super) fn new(measures: &[Measure], known: &[KnownQuery], run: &Run) -> Self {
        let values = |measure: &Measure| {
            let queries = known.iter().zip(&run.outcomes);
            queries.map(|(known, outcome)| measure.value(&outcome.right, known.answers.len())).collect()
        };
        Self(measures.iter().map(|measure| (*measure, values(measure))).collect())
    }

    /// Returns the means over the queries that `is_part` selects by their number.
    pub(super) fn means(&self, is_part: impl Fn(usize) -> bool) -> Means {
        let mut means = Means::default();
        for (measure, values) in &self.0 {
            let part: Vec<f64> =
                values.iter().enumerate().filter(|(at, _)| is_part(*at)).map(|(_, value)| *value).collect();
            means.queries = part.len();
            let mean = sum(part.iter().copied()) / float(part.len().max(1));
            match measure {
                Measure::Recall(k) => means.recall.insert(*k, mean),
                Measure::AveragePrecision(k) => means.map.insert(*k, mean),
                Measure::Ndcg(k) => means.ndcg.insert(*k, mean),
                Measure::ReciprocalRank => Some(std::mem::replace(&mut means.mrr, mean)),
            };
        }
        means
    }

    /// Returns the values of nDCG at the largest k, by which single queries are compared.
    pub(super) fn quality(&self) -> (Measure, &[f64]) {
        self.0.last().map_or((Measure::Ndcg(1), &[]), |(measure, values)| (*measure, values))
    }
}

impl Means {
    /// Returns each measure and its mean, in the order in which they are shown.
    pub(super) fn rows(&self) -> Vec<(Measure, f64)> {
        let each = |values: &BTreeMap<usize, f64>, measure: fn(usize) -> Measure| -> Vec<_> {
            values.iter().map(|(k, mean)| (measure(*k), *mean)).collect()
        };
        let mut rows = each(&self.recall, Measure::Recall);
        rows.push((Measure::ReciprocalRank, self.mrr));
        rows.extend(each(&self.map, Measure::AveragePrecision));
        rows.extend(each(&self.ndcg, Measure::Ndcg));
        rows
    }

    /// Returns the rows that are shown of a group: of mAP and nDCG only those with the largest k.
    pub(super) fn group_rows(&self) -> Vec<(Measure, f64)> {
        let deepest = self.recall.keys().next_back().copied().unwrap_or_default();
        let mut rows = self.rows();
        rows.retain(|(measure, _)| match measure {
            Measure::AveragePrecision(k) | Measure::Ndcg(k) => *k == deepest,
            Measure::Recall(_) | Measure::ReciprocalRank => true,
        });
        rows
    }
}

/// Fails if no query has the field. The message lists the fields that exist.
pub(super) fn check_field(known: &[KnownQuery], field: &str) -> Result<(), String> {
    if known.iter().any(|known| known.fields.contains_key(field)) {
        return Ok(());
    }
    let fields: BTreeSet<&str> = known.iter().flat_map(|known| known.fields.keys().map(String::as_str)).collect();
    let fields = if fields.is_empty() { "none".to_owned() } else { Vec::from_iter(fields).join(", ") };
    Err(format!("no query has the field `{field}` of --by; fields: {fields}"))
}

/// Returns the means of the queries with each value of a field.
pub(super) fn groups(values: &Values, known: &[KnownQuery], field: &str) -> BTreeMap<String, Means> {
    let group = |at: usize| known[at].fields.get(field).map_or(NO_GROUP, String::as_str);
    let names: BTreeSet<&str> = (0..known.len()).map(group).collect();
    names.into_iter().map(|name| (name.to_owned(), values.means(|at| group(at) == name))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::search::{Outcome, RightAnswer};
    use super::*;

    #[test]
    fn means_are_over_all_queries_and_by_group() {
        let query = |group: Option<&str>| KnownQuery {
            answers: vec!["a.jpg".to_owned()],
            fields: group.map(|group| ("category".to_owned(), group.to_owned())).into_iter().collect(),
            ..KnownQuery::default()
        };
        let known = [query(Some("birds")), query(Some("plants")), query(None), query(Some("birds"))];
        let outcome = |rank: Option<usize>| Outcome {
            right: rank.map(|rank| RightAnswer { rank, answer: 0, hit: 0 }).into_iter().collect(),
            ..Outcome::default()
        };
        let outcomes = [Some(1), Some(4), None, Some(2)].map(outcome).into();
        let run = Run { outcomes, searched: Searched::default() };
        let values = Values::new(&Measure::all(&[1, 2, 5]), &known, &run);
        let all = values.means(|_| true);
        assert_eq!(all.recall, BTreeMap::from([(1, 0.25), (2, 0.5), (5, 0.75)]));
        assert!((all.mrr - (1.0 + 0.25 + 0.5) / 4.0).abs() < 1e-12);
        let groups = groups(&values, &known, "category");
        assert_eq!(groups.keys().collect::<Vec<_>>(), ["(none)", "birds", "plants"]);
        assert_eq!((groups["birds"].queries, groups["birds"].mrr), (2, 0.75));
        assert!(check_field(&known, "page").unwrap_err().ends_with("fields: category"));
        assert!(values.means(|_| false).mrr.abs() < 1e-12, "an empty group is not an error");
        assert_eq!(
            all.rows().iter().map(|(measure, _)| measure.to_string()).collect::<Vec<_>>()[2..5],
            ["recall@5", "MRR", "mAP@1"]
        );
    }
}
