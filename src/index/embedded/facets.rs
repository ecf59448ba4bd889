//! Counts of values, and what the records of a collection have together.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::Deserialize;

use super::collection::Collection;
use super::error::Fault;
use super::filter;
use super::rows::{self, folder_term, meta_term, parse_payload, raw};
use crate::domain::{CollectionSummary, FacetCounts, FacetField, FacetQuery, Facets, Timestamp};

/// The part of a payload that is added up.
#[derive(Deserialize)]
struct Size {
    size_bytes: u64,
}

impl Collection {
    pub(super) fn facets(&self, query: &FacetQuery) -> Result<Facets, Fault> {
        let snapshot = self.snapshot()?;
        let connection = snapshot.rows()?;
        let allowed = filter::slots(connection, self.number(), &query.filter)?;
        let is_counted = |slot| {
            allowed.as_ref().is_none_or(|allowed| allowed.contains(slot)) && snapshot.version.occupant(slot).is_some()
        };
        let mut counts = FacetCounts::new(query.limit);
        match &query.field {
            FacetField::Format => count_formats(connection, self.number(), is_counted, &mut counts)?,
            FacetField::Folder => count_terms(connection, self.number(), &folder_term(""), is_counted, &mut counts)?,
            FacetField::Meta(key) => {
                count_terms(connection, self.number(), &meta_term(key, ""), is_counted, &mut counts)?;
            }
        }
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
        let sql = format!("SELECT min(indexed_at), max(indexed_at) FROM records_{n}");
        let range: [Option<String>; 2] = connection.query_row(&sql, (), |row| Ok([row.get(0)?, row.get(1)?]))?;
        let [oldest, newest] = range.map(|moment| moment.and_then(|moment| Timestamp::parse(&moment).ok()));
        Ok(CollectionSummary { total_bytes: Some(total), oldest, newest })
    }
}

fn count_formats(
    connection: &Connection,
    n: i64,
    is_counted: impl Fn(u32) -> bool,
    counts: &mut FacetCounts,
) -> rusqlite::Result<()> {
    let mut formats = BTreeMap::<Vec<u8>, u64>::new();
    rows::each(connection, &format!("SELECT slot, format FROM records_{n}"), |row| {
        let format = raw(row, 1)?;
        if !is_counted(row.get(0)?) {
            return Ok(());
        }
        match formats.get_mut(format) {
            Some(count) => *count += 1,
            None => drop(formats.insert(format.to_vec(), 1)),
        }
        Ok(())
    })?;
    for (format, count) in formats {
        counts.add(String::from_utf8_lossy(&format), count);
    }
    Ok(())
}

/// Counts the slots of each term that begins with `prefix`. The value is the rest of the term. All slots of a term follow
/// each other, because the terms are in order.
fn count_terms(
    connection: &Connection,
    n: i64,
    prefix: &str,
    is_counted: impl Fn(u32) -> bool,
    counts: &mut FacetCounts,
) -> rusqlite::Result<()> {
    let sql = format!("SELECT term, slot FROM terms_{n} WHERE term >= ?1 ORDER BY term");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query((prefix,))?;
    let (mut value, mut count) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let Some(next) = raw(row, 0)?.strip_prefix(prefix.as_bytes()) else { break };
        if next != value {
            counts.add(String::from_utf8_lossy(&value), count);
            (value, count) = (next.to_vec(), 0);
        }
        count += u64::from(is_counted(row.get(1)?));
    }
    counts.add(String::from_utf8_lossy(&value), count);
    Ok(())
}
