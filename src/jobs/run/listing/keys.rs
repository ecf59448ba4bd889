//! Checks the keys of a listing page by page: it finds repeated keys and keys that are out of order.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::domain::JobRecord;
use crate::jobs::job_failure::JobFailure;
use crate::ledger::planning::listing;
use crate::ledger::{Ledger, LedgerError};

/// Maximum characters of a key in a message.
const MAX_KEY_CHARS: usize = 200;

/// Number of the first keys of a listing that are remembered: a listing whose pages have different orders repeats some
/// of them. The keys of a listing are never all in memory.
const REMEMBERED_KEYS: usize = 100_000;

/// The state of a listing whose keys are being read.
pub(crate) struct Keys {
    /// Whether keys must be in byte order. `sync` needs this order to find the objects that have vanished.
    ordered: bool,
    last: String,
    /// Keys up to this one were recorded before the job was interrupted in the middle of the page that is listed again.
    recorded: Option<String>,
    /// The positions of the keys of this page and of the page before, by the hashes of the keys.
    pages: [HashMap<u64, usize>; 2],
    /// Hashes of the first keys.
    first: HashSet<u64>,
    /// Whether this page has a new key.
    has_new: bool,
    /// The next position in the page before, if this page begins with keys of it.
    overlap: Option<usize>,
    /// Whether each key so far was returned once and in byte order.
    in_order: bool,
}

impl Keys {
    /// Starts after the key `last`. `again` means that the listing starts with the page that contains this key.
    pub(crate) fn new(ordered: bool, last: Option<String>, again: bool) -> Self {
        Self {
            ordered,
            recorded: last.clone().filter(|_| ordered && again),
            last: last.unwrap_or_default(),
            pages: Default::default(),
            first: HashSet::new(),
            has_new: false,
            overlap: None,
            in_order: true,
        }
    }

    /// Returns whether the key is new. Some services begin a page with the last keys of the page before.
    ///
    /// # Errors
    /// [`JobFailure::Unordered`], [`JobFailure::Unstable`]
    pub(crate) fn is_new(&mut self, key: &str) -> Result<bool, JobFailure> {
        let is_new = self.check(key);
        self.in_order &= matches!(is_new, Ok(true));
        is_new
    }

    fn check(&mut self, key: &str) -> Result<bool, JobFailure> {
        if self.recorded.as_deref().is_some_and(|recorded| key <= recorded) {
            return Ok(false);
        }
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let hash = hasher.finish();
        let unstable = || Err(JobFailure::Unstable { key: shown(key) });
        let [page, before] = &mut self.pages;
        if page.contains_key(&hash) {
            return Ok(false);
        }
        let position = page.len();
        if let Some(at) = before.get(&hash) {
            if self.has_new || self.overlap.is_some_and(|next| next != *at) {
                return unstable();
            }
            self.overlap = Some(at + 1);
            page.insert(hash, position);
            return Ok(false);
        }
        // The keys of an overlap are all keys from one on to the end of the page before.
        let is_within_page_before = self.overlap.is_some_and(|next| next < before.len());
        if self.first.contains(&hash) || (is_within_page_before && !self.has_new) {
            return unstable();
        }
        if !self.last.is_empty() && self.last.as_str() >= key {
            if self.last == key {
                return Ok(false);
            }
            if self.ordered {
                return Err(JobFailure::Unordered { before: shown(&self.last), key: shown(key) });
            }
            self.in_order = false;
        }
        page.insert(hash, position);
        // In byte order, no key can be repeated on a later page.
        if !self.ordered && self.first.len() < REMEMBERED_KEYS {
            self.first.insert(hash);
        }
        self.has_new = true;
        self.last.clear();
        self.last.push_str(key);
        Ok(true)
    }

    /// Ends the current page.
    pub(crate) fn end_page(&mut self) {
        self.recorded = None;
        if self.pages[0].is_empty() {
            return;
        }
        self.pages.swap(0, 1);
        self.pages[0].clear();
        (self.has_new, self.overlap) = (false, None);
    }

    /// Whether each key so far was returned once and in byte order.
    pub(crate) fn are_in_order(&self) -> bool {
        self.in_order
    }

    /// Returns the last key, if there is one.
    pub(crate) fn last(&self) -> Option<String> {
        Some(self.last.clone()).filter(|last| !last.is_empty())
    }
}

/// Formats a key for a log or a message: on one line, and at most [`MAX_KEY_CHARS`] characters of it.
pub(crate) fn shown(key: &str) -> String {
    let mut text: String = key.chars().take(MAX_KEY_CHARS).flat_map(escape_control).collect();
    if key.chars().nth(MAX_KEY_CHARS).is_some() {
        text.push('…');
    }
    text
}

