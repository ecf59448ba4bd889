//! The parts of a filter, and the values of a record that they are about.

use std::collections::BTreeSet;
use std::ops::Bound;

use rusqlite::{Connection, Params};

use super::slot_set::SlotSet;
use crate::domain::{BoundingBox, Circle, ImageFormat, MetaValue, Payload, Position, TakenAt, Timestamp, ValueRange};
use crate::index::embedded::rows::{each, terms};

/// The values of a record that filters are about.
#[derive(Clone, Debug)]
pub(in crate::index::embedded) struct Attributes {
    pub(in crate::index::embedded) terms: BTreeSet<String>,
    pub(in crate::index::embedded) format: ImageFormat,
    pub(in crate::index::embedded) width: u32,
    pub(in crate::index::embedded) height: u32,
    pub(in crate::index::embedded) indexed_at: Timestamp,
    pub(in crate::index::embedded) taken_at: Option<Timestamp>,
    pub(in crate::index::embedded) location: Option<Position>,
}

impl Attributes {
    pub(in crate::index::embedded) fn new(payload: &Payload) -> Self {
        let Payload { format, width, height, indexed_at, .. } = *payload;
        let (taken_at, location) = (payload.exif.taken_at.map(TakenAt::moment), payload.exif.location);
        let terms = terms(&payload.s3_folders, &payload.meta, &payload.exif);
        Self { terms, format, width, height, indexed_at, taken_at, location }
    }

    /// Returns the rest of each term that begins with `prefix`.
    pub(super) fn values<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let terms = self.terms.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        terms.map_while(move |term| term.strip_prefix(prefix))
    }
}

/// A condition of a filter on one value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Predicate {
    /// Every record fulfils it.
    All,
    /// The term of a folder, a metadata pair, a camera or a month.
    Term(String),
    Format(ImageFormat),
    /// A range of the values of a metadata key. All terms of the key begin with the prefix.
    Range {
        prefix: String,
        range: MetaValue,
    },
    MinWidth(u32),
    MinHeight(u32),
    IndexedAfter(Timestamp),
    Taken(ValueRange<Timestamp>),
    /// It is known when the image was taken.
    Dated,
    Near(Circle),
    Within(BoundingBox),
}

impl Predicate {
    /// Returns whether a record with these attributes fulfils it.
    pub(super) fn matches(&self, attributes: &Attributes) -> bool {
        match self {
            Self::All => true,
            Self::Term(term) => attributes.terms.contains(term),
            Self::Format(format) => attributes.format == *format,
            Self::Range { prefix, range } => attributes.values(prefix).any(|value| range.matches(value)),
            Self::MinWidth(min) => attributes.width >= *min,
            Self::MinHeight(min) => attributes.height >= *min,
            Self::IndexedAfter(after) => attributes.indexed_at > *after,
            Self::Taken(range) => attributes.taken_at.is_some_and(|taken_at| range.contains(&taken_at)),
            Self::Dated => attributes.taken_at.is_some(),
            Self::Near(circle) => attributes.location.is_some_and(|location| circle.contains(location)),
            Self::Within(bbox) => attributes.location.is_some_and(|location| bbox.contains(location)),
        }
    }

    /// Reads the slots of the records that fulfil it.
    pub(super) fn select(&self, connection: &Connection, n: i64) -> rusqlite::Result<SlotSet> {
        let records = |condition| format!("SELECT slot FROM slots_{n} WHERE {condition}");
        match self {
            Self::All => select(connection, &records("true"), ()),
            Self::Term(term) => {
                select(connection, &format!("SELECT slot FROM terms_{n} WHERE term = ?1 ORDER BY slot"), (term,))
            }
            Self::Format(format) => select(connection, &records("format = ?1"), (format.as_str(),)),
            Self::Range { prefix, range } => in_range(connection, n, prefix, range),
            Self::MinWidth(min) => select(connection, &records("width >= ?1"), (min,)),
            Self::MinHeight(min) => select(connection, &records("height >= ?1"), (min,)),
            // Timestamps are texts of equal length, so the order of the texts is the order of the moments.
            Self::IndexedAfter(after) => select(connection, &records("indexed_at > ?1"), (after.to_string(),)),
            Self::Taken(ValueRange { min, max }) => {
                let bounds = [min, max].map(|bound| bound.map(Timestamp::unix_micros));
                let condition = "taken_at >= ifnull(?1, taken_at) AND taken_at <= ifnull(?2, taken_at)";
                select(connection, &records(condition), bounds)
            }
            Self::Dated => select(connection, &records("taken_at IS NOT NULL"), ()),
            Self::Near(circle) => located(connection, n, |location| circle.contains(location)),
            Self::Within(bbox) => located(connection, n, |location| bbox.contains(location)),
        }
    }
}

fn select(connection: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<SlotSet> {
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(params)?;
    let mut set = SlotSet::default();
    while let Some(row) = rows.next()? {
        set.set(row.get(0)?, true);
    }
    Ok(set)
}

/// Returns the slots of the records whose position matches.
fn located(connection: &Connection, n: i64, matches: impl Fn(Position) -> bool) -> rusqlite::Result<SlotSet> {
    let mut set = SlotSet::default();
    each(connection, &format!("SELECT slot, lat, lon FROM slots_{n} WHERE lat IS NOT NULL"), |row| {
        if Position::from_e7(row.get(1)?, row.get(2)?).is_some_and(&matches) {
            set.set(row.get(0)?, true);
        }
        Ok(())
    })?;
    Ok(set)
}

/// Returns the slots of the records whose value of a key is in a range. Reads the terms of the key that begin like a number
/// or a date: `-` is the character before the digits that are used, and `:` the one after them.
fn in_range(connection: &Connection, n: i64, prefix: &str, range: &MetaValue) -> rusqlite::Result<SlotSet> {
    let mut select =
        connection.prepare_cached(&format!("SELECT term, slot FROM terms_{n} WHERE term >= ?1 AND term < ?2"))?;
    let mut rows = select.query((format!("{prefix}-"), format!("{prefix}:")))?;
    let (mut set, mut last, mut matches) = (SlotSet::default(), String::new(), false);
    while let Some(row) = rows.next()? {
        // The rows of one value follow each other.
        let term = row.get_ref(0)?.as_str()?;
        if term != last {
            matches = range.matches(&term[prefix.len()..]);
            term.clone_into(&mut last);
        }
        if matches {
            set.set(row.get(1)?, true);
        }
    }
    Ok(set)
}
