//! Converts a [`Filter`] into a set of slots: folders and metadata through `terms`, the rest in one pass over
//! `records`.

use rusqlite::{Connection, Params, params};

use super::rows::{folder_term, meta_term};
use crate::domain::{Filter, ImageFormat};

/// A set of slots with one bit for each.
#[derive(Debug, Default, PartialEq)]
pub(super) struct SlotSet(Vec<u64>);

impl SlotSet {
    /// Returns whether the set contains the slot.
    pub(super) fn contains(&self, slot: u32) -> bool {
        self.0.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    fn insert(&mut self, slot: u32) {
        let word = slot as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (slot % 64);
    }

    fn intersect(&mut self, other: &Self) {
        self.0.truncate(other.0.len());
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= other;
        }
    }

    fn select(connection: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<Self> {
        let mut select = connection.prepare_cached(sql)?;
        let mut rows = select.query(params)?;
        let mut set = Self::default();
        while let Some(row) = rows.next()? {
            set.insert(row.get(0)?);
        }
        Ok(set)
    }
}

/// Returns the slots whose records match `filter`, or `None` if the filter has no condition. Selects the same records
/// as [`Filter::matches`]; a test compares the two.
pub(super) fn slots(connection: &Connection, n: i64, filter: &Filter) -> rusqlite::Result<Option<SlotSet>> {
    let mut found: Option<SlotSet> = None;
    let mut intersect = |set: SlotSet| match &mut found {
        None => found = Some(set),
        Some(found) => found.intersect(&set),
    };
    let folder = filter.s3_prefix.iter().map(|folder| folder_term(folder));
    for term in folder.chain(filter.meta.iter().map(|(key, value)| meta_term(key, value))) {
        intersect(SlotSet::select(connection, &format!("SELECT slot FROM terms_{n} WHERE term = ?1"), (term,))?);
    }
    let Filter { format, s3_prefix: _, min_width, min_height, indexed_after, meta: _ } = filter;
    if format.is_some() || min_width.is_some() || min_height.is_some() || indexed_after.is_some() {
        // Timestamps are texts of equal length, so the order of the texts is the order of the moments.
        let sql = format!(
            "SELECT slot FROM records_{n} WHERE (?1 IS NULL OR format = ?1) AND (?2 IS NULL OR width >= ?2)
             AND (?3 IS NULL OR height >= ?3) AND (?4 IS NULL OR indexed_at > ?4)"
        );
        let format = format.map(ImageFormat::as_str);
        let after = indexed_after.map(|moment| moment.to_string());
        intersect(SlotSet::select(connection, &sql, params![format, min_width, min_height, after])?);
    }
    Ok(found)
}
