//! Finds keys at which a range is divided, by requests for the first key after a text.
//!
//! If it is known where the range ends, the texts divide what is left evenly. If that finds no key, or if nothing is
//! known about the end, a search finds the place in the last listed key where later keys differ from it: with `a/b/0001`
//! as the last key and `a/b/0999` later, it is the first digit that differs. So a range is divided after a few round
//! trips, whatever prefixes its keys share.

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
    /// If it was found: the range has no key that is this text or after it, apart from its end.
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
    let mut limit = None;
    if let Some(bound) = rest.bound() {
        let texts = alphabet.texts(&rest.position, bound, width);
        let found = probes.inside(rest, &texts).await?;
        limit = texts.into_iter().zip(&found).find_map(|(text, key)| key.is_none().then_some(text));
        let keys = in_order(found.into_iter().flatten().collect());
        if !keys.is_empty() {
            return Ok(Found { keys, limit });
        }
    }
    let branch = find_branch(probes, rest, width).await?;
    let limit = branch.limit.into_iter().chain(limit).min();
    Ok(Found { keys: branch.keys, limit })
}

fn in_order(mut keys: Vec<String>) -> Vec<String> {
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Finds the first character of the position that can be replaced so that keys inside begin with the result. All keys
/// inside begin with the text before that character.
async fn find_branch(probes: Probes<'_>, rest: &Rest, width: usize) -> Result<Found, JobFailure> {
    let Some(own) = rest.position.strip_prefix(probes.prefix) else { return Ok(Found::default()) };
    let begin = probes.prefix.len();
    // The ends of the beginnings of the position, the shortest first.
    let ends: Vec<usize> = own.char_indices().map(|(at, character)| begin + at + character.len_utf8()).collect();
    // All keys inside begin with what the position and the bound have in common.
    let common = rest.bound().map_or(begin, |bound| common_prefix(&rest.position, bound));
    // `low` is the number of `ends` up to a beginning that all keys inside have; `high` is one where they differ.
    let (mut low, mut high) = (ends.partition_point(|end| *end <= common), ends.len() + 1);
    let mut found = Found::default();
    while high - low > 1 {
        let between = high - low - 1;
        let steps = width.min(between);
        // The shorter the beginning, the more keys there are after it, so all short ones are tried first.
        let number = |step| if between <= 2 * steps { low + step } else { low + (high - low) * step / (steps + 1) };
        let numbers: Vec<usize> = (1..=steps).map(number).collect();
        let texts: Vec<String> =
            numbers.iter().map(|number| end_of_prefix(&rest.position[..ends[number - 1]])).collect();
        let keys = probes.inside(rest, &texts).await?;
        let branch = keys.iter().position(Option::is_some);
        match branch {
            Some(branch) => {
                high = numbers[branch];
                low = branch.checked_sub(1).map_or(low, |before| numbers[before]);
                let stem = high.checked_sub(2).map_or(begin, |before| ends[before]);
                let limit = Some(end_of_prefix(&rest.position[..stem])).filter(|limit| !limit.is_empty());
                found.limit = Some(limit.unwrap_or_else(|| char::MAX.to_string()));
            }
            None => low = numbers[steps - 1],
        }
        found.keys.extend(keys.into_iter().flatten());
    }
    found.keys = in_order(found.keys);
    Ok(found)
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
