//! Counts of values, and what the records of a collection have together.

use serde::Deserialize;

use super::collection::Collection;
use super::error::Fault;
use super::filters::TextField;
use super::rows::{self, parse_payload, raw};
use crate::domain::{CollectionSummary, FacetCounts, FacetField, FacetQuery, Facets, TakenMonth, Timestamp};

/// The part of a payload that is added up.
#[derive(Deserialize)]
struct Size {
    size_bytes: u64,
}

impl Collection {
    pub(super) fn facets(&self, query: &FacetQuery) -> Result<Facets, Fault> {
        let snapshot = self.snapshot()?;
        let allowed = self.allowed(&snapshot, &query.filter)?;
        let field = match &query.field {
            FacetField::Format => TextField::Format,
            FacetField::Folder => TextField::folders(),
            FacetField::Camera => TextField::cameras(),
            FacetField::TakenMonth => TextField::months(),
            FacetField::Meta(key) => TextField::meta(key),
        };
        let is_value = |value: &str| query.field != FacetField::TakenMonth || TakenMonth::has_year(value);
        let mut counts = FacetCounts::new(query.limit);
        if let Some(column) = self.texts(&snapshot, &field)? {
            column.count(allowed.as_ref(), |value, count| counts.add(value, if is_value(value) { count } else { 0 }));
            return Ok(counts.into_facets(true));
        }
        let is_counted = |slot| {
            allowed.as_ref().is_none_or(|allowed| allowed.contains(slot)) && snapshot.version.occupant(slot).is_some()
        };
        // There are too many values to keep them in memory. The slots of each one follow each other.
        let (mut last, mut count) = (String::new(), 0);
        field.each((snapshot.rows()?, self.number()), |value, slot| {
            if value != last {
                counts.add(std::mem::replace(&mut last, value.to_owned()), count);
                count = 0;
            }
            count += u64::from(is_value(value) && is_counted(slot));
            true
        })?;
        counts.add(last, count);
        Ok(counts.into_facets(true))
    }

    /// Returns the summary. Damaged records have no bytes.
    pub(super) fn summary(&self) -> Result<CollectionSummary, Fault> {
        let snapshot = self.snapshot()?;
        let (connection, n) = (snapshot.rows()?, self.number());
        let mut total = 0_u64;
        rows::each(connection, &format!("SELECT slot, payload FROM payloads_{n}"), |row| {
            let slot = row.get(0)?;
            if snapshot.version.occupant(slot).is_some()
                && let Ok(Size { size_bytes }) = parse_payload(slot, raw(row, 1)?)
            {
                total = total.saturating_add(size_bytes);
            }
            Ok(())
        })?;
        // Timestamps are texts of equal length, so the order of the texts is the order of the moments.
        // With two queries, SQLite reads only the two ends of an index.
        let sql = format!("SELECT (SELECT min(indexed_at) FROM slots_{n}), (SELECT max(indexed_at) FROM slots_{n})");
        let range: [Option<String>; 2] = connection.query_row(&sql, (), |row| Ok([row.get(0)?, row.get(1)?]))?;
        let [oldest, newest] = range.map(|moment| moment.and_then(|moment| Timestamp::parse(&moment).ok()));
        Ok(CollectionSummary { total_bytes: Some(total), oldest, newest })
    }
}
