//! The values of a field of texts for each slot: the format, the folders, or the values of a metadata key.
//!
//! A record can have several values (folders), and many records have the same ones. So a slot has the number of a *list* of
//! values, and a list is another list and one more value.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use rusqlite::Connection;

use super::column::Column;
use super::predicate::Attributes;
use super::slot_set::SlotSet;
use crate::index::embedded::rows::{camera_term, folder_term, meta_term, month_term, raw};
use crate::lock::{read, write};

/// A field of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::index::embedded) enum TextField {
    Format,
    /// The terms that begin with this prefix. The values are the rest of them.
    Terms(String),
}

impl TextField {
    pub(in crate::index::embedded) fn folders() -> Self {
        Self::Terms(folder_term(""))
    }

    pub(in crate::index::embedded) fn meta(key: &str) -> Self {
        Self::Terms(meta_term(key, ""))
    }

    pub(in crate::index::embedded) fn cameras() -> Self {
        Self::Terms(camera_term(""))
    }

    pub(in crate::index::embedded) fn months() -> Self {
        Self::Terms(month_term(""))
    }

    fn values<'a>(&'a self, attributes: &'a Attributes) -> Vec<&'a str> {
        match self {
            Self::Format => vec![attributes.format.as_str()],
            Self::Terms(prefix) => attributes.values(prefix).collect(),
        }
    }

