//! The ranges of a listing in several lanes: which are listed, how far, and which wait for a lane.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;

use super::alphabet::Alphabet;
use crate::ledger::planning::ranges::KeyRange;
use crate::source::ListedPage;

/// Maximum number of keys of a page from which the alphabet is learned.
const LEARNED_KEYS: usize = 8;

/// Held while a range is divided, and while its lane takes a page: so the lane does not pass the key at which its range
/// is divided at the same time.
pub(super) type Turn = Arc<tokio::sync::Mutex<()>>;

pub(super) type OwnedTurn = tokio::sync::OwnedMutexGuard<()>;

/// The part of a range that is not listed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    /// [`KeyRange::after`] of the range.
    pub(super) after: String,
    /// The last key that is listed.
    pub(super) position: String,
    /// The last key of the range; `None` if the range ends with the prefix of the job.
    pub(super) end: Option<String>,
    /// If it is known: the range has no key that is this text or after it, apart from its end.
    pub(super) limit: Option<String>,
}

impl Rest {
    /// Returns the text before which the keys of the range are, apart from its end; `None` if nothing is known.
    pub(super) fn bound(&self) -> Option<&str> {
        self.end.as_deref().into_iter().chain(self.limit.as_deref()).min()
    }
}

/// A range, and what is known about it.
#[derive(Debug)]
struct Part {
    rest: Rest,
    /// The key after which its lane begins.
    begun_after: String,
    /// Number of keys that its lane has listed.
    listed: u64,
    /// The estimated number of keys before the first page of its lane; infinite if nothing is known.
    expected: f64,
    /// The number from which the range may be divided.
    divisible_from: u64,
    /// Whether its lane has the last page of the range.
    ended: bool,
    is_dividing: bool,
    turn: Turn,
}

impl Part {
    fn new(range: &KeyRange, limit: Option<String>, expected: f64) -> Self {
        let begun_after = range.position().to_owned();
        let (after, end) = (range.after.clone(), range.through.clone());
        let rest = Rest { after, position: begun_after.clone(), end, limit };
        let (turn, is_dividing, ended) = (Turn::default(), false, false);
        Self { rest, begun_after, listed: 0, expected, divisible_from: 0, ended, is_dividing, turn }
    }

    /// Returns an estimate of the number of keys that are left: infinite if nothing is known about the end of the range.
    fn estimate_keys_left(&self, alphabet: &Alphabet) -> f64 {
        let Some(bound) = self.rest.bound() else { return f64::INFINITY };
        if self.listed == 0 {
            return self.expected;
        }
        #[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
        let listed = self.listed as f64;
        let passed = alphabet.passed(&self.begun_after, &self.rest.position, bound);
        listed * (1.0 - passed) / passed.max(f64::EPSILON)
    }

    /// Records that the range has no key that is `limit` or after it, apart from its end.
    fn set_limit(&mut self, limit: String, alphabet: &Alphabet) {
        if let Some(bound) = self.rest.bound() {
            if limit.as_str() >= bound {
                return;
            }
            self.expected *= alphabet.passed(&self.rest.position, &limit, bound).max(f64::EPSILON);
        }
        self.rest.limit = Some(limit);
    }
}

/// A range that is to be divided.
#[derive(Debug)]
pub(super) struct Division {
    pub(super) rest: Rest,
    /// Number of requests at the same time.
    pub(super) width: usize,
    pub(super) turn: Turn,
}

/// All ranges that are not complete.
#[derive(Debug)]
pub(super) struct State {
    waiting: VecDeque<(KeyRange, Part)>,
    active: Vec<Part>,
    /// The characters of keys after the prefix of the job.
    pub(super) alphabet: Alphabet,
    /// A range with fewer keys left is not divided. After a range could not be divided, twice as many keys are listed
    /// before that is tried again.
    min_keys_left: u32,
}

impl State {
    /// Returns the state of a listing of keys with this prefix.
    pub(super) fn new(ranges: Vec<KeyRange>, prefix: &str, min_keys_left: u32) -> Self {
        let mut alphabet = Alphabet::new(prefix);
        for range in &ranges {
            alphabet.add(range.position());
        }
        let waiting = ranges.into_iter().map(|range| {
            let part = Part::new(&range, None, f64::INFINITY);
            (range, part)
        });
        Self { waiting: waiting.collect(), active: Vec::new(), alphabet, min_keys_left }
    }

    /// Returns the next range that a lane lists.
    pub(super) fn begin_next(&mut self) -> Option<(KeyRange, Turn)> {
        let (range, part) = self.waiting.pop_front()?;
        let turn = part.turn.clone();
        self.active.push(part);
        Some((range, turn))
    }