fn escape_control(character: char) -> Vec<char> {
    if character.is_control() { character.escape_default().collect() } else { vec![character] }
}

/// Why an entry cannot be read; the log of the job has the entries.
const WHY: &str = "a key that is missing or not UTF-8, or a page with fewer entries than its KeyCount";

/// Returns the warning of a job about entries of the listing that cannot be read, if there are any.
///
/// # Errors
/// [`LedgerError`]
pub(crate) async fn unreadable(ledger: &Ledger, job: &JobRecord) -> Result<Option<String>, LedgerError> {
    let id = job.id;
    let keys = ledger.read(move |db| listing::unreadable(db, id)).await?;
    let kept = if job.spec.sync {
        "; sync removes no record in this run, because an object that seems to have vanished may be such an entry"
    } else {
        ""
    };
    Ok(match keys {
        0 => None,
        1 => Some(format!("1 entry of the listing cannot be read and was skipped ({WHY}){kept}")),
        keys => Some(format!("{keys} entries of the listing cannot be read and were skipped ({WHY}){kept}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_keys(keys: &mut Keys, page: &[&str]) -> Vec<String> {
        let new = page.iter().filter(|key| keys.is_new(key).unwrap()).map(|key| (*key).to_owned()).collect();
        keys.end_page();
        new
    }

    #[test]
    fn a_key_that_two_neighbouring_pages_list_counts_once() {
        for ordered in [true, false] {
            let mut keys = Keys::new(ordered, None, false);
            assert_eq!(new_keys(&mut keys, &["a", "b", "c"]), ["a", "b", "c"]);
            assert_eq!(new_keys(&mut keys, &["b", "c", "c", "d"]), ["d"]);
            assert_eq!(keys.last().as_deref(), Some("d"));
        }
    }

    #[test]
    fn a_key_that_is_repeated_anywhere_else_on_a_later_page_is_an_error() {
        for pages in [
            [&["a", "b", "c"][..], &["d", "c"], &[]],
            [&["a", "b", "c"], &["b", "d"], &[]],
            [&["a", "b", "c"], &["c", "b"], &[]],
            [&["a", "b", "c"], &["d", "e"], &["f", "a"]],
            [&["c", "a", "b"], &[], &["d", "c"]],
        ] {
            let mut keys = Keys::new(false, None, false);
            let mut result = Ok(true);
            for page in pages {
                result = page.iter().fold(result, |result, key| result.and_then(|_| keys.is_new(key)));
                keys.end_page();
            }
            assert!(matches!(result, Err(JobFailure::Unstable { .. })), "{pages:?}: {result:?}");
        }
        // A page that consists of a long overlap.
        let mut keys = Keys::new(false, None, false);
        assert_eq!(new_keys(&mut keys, &["a", "b", "c"]), ["a", "b", "c"]);
        assert_eq!(new_keys(&mut keys, &["b", "c", "d"]), ["d"]);
        assert_eq!(new_keys(&mut keys, &["c", "d", "e"]), ["e"]);
    }

    #[test]
    fn keys_out_of_order_are_an_error_only_if_order_is_required() {
        let mut keys = Keys::new(false, None, false);
        assert_eq!(new_keys(&mut keys, &["d", "e", "a", "b"]), ["d", "e", "a", "b"]);
        assert!(!keys.are_in_order());
        let mut keys = Keys::new(true, None, false);
        assert!(keys.is_new("d").unwrap() && keys.are_in_order());
        assert!(matches!(keys.is_new("a"), Err(JobFailure::Unordered { .. })));
        let mut keys = Keys::new(false, None, false);
        assert_eq!(new_keys(&mut keys, &["a", "b"]).len() + new_keys(&mut keys, &["b", "c"]).len(), 3);
        assert!(!keys.are_in_order(), "a key that is returned again");
    }

    #[test]
    fn a_page_that_is_listed_again_continues_after_the_last_recorded_key() {
        let mut keys = Keys::new(true, Some("b".to_owned()), true);
        assert_eq!(new_keys(&mut keys, &["a", "b", "c"]), ["c"]);
        let mut keys = Keys::new(true, Some("b".to_owned()), false);
        assert!(matches!(keys.is_new("a"), Err(JobFailure::Unordered { .. })));
    }

    #[test]
    fn a_key_is_shown_in_one_short_line() {
        assert_eq!(shown("a\nb\u{1}.jpg"), "a\\nb\\u{1}.jpg");
        assert_eq!(shown(&"x".repeat(5_000)).chars().count(), MAX_KEY_CHARS + 1);
    }
}
