//! The comparison of two collections, stores or generations, query by query.

use serde::Serialize;

use super::answers::KnownQuery;
use super::bootstrap;
use super::measure::{float, sum};
use super::report::{Means, Values};
use super::search::{Searched, Target};
use crate::cli::values::generation_number;

/// At most as many queries with the largest differences are reported.
const MAX_DIFFERENCES: usize = 10;
/// Smaller differences are a tie: the sums of equal gains may differ by rounding.
const TIE: f64 = 1e-9;

impl Target {
    /// Parses `collection=NAME`, `provider=STORE` and `generation=NUMBER`, comma-separated, of which at least one is required.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut target = Self::default();
        for part in text.split(',') {
            match part.split_once('=') {
                Some(("collection", name)) if !name.is_empty() => target.collection = Some(name.to_owned()),
                Some(("provider", name)) if !name.is_empty() => target.provider = Some(name.to_owned()),
                Some(("generation", number)) => target.generation = Some(generation_number(number)?),
                _ => {
                    let forms = "collection=NAME, provider=STORE or generation=NUMBER";
                    return Err(format!("it must be {forms}, or several of them, comma-separated"));
                }
            }
        }
        Ok(target)
    }

    /// Returns this target with the parts of `first` that it does not name.
    pub(super) fn or(self, first: &Self) -> Self {
        let is_same = self.collection.is_none() || self.collection == first.collection;
        Self {
            collection: self.collection.or_else(|| first.collection.clone()),
            provider: self.provider.or_else(|| first.provider.clone()),
            // The number is one of the collection that it was given with.
            generation: self.generation.or(first.generation.filter(|_| is_same)),
        }
    }
}

/// How the first target compares with the other one.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// The other target.
    #[serde(flatten)]
    pub(super) searched: Searched,
    /// Its means.
    pub(super) means: Means,
    /// The measure by which single queries are compared.
    pub(super) measure: String,
    /// Number of queries for which the first target is better than the other one, worse, or equal.
    pub(super) wins: usize,
    pub(super) losses: usize,
    pub(super) ties: usize,
    /// The difference of each measure.
    pub(super) differences: Vec<Difference>,
    /// The queries with the largest differences, the largest first.
    pub(super) largest: Vec<QueryDifference>,
}

/// The mean of the first target minus that of the other one.
#[derive(Debug, Serialize)]
pub(super) struct Difference {
    pub(super) measure: String,
    #[serde(rename = "difference")]
    pub(super) mean: f64,
    /// The 95 % interval by a paired bootstrap over queries.
    pub(super) low: f64,
    pub(super) high: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct QueryDifference {
    pub(super) query: String,
    pub(super) first: f64,
    pub(super) other: f64,
}

impl Difference {
    /// Whether the interval is on one side of 0.
    pub(super) fn is_significant(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

impl Comparison {
    pub(super) fn new(known: &[KnownQuery], first: &Values, other: &Values, searched: Searched) -> Self {
        let (measure, first_quality) = first.quality();
        let (_, other_quality) = other.quality();
        let each: Vec<f64> = first_quality.iter().zip(other_quality).map(|(first, other)| first - other).collect();
        let mut order: Vec<usize> = (0..each.len()).filter(|at| each[*at].abs() > TIE).collect();
        order.sort_by(|a, b| each[*b].abs().total_cmp(&each[*a].abs()));
        let largest = order.iter().take(MAX_DIFFERENCES).map(|&at| QueryDifference {
            query: known[at].text.clone(),
            first: first_quality[at],
            other: other_quality[at],
        });
        let differences = first.0.iter().zip(&other.0).map(|((measure, first), (_, other))| {
            let each: Vec<f64> = first.iter().zip(other).map(|(first, other)| first - other).collect();
            let (low, high) = bootstrap::interval(&each);
            let mean = sum(each.iter().copied()) / float(each.len().max(1));
            Difference { measure: measure.to_string(), mean, low, high }
        });
        Self {
            searched,
            means: other.means(|_| true),
            measure: measure.to_string(),
            wins: each.iter().filter(|difference| **difference > TIE).count(),
            losses: each.iter().filter(|difference| **difference < -TIE).count(),
            ties: each.len() - order.len(),
            differences: differences.collect(),
            largest: largest.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::measure::Measure;
    use super::*;

    #[test]
    fn wins_and_losses_are_counted_by_query() {
        let known: Vec<_> =
            ["p", "q", "r", "s"].map(|text| KnownQuery { text: text.into(), ..KnownQuery::default() }).into();
        let values = |numbers: [f64; 4]| Values(vec![(Measure::Ndcg(5), numbers.into())]);
        let (first, other) = (values([1.0, 0.5, 0.0, 0.3]), values([0.5, 0.5, 0.8, 0.3]));
        let compared = Comparison::new(&known, &first, &other, Searched::default());
        assert_eq!((compared.wins, compared.losses, compared.ties, compared.measure.as_str()), (1, 1, 2, "nDCG@5"));
        assert_eq!(compared.largest.iter().map(|query| query.query.as_str()).collect::<Vec<_>>(), ["r", "p"]);
        let difference = &compared.differences[0];
        assert!((difference.mean + 0.075).abs() < 1e-12 && !difference.is_significant(), "{difference:?}");
        assert!(difference.low < -0.075 && difference.high > -0.075);
    }

    #[test]
    fn the_other_target_has_one_syntax() {
        let target = |collection: Option<&str>, provider: Option<&str>| Target {
            collection: collection.map(str::to_owned),
            provider: provider.map(str::to_owned),
            generation: None,
        };
        let generation = |target: Target, number| Target { generation: Some(number), ..target };
        assert_eq!(Target::parse("collection=birds"), Ok(target(Some("birds"), None)));
        assert_eq!(Target::parse("provider=qdrant,collection=birds"), Ok(target(Some("birds"), Some("qdrant"))));
        assert_eq!(Target::parse("generation=2"), Ok(generation(target(None, None), 2)));
        for wrong in ["birds", "store=qdrant", "provider=", "", "generation=0", "generation=two"] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(target(None, Some("qdrant")).or(&target(Some("a"), None)), target(Some("a"), Some("qdrant")));
        let first = generation(target(Some("a"), None), 2);
        assert_eq!(target(None, Some("qdrant")).or(&first), generation(target(Some("a"), Some("qdrant")), 2));
        assert_eq!(target(Some("b"), None).or(&first), target(Some("b"), None), "another collection");
        assert_eq!(generation(target(None, None), 3).or(&first), generation(target(Some("a"), None), 3));
    }
}