    /// Records that the lane of a range has received a page. Returns the last key of the range.
    pub(super) fn take_page(&mut self, after: &str, page: &ListedPage, is_last: bool) -> Option<String> {
        let step = (page.images.len() / LEARNED_KEYS).max(1);
        for image in page.images.iter().step_by(step) {
            self.alphabet.add(image.uri.key());
        }
        let part = self.find(after)?;
        let last = page.images.last().map(|image| image.uri.key());
        let end = part.rest.end.clone();
        part.ended |= is_last || end.as_deref().is_some_and(|end| last.is_some_and(|last| last >= end));
        part.listed += page.images.len() as u64;
        if let Some(last) = last {
            last.clone_into(&mut part.rest.position);
        }
        end
    }

    /// Removes a complete range.
    pub(super) fn end(&mut self, after: &str) {
        self.active.retain(|part| part.rest.after != after);
    }

    /// Begins the division of the ranges with the most keys left, with at most `idle` requests at the same time: each
    /// request goes to the range whose parts would be the largest.
    pub(super) fn begin_divisions(&mut self, idle: usize) -> Vec<Division> {
        let (alphabet, min_keys_left) = (&self.alphabet, f64::from(self.min_keys_left));
        let divisible = self
            .active
            .iter_mut()
            .filter(|part| !part.ended && !part.is_dividing && part.listed >= part.divisible_from);
        let mut parts: Vec<(f64, usize, &mut Part)> =
            divisible.map(|part| (part.estimate_keys_left(alphabet), 0, part)).collect();
        // Most of what an unknown end makes possible is empty: half of the requests are enough.
        let closed: f64 = parts.iter().filter(|(.., part)| part.rest.end.is_some()).map(|(keys, ..)| keys).sum();
        let weight = |(keys, width, part): &(f64, usize, &mut Part)| {
            let parts_after = f64::from(u32::try_from(width + 2).unwrap_or(u32::MAX));
            let is_worth_it = keys / parts_after * 2.0 >= min_keys_left;
            let keys = if part.rest.end.is_none() && closed > 0.0 { keys.min(closed) } else { *keys };
            is_worth_it.then_some(keys / parts_after)
        };
        for _ in 0..idle {
            let weights = parts.iter().enumerate().filter_map(|(at, part)| Some((at, weight(part)?, Reverse(part.1))));
            let largest = weights.max_by(|one, other| one.1.total_cmp(&other.1).then(one.2.cmp(&other.2)));
            let Some(part) = largest.and_then(|(at, ..)| parts.get_mut(at)) else { break };
            part.1 += 1;
        }
        let chosen = parts.into_iter().filter(|(_, width, _)| *width > 0);
        let begin = |(_, width, part): (f64, usize, &mut Part)| {
            part.is_dividing = true;
            Division { rest: part.rest.clone(), width, turn: part.turn.clone() }
        };
        chosen.map(begin).collect()
    }

    /// Ends the division of a range.
    pub(super) fn end_division(&mut self, after: &str) {
        if let Some(part) = self.find(after) {
            part.is_dividing = false;
        }
    }

    /// Returns the keys among `keys` at which a range can still be divided; `None` if there are none. If no key was found,
    /// the range is not divided again before more of it is listed.
    pub(super) fn divisible_at(
        &mut self,
        after: &str,
        mut keys: Vec<String>,
        limit: Option<String>,
    ) -> Option<Vec<String>> {
        let pause = u64::from(self.min_keys_left) * 2;
        let part = self.active.iter_mut().find(|part| part.rest.after == after)?;
        if let Some(limit) = limit {
            part.set_limit(limit, &self.alphabet);
        }
        let (rest, found) = (&part.rest, !keys.is_empty());
        keys.retain(|key| *key > rest.position && rest.end.as_ref().is_none_or(|end| key < end));
        if keys.is_empty() || part.ended {
            // Keys that the lane has passed in the meantime show that there are more.
            part.divisible_from = part.listed + if found { 0 } else { pause };
            return None;
        }
        Some(keys)
    }

    /// Adds the ranges into which a range was divided.
    pub(super) fn add(&mut self, after: &str, new: Vec<KeyRange>) {
        for range in &new {
            self.alphabet.add(&range.after);
        }
        let Some(part) = self.active.iter_mut().find(|part| part.rest.after == after) else { return };
        let Some(first) = new.first() else { return };
        let (keys, old) = (part.estimate_keys_left(&self.alphabet), part.rest.clone());
        let share = |from: &str, to: Option<&str>| {
            let passed = |key| old.bound().map_or(1.0, |bound| self.alphabet.passed(&old.position, key, bound));
            (to.map_or(1.0, passed) - passed(from)).max(f64::EPSILON)
        };
        part.expected = keys * share(&old.position, Some(&first.after));
        (part.rest.end, part.rest.limit) = (Some(first.after.clone()), None);
        for range in new {
            let limit = old.limit.clone().filter(|_| range.through == old.end);
            let expected = keys * share(&range.after, range.through.as_deref());
            let part = Part::new(&range, limit, expected);
            self.waiting.push_back((range, part));
        }
    }

    fn find(&mut self, after: &str) -> Option<&mut Part> {
        self.active.iter_mut().find(|part| part.rest.after == after)
    }
}
