//! The keys of a listing as they come: those that come twice, and whether they come in order.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::ledger::Ledger;
use super::trouble::JobTrouble;
use crate::domain::JobRecord;
use crate::sqlite::SqliteError;

/// Letters of a key that are shown.
const MAX_SHOWN: usize = 200;

/// The keys of a listing as they come.
pub(super) struct Keys {
    /// Whether they must come in the order of their bytes: then they tell what has vanished.
    ordered: bool,
    last: String,
    /// Keys up to this one were noted before the job was interrupted, in the middle of the page that is listed again.
    noted: Option<String>,
    /// Hashes of this page's keys and of those of the page before.
    pages: [HashSet<u64>; 2],
}

impl Keys {
    /// After `last`. `again` says that the listing begins at the page in whose middle the last key is.
    pub(super) fn new(ordered: bool, last: Option<String>, again: bool) -> Self {
        let noted = last.clone().filter(|_| ordered && again);
        Self { ordered, last: last.unwrap_or_default(), noted, pages: [HashSet::new(), HashSet::new()] }
    }

    /// Whether the key did not come before: some services begin a page with keys of the one before.
    ///
    /// # Errors
    /// [`JobTrouble::Unordered`]
    pub(super) fn is_new(&mut self, key: &str) -> Result<bool, JobTrouble> {
        if self.noted.as_deref().is_some_and(|noted| key <= noted) {
            return Ok(false);
        }
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let hash = hasher.finish();
        if self.last.as_str() >= key {
            if self.pages.iter().any(|page| page.contains(&hash)) {
                return Ok(false);
            }
            if self.ordered && !self.last.is_empty() {
                return Err(JobTrouble::Unordered { before: shown(&self.last), key: shown(key) });
            }
        }
        self.pages[0].insert(hash);
        self.last.clear();
        self.last.push_str(key);
        Ok(true)
    }

    /// The page has come to its end.
    pub(super) fn turn(&mut self) {
        self.pages.swap(0, 1);
        self.pages[0].clear();
        self.noted = None;
    }

    /// The last key, if there is any.
    pub(super) fn last(&self) -> Option<String> {
        Some(self.last.clone()).filter(|last| !last.is_empty())
    }
}

/// A key as it is written into a log or a message: in one line, and not without end.
pub(super) fn shown(key: &str) -> String {
    let mut text: String = key.chars().take(MAX_SHOWN).flat_map(shown_letter).collect();
    if key.chars().nth(MAX_SHOWN).is_some() {
        text.push('…');
    }
    text
}

fn shown_letter(letter: char) -> Vec<char> {
    if letter.is_control() { letter.escape_default().collect() } else { vec![letter] }
}

/// What a job says of keys that it could not name, if there are any.
///
/// # Errors
/// [`SqliteError`]
pub(super) async fn unreadable(ledger: &Ledger, job: &JobRecord) -> Result<Option<String>, SqliteError> {
    let keys = ledger.unreadable(job.id).await?;
    let kept = if job.spec.sync {
        "; sync removes no record in this run, because what seems to have vanished may be such a key"
    } else {
        ""
    };
    Ok((keys > 0).then(|| format!("{keys} keys are not UTF-8 and were skipped{kept}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_of(keys: &mut Keys, page: &[&str]) -> Vec<String> {
        let new = page.iter().filter(|key| keys.is_new(key).unwrap()).map(|key| (*key).to_owned()).collect();
        keys.turn();
        new
    }

    #[test]
    fn what_comes_twice_in_neighbouring_pages_counts_once() {
        for ordered in [true, false] {
            let mut keys = Keys::new(ordered, None, false);
            assert_eq!(new_of(&mut keys, &["a", "b", "c"]), ["a", "b", "c"]);
            assert_eq!(new_of(&mut keys, &["b", "c", "c", "d"]), ["d"]);
            assert_eq!(keys.last().as_deref(), Some("d"));
        }
    }

    #[test]
    fn an_order_that_is_needed_is_held_and_another_is_taken() {
        let mut keys = Keys::new(false, None, false);
        assert_eq!(new_of(&mut keys, &["d", "e", "a", "b"]), ["d", "e", "a", "b"]);
        let mut keys = Keys::new(true, None, false);
        assert!(keys.is_new("d").unwrap());
        assert!(matches!(keys.is_new("a"), Err(JobTrouble::Unordered { .. })));
    }

    #[test]
    fn a_page_that_is_listed_again_goes_on_after_what_was_noted() {
        let mut keys = Keys::new(true, Some("b".to_owned()), true);
        assert_eq!(new_of(&mut keys, &["a", "b", "c"]), ["c"]);
        let mut keys = Keys::new(true, Some("b".to_owned()), false);
        assert!(matches!(keys.is_new("a"), Err(JobTrouble::Unordered { .. })));
    }

    #[test]
    fn a_key_is_shown_in_one_short_line() {
        assert_eq!(shown("a\nb\u{1}.jpg"), "a\\nb\\u{1}.jpg");
        assert_eq!(shown(&"x".repeat(5_000)).chars().count(), MAX_SHOWN + 1);
    }
}
