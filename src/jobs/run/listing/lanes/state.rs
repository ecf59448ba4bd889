//! The ranges of a listing in several lanes: which are listed, how far, and which wait for a lane.

use std::collections::VecDeque;

use super::alphabet::Alphabet;
use crate::ledger::planning::ranges::KeyRange;
use crate::source::ListedPage;

/// Maximum number of keys of a page from which the alphabet is learned.
const LEARNED_KEYS: usize = 8;

/// The part of a range that is not listed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    /// [`KeyRange::after`] of the range.
    pub(super) after: String,
    /// The last key that is listed.
    pub(super) position: String,
    /// The last key of the range; `None` if the range ends with the prefix of the job.
    pub(super) end: Option<String>,
    /// If it is known: the range has no key that is this text or after it.
    pub(super) limit: Option<String>,
}

/// A range that a lane lists.
#[derive(Debug)]
struct Active {
    rest: Rest,
    /// The key after which the lane has begun.
    begun_after: String,
    /// Number of keys that the lane has listed.
    listed: u64,
    /// The number from which the range may be divided.
    divisible_from: u64,
    /// Whether the lane has the last page of the range.
    ended: bool,
}

impl Active {
    /// Returns an estimate of the number of keys that are left: infinite if nothing is known about the end of the range.
    fn estimate_keys_left(&self, alphabet: &Alphabet) -> f64 {
        let Rest { position, end, limit, .. } = &self.rest;
        #[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
        let listed = self.listed as f64;
        match end.as_ref().or(limit.as_ref()) {
            Some(end) => {
                let passed = alphabet.passed(&self.begun_after, position, end);
                listed * (1.0 - passed) / passed.max(f64::EPSILON)
            }
            None => f64::INFINITY,
        }
    }
}

/// All ranges that are not complete.
#[derive(Debug)]
pub(super) struct State {
    waiting: VecDeque<(KeyRange, Option<String>)>,
    active: Vec<Active>,
    /// The characters of keys after the prefix of the job.
    pub(super) alphabet: Alphabet,
    /// Bytes of that prefix.
    prefix: usize,
    /// A range with fewer keys left is not divided. After a range could not be divided, twice as many keys are listed
    /// before that is tried again.
    min_keys_left: u32,
}

impl State {
    /// Returns the state of a listing of keys with this prefix.
    pub(super) fn new(ranges: Vec<KeyRange>, prefix: &str, min_keys_left: u32) -> Self {
        let (waiting, active, alphabet) = (VecDeque::new(), Vec::new(), Alphabet::default());
        let mut state = Self { waiting, active, alphabet, prefix: prefix.len(), min_keys_left };
        for range in ranges {
            state.learn(range.position());
            state.waiting.push_back((range, None));
        }
        state
    }

    fn learn(&mut self, key: &str) {
        self.alphabet.add(key.get(self.prefix..).unwrap_or_default());
    }

    /// Returns the next range that a lane lists.
    pub(super) fn begin_next(&mut self) -> Option<KeyRange> {
        let (range, limit) = self.waiting.pop_front()?;
        let (after, end) = (range.after.clone(), range.through.clone());
        let begun_after = range.position().to_owned();
        let rest = Rest { after, position: begun_after.clone(), end, limit };
        self.active.push(Active { rest, begun_after, listed: 0, divisible_from: 0, ended: false });
        Some(range)
    }

    /// Records that the lane of a range has received a page. Returns the last key of the range.
    pub(super) fn take_page(&mut self, after: &str, page: &ListedPage, is_last: bool) -> Option<String> {
        let step = (page.images.len() / LEARNED_KEYS).max(1);
        for image in page.images.iter().step_by(step) {
            self.learn(image.uri.key());
        }
        let active = self.find(after)?;
        let last = page.images.last().map(|image| image.uri.key());
        let end = active.rest.end.clone();
        active.ended |= is_last || end.as_deref().is_some_and(|end| last.is_some_and(|last| last >= end));
        active.listed += page.images.len() as u64;
        if let Some(last) = last {
            last.clone_into(&mut active.rest.position);
        }
        end
    }

    /// Removes a complete range.
    pub(super) fn end(&mut self, after: &str) {
        self.active.retain(|active| active.rest.after != after);
    }

    /// Returns the range with the most keys left, if one of them is worth dividing.
    pub(super) fn largest(&self) -> Option<Rest> {
        let divisible = self.active.iter().filter(|active| !active.ended && active.listed >= active.divisible_from);
        let keys_left = divisible.map(|active| (active.estimate_keys_left(&self.alphabet), &active.rest));
        let (keys, rest) = keys_left.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
        (keys >= f64::from(self.min_keys_left)).then(|| rest.clone())
    }

    /// Returns the keys among `keys` at which a range can still be divided; `None` if there are none. Then the range is
    /// not divided again before more of it is listed.
    pub(super) fn divisible_at(&mut self, after: &str, mut keys: Vec<String>) -> Option<Vec<String>> {
        let pause = u64::from(self.min_keys_left) * 2;
        let active = self.find(after)?;
        let rest = &active.rest;
        keys.retain(|key| *key > rest.position && rest.end.as_ref().is_none_or(|end| key < end));
        if keys.is_empty() || active.ended {
            active.divisible_from = active.listed + pause;
            return None;
        }
        Some(keys)
    }

    /// Adds the ranges into which a range was divided.
    pub(super) fn add(&mut self, after: &str, new: Vec<KeyRange>, limit: Option<String>) {
        let Some(active) = self.find(after) else { return };
        let Some(first) = new.first() else { return };
        let last_limit = if active.rest.end.is_none() { limit } else { None };
        active.rest.end = Some(first.after.clone());
        let limits = new.iter().map(|range| last_limit.clone().filter(|_| range.through.is_none())).collect::<Vec<_>>();
        self.waiting.extend(new.into_iter().zip(limits));
    }

    fn find(&mut self, after: &str) -> Option<&mut Active> {
        self.active.iter_mut().find(|active| active.rest.after == after)
    }
}
