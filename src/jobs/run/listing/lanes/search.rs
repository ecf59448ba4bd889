//! Finds keys at which a range is divided, by requests for the first key after a text.
//!
//! The first search finds the place in the last listed key where later keys differ from it: with `a/b/0001` as the last
//! key and `a/b/0999` later, it is the first digit that differs. Keys that have another character there are then spread
//! over the lanes. Each search narrows an interval with several requests at once, so a range is divided after a few
//! round trips, whatever prefixes its keys share.

use futures::future::try_join_all;

use super::alphabet::{Alphabet, common_prefix};
use super::state::Rest;
use crate::domain::key_order::end_of_prefix;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::keys::shown;
use crate::source::{ImageSource, Scope};

/// Maximum bytes of a text to start after: a key has at most 1,024 bytes.
const MAX_TEXT_BYTES: usize = 1_024;

/// What a search has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Existing keys inside the range, in their order, each once.
    pub(super) keys: Vec<String>,
    /// The range has no key that is this text or after it, apart from its end.
    pub(super) limit: Option<String>,
}

/// Sends the requests of a search.
#[derive(Clone, Copy)]
pub(super) struct Probes<'a> {
    pub(super) source: &'a dyn ImageSource,
    pub(super) bucket: &'a str,
    pub(super) prefix: &'a str,
}

impl Probes<'_> {
    /// Returns the first key after a text.
    pub(super) async fn first_after(&self, text: &str) -> Result<Option<String>, JobFailure> {
        let (bucket, prefix) = (self.bucket.to_owned(), self.prefix.to_owned());
        let scope = Scope { bucket, prefix, start_after: Some(text.to_owned()) };
        let found = self.source.first(&scope, 1).await.map_err(JobFailure::Listing)?;
        let key = found.first().map(|image| image.uri.key().to_owned());
        match key {
            Some(key) if key.as_str() <= text => Err(JobFailure::Unordered { before: shown(text), key: shown(&key) }),
            key => Ok(key),
        }
    }

    /// Returns for each text the first key after it, if the key is inside the rest of the range.
    async fn inside(&self, rest: &Rest, texts: &[String]) -> Result<Vec<Option<String>>, JobFailure> {
        let is_inside = |key: &String| *key > rest.position && rest.end.as_ref().is_none_or(|end| key < end);
        let requests = texts.iter().map(|text| async {
            // Every key is after the empty text, also those before the position.
            if text.is_empty() || text.len() > MAX_TEXT_BYTES {
                return Ok(None);
            }
            Ok(self.first_after(text).await?.filter(is_inside))
        });
        try_join_all(requests).await
    }
}

/// Finds keys inside the rest of a range, with at most `width` requests at the same time.
///
/// # Errors
/// [`JobFailure::Listing`] if a request fails, [`JobFailure::Unordered`]
pub(super) async fn find_keys(
    probes: Probes<'_>,
    rest: &Rest,
    alphabet: &Alphabet,
    width: usize,
) -> Result<Found, JobFailure> {
    let Some((branch, key)) = find_branch(probes, rest, width).await? else { return Ok(Found::default()) };
    // Every other key inside begins with this text, and then has a later character than the position.
    let (stem, after_position) = branch;
    let place_in_stem = |text: &str| text.strip_prefix(stem.as_str()).map(|rest| alphabet.place(rest));
    let bound = rest.end.as_deref().or(rest.limit.as_deref());
    let from = place_in_stem(&after_position).unwrap_or(0.0);
    let to = bound.and_then(place_in_stem).unwrap_or(1.0).max(from);
    #[expect(clippy::cast_precision_loss, reason = "at most the number of lanes")]
    let place = |step: usize| from + (to - from) * step as f64 / (width + 1) as f64;
    let texts: Vec<String> = (1..=width).map(|step| format!("{stem}{}", alphabet.text_at(place(step)))).collect();
    let mut keys: Vec<String> = probes.inside(rest, &texts).await?.into_iter().flatten().chain([key]).collect();
    keys.sort_unstable();
    keys.dedup();
    Ok(Found { keys, limit: Some(end_of_prefix(&stem)).filter(|limit| !limit.is_empty()) })
}

/// Finds the first character of the position that can be replaced so that keys inside begin with the result. Returns
/// the text before that character, the first text that has a later character there, and the first key with such a
/// character; `None` if no key inside differs from the position before its end.
async fn find_branch(
    probes: Probes<'_>,
    rest: &Rest,
    width: usize,
) -> Result<Option<((String, String), String)>, JobFailure> {
    let Some(own) = rest.position.strip_prefix(probes.prefix) else { return Ok(None) };
    let begin = probes.prefix.len();
    // The ends of the beginnings of the position, the shortest first.
    let ends: Vec<usize> = own.char_indices().map(|(at, character)| begin + at + character.len_utf8()).collect();
    // All keys inside begin with what the position and the end have in common.
    let common = rest.end.as_ref().map_or(begin, |end| common_prefix(&rest.position, end));
    // `low` is the length of a beginning that all keys inside have, or 0; `high` is a number of `ends` where they differ.
    let (mut low, mut high) = (ends.partition_point(|end| *end <= common), ends.len() + 1);
    let mut found = None;
    while high - low > 1 {
        let steps = width.min(high - low - 1);
        let numbers: Vec<usize> = (1..=steps).map(|step| low + (high - low) * step / (steps + 1)).collect();
        let texts: Vec<String> =
            numbers.iter().map(|number| end_of_prefix(&rest.position[..ends[number - 1]])).collect();
        let keys = probes.inside(rest, &texts).await?;
        for ((number, text), key) in numbers.into_iter().zip(texts).zip(keys) {
            match key {
                Some(key) => {
                    high = number;
                    let stem = number.checked_sub(2).map_or(begin, |before| ends[before]);
                    found = Some(((rest.position[..stem].to_owned(), text), key));
                    break;
                }
                None => low = number,
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