    /// Calls `each` with each value of each slot until it returns false. Returns whether it always returned true. All slots of a
    /// folder or of a metadata value follow each other.
    pub(in crate::index::embedded) fn each(
        &self,
        (connection, n): (&Connection, i64),
        mut each: impl FnMut(&str, u32) -> bool,
    ) -> rusqlite::Result<bool> {
        let (sql, prefix) = match self {
            Self::Format => (format!("SELECT format, slot FROM slots_{n} WHERE format >= ?1"), ""),
            Self::Terms(prefix) => {
                (format!("SELECT term, slot FROM terms_{n} WHERE term >= ?1 ORDER BY term, slot"), prefix.as_str())
            }
        };
        let mut select = connection.prepare_cached(&sql)?;
        let mut rows = select.query((prefix,))?;
        while let Some(row) = rows.next()? {
            let Some(value) = raw(row, 0)?.strip_prefix(prefix.as_bytes()) else { break };
            if !each(&String::from_utf8_lossy(value), row.get(1)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The values of one field. Cloning copies pointers.
#[derive(Clone, Debug)]
pub(in crate::index::embedded) struct TextColumn {
    field: TextField,
    /// The list of each slot; 0, the empty list, for an empty slot.
    lists: Column<u32>,
    /// Columns of other versions share it: it only grows.
    dictionary: Arc<RwLock<Dictionary>>,
}

impl TextColumn {
    /// Reads the values of the records in the slots that are occupied. Returns `None` if the different values need more than
    /// `max_bytes`.
    pub(super) fn read(
        field: &TextField,
        source: (&Connection, i64),
        is_occupied: impl Fn(u32) -> bool,
        max_bytes: usize,
    ) -> rusqlite::Result<Option<Self>> {
        let (mut lists, mut dictionary) = (Column::default(), Dictionary::default());
        // Equal values follow each other, and most of their records have the same other values.
        let mut last_value: Option<(String, u32)> = None;
        let mut last_list = (List::default(), 0);
        let is_complete = field.each(source, |value, slot| {
            if is_occupied(slot) {
                let number = match &last_value {
                    Some((last, number)) if last == value => *number,
                    _ => last_value.insert((value.to_owned(), dictionary.value(value))).1,
                };
                let list = List { rest: lists.get(slot), value: number };
                if list != last_list.0 || last_list.1 == 0 {
                    last_list = (list, dictionary.extended(list));
                }
                lists.set(slot, last_list.1);
            }
            dictionary.bytes() <= max_bytes
        })?;
        let dictionary = Arc::new(RwLock::new(dictionary));
        Ok(is_complete.then(|| Self { field: field.clone(), lists, dictionary }))
    }

    pub(super) fn field(&self) -> &TextField {
        &self.field
    }

    /// Stores the values of the record in a slot; `None` for an empty slot.
    pub(super) fn set(&mut self, slot: u32, attributes: Option<&Attributes>) {
        let values = attributes.map_or_else(Vec::new, |attributes| self.field.values(attributes));
        let list = if values.is_empty() { 0 } else { write(&self.dictionary).list(&values) };
        self.lists.set(slot, list);
    }

    /// Returns the slots of the records that have a value that matches.
    pub(super) fn select(&self, matches: impl Fn(&str) -> bool) -> SlotSet {
        let is_included = read(&self.dictionary).lists_with(matches);
        self.lists.select(|list| is_included[list as usize])
    }

    /// Calls `each` with each value and the number of its records in `allowed`; `None` for all records.
    pub(in crate::index::embedded) fn count(&self, allowed: Option<&SlotSet>, mut each: impl FnMut(&str, u64)) {
        let mut records = vec![0; read(&self.dictionary).lists.len()];
        self.lists.each(allowed, |list| records[list as usize] += 1);
        let dictionary = read(&self.dictionary);
        let mut counts = vec![0; dictionary.values.len()];
        // A list comes after the one that it extends.
        for list in (1..records.len()).rev() {
            let List { rest, value } = dictionary.lists[list];
            counts[value as usize] += records[list];
            records[rest as usize] += records[list];
        }
        dictionary.values.iter().zip(counts).for_each(|(value, count)| each(value, count));
    }

    pub(super) fn bytes(&self) -> usize {
        self.lists.bytes() + read(&self.dictionary).bytes()
    }
}

/// The different values and lists of values. The number of each stays the same.
#[derive(Debug)]
struct Dictionary {
    values: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
    lists: Vec<List>,
    extended: HashMap<List, u32>,
    text_bytes: usize,
}

/// A list with one more value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct List {
    rest: u32,
    value: u32,
}

impl Default for Dictionary {
    fn default() -> Self {
        // The first list is the empty one.
        let lists = vec![List::default()];
        let (values, numbers, extended) = (Vec::new(), HashMap::new(), HashMap::new());
        Self { values, numbers, lists, extended, text_bytes: 0 }
    }
}

impl Dictionary {
    /// The memory of a value and of a list, with their hash tables and without the text.
    const VALUE_BYTES: usize = 80;
    const LIST_BYTES: usize = 32;

    fn list(&mut self, values: &[&str]) -> u32 {
        values.iter().fold(0, |rest, value| {
            let value = self.value(value);
            self.extended(List { rest, value })
        })
    }

    /// Returns the number of a value.
    fn value(&mut self, value: &str) -> u32 {
        self.numbers.get(value).copied().unwrap_or_else(|| {
            let (number, text) = (next_number(&self.values), Arc::<str>::from(value));
            self.text_bytes += value.len();
            self.values.push(Arc::clone(&text));
            self.numbers.insert(text, number);
            number
        })
    }

    /// Returns the number of a list.
    fn extended(&mut self, list: List) -> u32 {
        *self.extended.entry(list).or_insert_with(|| {
            let number = next_number(&self.lists);
            self.lists.push(list);
            number
        })
    }

    /// Returns for each list whether it has a value that matches.
    fn lists_with(&self, matches: impl Fn(&str) -> bool) -> Vec<bool> {
        let values: Vec<bool> = self.values.iter().map(|value| matches(value)).collect();
        let mut included = vec![false];
        for List { rest, value } in &self.lists[1..] {
            included.push(values[*value as usize] || included[*rest as usize]);
        }
        included
    }

    fn bytes(&self) -> usize {
        self.text_bytes + self.values.len() * Self::VALUE_BYTES + self.lists.len() * Self::LIST_BYTES
    }
}

/// Returns the number of the next element. There are fewer than 2³², because the memory is limited.
fn next_number<T>(elements: &[T]) -> u32 {
    u32::try_from(elements.len()).unwrap_or(u32::MAX)
}
