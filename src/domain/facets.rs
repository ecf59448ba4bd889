//! Counts of the values of records, and what the records of a collection have together.

use std::cmp::Reverse;

use super::{Filter, FirstItems, Payload, TakenMonth, Timestamp};

/// What the values are that a facet counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FacetField {
    /// The format.
    Format,
    /// The folders. A record counts for each folder of its path.
    Folder,
    /// The camera.
    Camera,
    /// The month of the year in which the image was taken.
    TakenMonth,
    /// The metadata value of this key.
    Meta(String),
}

impl FacetField {
    /// The names of the fields, for messages.
    pub const NAMES: &'static str = "format, folder, camera, taken_month or meta.KEY";

    /// Parses the name of a field.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "format" => Some(Self::Format),
            "folder" => Some(Self::Folder),
            "camera" => Some(Self::Camera),
            "taken_month" => Some(Self::TakenMonth),
            _ => name.strip_prefix("meta.").filter(|key| !key.is_empty()).map(|key| Self::Meta(key.to_owned())),
        }
    }

    /// Returns the values that a record has.
    pub fn values(&self, payload: &Payload) -> Vec<String> {
        match self {
            Self::Format => vec![payload.format.as_str().to_owned()],
            Self::Folder => payload.s3_folders.clone(),
            Self::Camera => payload.exif.camera.clone().into_iter().collect(),
            Self::TakenMonth => payload.exif.months().into_iter().filter(|month| TakenMonth::has_year(month)).collect(),
            Self::Meta(key) => payload.meta.get(key).cloned().into_iter().collect(),
        }
    }
}

/// A request for the number of records with each value of a field.
#[derive(Clone, Debug, PartialEq)]
pub struct FacetQuery {
    /// The field.
    pub field: FacetField,
    /// Conditions that a counted record must fulfil.
    pub filter: Filter,
    /// Maximum number of values.
    pub limit: usize,
}

/// The most frequent values of a field, each with its number of records; equal numbers in the order of the values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facets {
    /// The values.
    pub values: Vec<(String, u64)>,
    /// Whether there may be other values, which are not more frequent.
    pub has_more: bool,
}

/// Collects the most frequent values of a field.
#[derive(Debug)]
pub(crate) struct FacetCounts(FirstItems<(Reverse<u64>, String)>);

impl FacetCounts {
    pub(crate) fn new(limit: usize) -> Self {
        Self(FirstItems::new(limit))
    }

    /// Adds a value that `count` records have. Each value must be added once.
    pub(crate) fn add(&mut self, value: impl Into<String>, count: u64) {
        if count > 0 {
            self.0.offer((Reverse(count), value.into()));
        }
    }

    /// Returns the values. `complete` is whether every value was added.
    pub(crate) fn into_facets(self, complete: bool) -> Facets {
        let has_more = self.0.has_more() || !complete;
        Facets { values: self.0.into_sorted().into_iter().map(|(count, value)| (value, count.0)).collect(), has_more }
    }
}

/// What the records of a collection have together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectionSummary {
    /// The bytes of the objects; `None` if the store cannot add them up in time.
    pub total_bytes: Option<u64>,
    /// When the first record was indexed.
    pub oldest: Option<Timestamp>,
    /// When the last record was indexed.
    pub newest: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_values_come_first_and_equal_ones_in_their_order() {
        let mut counts = FacetCounts::new(3);
        for (value, count) in [("c", 2), ("b", 2), ("none", 0), ("a", 1), ("d", 7)] {
            counts.add(value, count);
        }
        let values = [("d", 7), ("b", 2), ("c", 2)].map(|(value, count)| (value.to_owned(), count)).into();
        assert_eq!(counts.into_facets(true), Facets { values, has_more: true });
        assert!(FacetCounts::new(1).into_facets(false).has_more);
    }

    #[test]
    fn a_field_has_a_name() {
        assert_eq!(FacetField::parse("format"), Some(FacetField::Format));
        assert_eq!(FacetField::parse("folder"), Some(FacetField::Folder));
        assert_eq!(FacetField::parse("taken_month"), Some(FacetField::TakenMonth));
        assert_eq!(FacetField::parse("meta.a.b"), Some(FacetField::Meta("a.b".into())));
        for name in ["", "meta", "meta.", "width", "Format"] {
            assert_eq!(FacetField::parse(name), None, "{name}");
        }
    }
}
