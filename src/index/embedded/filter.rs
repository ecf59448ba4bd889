//! Converts a [`Filter`] into a set of slots: folders and metadata through `terms`, the rest through `records`.

use rusqlite::{Connection, Params, params};

use super::rows::{folder_term, meta_term};
use crate::domain::{Condition, Filter, MetaValue};

/// A set of slots with one bit for each.
#[derive(Debug, Default, PartialEq)]
pub(super) struct SlotSet(Vec<u64>);

impl SlotSet {
    /// Returns whether the set contains the slot.
    pub(super) fn contains(&self, slot: u32) -> bool {
        self.0.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Returns the number of slots in the set.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Iterates over the slots in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        (0..).step_by(64).zip(&self.0).flat_map(|(first, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros();
                // Removes the lowest bit.
                rest &= rest.wrapping_sub(1);
                (bit < 64).then_some(first + bit)
            })
        })
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

    fn unite(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    fn subtract(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= !other;
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
    let Filter { formats, folders, min_width, min_height, indexed_after, meta } = filter;
    let mut selection = Selection::default();
    selection.add(folders, |folder| term(connection, n, &folder_term(folder)))?;
    for (key, condition) in meta {
        selection.add(condition, |value| match value {
            MetaValue::Text(text) => term(connection, n, &meta_term(key, text)),
            MetaValue::Numbers(_) | MetaValue::Dates(_) => in_range(connection, n, key, value),
        })?;
    }
    selection.add(formats, |format| {
        SlotSet::select(connection, &format!("SELECT slot FROM records_{n} WHERE format = ?1"), (format.as_str(),))
    })?;
    if min_width.is_some() || min_height.is_some() || indexed_after.is_some() {
        // Timestamps are texts of equal length, so the order of the texts is the order of the moments.
        let sql = format!(
            "SELECT slot FROM records_{n} WHERE (?1 IS NULL OR width >= ?1) AND (?2 IS NULL OR height >= ?2)
             AND (?3 IS NULL OR indexed_at > ?3)"
        );
        let after = indexed_after.map(|moment| moment.to_string());
        selection.intersect(SlotSet::select(connection, &sql, params![min_width, min_height, after])?);
    }
    selection.into_slots(|| SlotSet::select(connection, &format!("SELECT slot FROM records_{n}"), ()))
}

/// The slots that match the conditions so far.
#[derive(Default)]
struct Selection {
    /// `None` if no condition has restricted them.
    included: Option<SlotSet>,
    excluded: SlotSet,
}

impl Selection {
    fn add<T>(
        &mut self,
        condition: &Condition<T>,
        select: impl Fn(&T) -> rusqlite::Result<SlotSet>,
    ) -> rusqlite::Result<()> {
        if !condition.any_of.is_empty() {
            let mut any = SlotSet::default();
            for value in &condition.any_of {
                any.unite(&select(value)?);
            }
            self.intersect(any);
        }
        for value in &condition.none_of {
            self.excluded.unite(&select(value)?);
        }
        Ok(())
    }

    fn intersect(&mut self, set: SlotSet) {
        match &mut self.included {
            None => self.included = Some(set),
            Some(included) => included.intersect(&set),
        }
    }

    /// Returns the selected slots, or `None` if every slot is selected. `all` returns the slots of all records.
    fn into_slots(self, all: impl FnOnce() -> rusqlite::Result<SlotSet>) -> rusqlite::Result<Option<SlotSet>> {
        let Self { included, excluded } = self;
        if excluded.0.is_empty() {
            return Ok(included);
        }
        let mut included = included.map_or_else(all, Ok)?;
        included.subtract(&excluded);
        Ok(Some(included))
    }
}

fn term(connection: &Connection, n: i64, term: &str) -> rusqlite::Result<SlotSet> {
    SlotSet::select(connection, &format!("SELECT slot FROM terms_{n} WHERE term = ?1"), (term,))
}

/// Returns the slots of the records whose value of `key` is in a range. Reads the terms of the key that begin like a
/// number or a date: `-` is the character before the digits that are used, and `:` the one after them.
fn in_range(connection: &Connection, n: i64, key: &str, range: &MetaValue) -> rusqlite::Result<SlotSet> {
    let prefix = meta_term(key, "");
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
            set.insert(row.get(1)?);
        }
    }
    Ok(set)
}
