//! Searches for every query, and finds the right answers among the results.

use std::collections::BTreeSet;
use std::fmt;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

use super::answers::KnownQuery;
use crate::api::replies::{ResultReply, SearchReply};
use crate::cli::client::Client;
use crate::cli::{CliError, out};
use crate::domain::is_answer;

/// Number of concurrent searches.
const CONCURRENCY: usize = 4;
/// At most as many hits of each query are kept, to be shown.
pub(super) const MAX_HITS_KEPT: usize = 6;

/// Where to search. `None` means the default of the service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) collection: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) generation: Option<u32>,
}

/// A right answer that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RightAnswer {
    /// Its rank, counted from 1, without the results that are another copy of an answer that was found before.
    pub(super) rank: usize,
    /// Its number among the answers of the query.
    pub(super) answer: usize,
    /// Its position among the results, counted from 0.
    pub(super) hit: usize,
}

/// The results of one query.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// The first results.
    pub(super) hits: Vec<ResultReply>,
    /// The right answers that were found, by rank.
    pub(super) right: Vec<RightAnswer>,
    /// The begin of the URIs of the results: the URI of a right answer without the answer.
    pub(super) base: Option<String>,
}

/// The results of all queries.
pub(super) struct Run {
    /// For each query, in the order of the queries.
    pub(super) outcomes: Vec<Outcome>,
    pub(super) searched: Searched,
}

/// What was searched, as the service names it.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Searched {
    pub(super) collection: String,
    pub(super) generation: u32,
    pub(super) provider: String,
    pub(super) model: String,
}

impl fmt::Display for Searched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { collection, generation, provider, .. } = self;
        match generation {
            0 | 1 => write!(f, "{collection} ({provider})"),
            _ => write!(f, "{collection}, generation {generation} ({provider})"),
        }
    }
}

/// Searches for every query, and keeps the first `limit` results.
pub(super) async fn search_all(
    client: &Client,
    known: &[KnownQuery],
    target: &Target,
    limit: usize,
) -> Result<Run, CliError> {
    let bar = out::bar("searching", known.len() as u64);
    let progress = &bar;
    let replies = stream::iter(known)
        .map(|known| async move {
            let reply = search(client, known, target, limit).await?;
            progress.inc(1);
            Ok::<_, CliError>((known, reply))
        })
        .buffered(CONCURRENCY);
    let mut run = Run { outcomes: Vec::new(), searched: Searched::default() };
    let mut warnings = BTreeSet::new();
    let mut replies = std::pin::pin!(replies);
    while let Some((known, reply)) = replies.try_next().await? {
        warnings.extend(reply.warnings);
        let SearchReply { collection, generation, provider, model, .. } = reply;
        run.searched = Searched { collection, generation, provider, model };
        run.outcomes.push(Outcome::new(reply.results, &known.answers));
    }
    bar.finish_and_clear();
    out::warnings(&warnings.into_iter().collect::<Vec<_>>());
    Ok(run)
}

async fn search(client: &Client, known: &KnownQuery, target: &Target, limit: usize) -> Result<SearchReply, CliError> {
    let reply = client.get(&["search", "images"], &parameters(known, target, limit)).await;
    reply.and_then(|reply| reply.read()).map_err(|error| match error {
        // Only a refusal by the service is about this query; other errors are about the connection.
        error @ CliError::Refused { .. } => CliError::Query { query: known.text.clone(), source: Box::new(error) },
        other => other,
    })
}

fn parameters(known: &KnownQuery, target: &Target, limit: usize) -> Vec<(&'static str, String)> {
    let mut parameters = vec![("q", known.text.clone()), ("limit", limit.to_string())];
    parameters.extend(known.language.map(|language| ("lang", language.code().to_owned())));
    parameters.extend(target.collection.clone().map(|collection| ("collection", collection)));
    parameters.extend(target.provider.clone().map(|provider| ("provider", provider)));
    parameters.extend(target.generation.map(|number| ("generation", number.to_string())));
    parameters
}

impl Outcome {
    fn new(mut results: Vec<ResultReply>, answers: &[String]) -> Self {
        let keys: Vec<&str> = results.iter().map(|hit| hit.image.s3_key.as_str()).collect();
        let right = right_answers(&keys, answers);
        let base = right.first().and_then(|right| {
            let answer = answers[right.answer].trim_start_matches('/');
            results[right.hit].image.s3_uri.strip_suffix(answer).map(str::to_owned)
        });
        results.truncate(MAX_HITS_KEPT);
        Self { hits: results, right, base }
    }
}

/// Returns the right answers among the keys of the results. Each answer counts once: further copies of it are skipped, as
/// if they were not in the list.
fn right_answers(keys: &[&str], answers: &[String]) -> Vec<RightAnswer> {
    let mut right: Vec<RightAnswer> = Vec::new();
    let mut copies = 0;
    for (hit, key) in keys.iter().enumerate() {
        let matching = || answers.iter().enumerate().filter(|(_, answer)| is_answer(key, answer)).map(|(at, _)| at);
        let is_new = |at: &usize| right.iter().all(|right| right.answer != *at);
        match matching().find(is_new) {
            Some(answer) => right.push(RightAnswer { rank: hit + 1 - copies, answer, hit }),
            None => copies += matching().take(1).count(),
        }
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_sent_with_its_query() {
        let german = KnownQuery { text: "ein Hund".to_owned(), language: "de".parse().ok(), ..KnownQuery::default() };
        let sent = parameters(&german, &Target::default(), 10);
        assert!(sent.contains(&("lang", "deu_Latn".to_owned())), "{sent:?}");
        let unknown = KnownQuery { language: None, ..german };
        assert!(parameters(&unknown, &Target::default(), 10).iter().all(|(name, _)| *name != "lang"));
    }

    #[test]
    fn each_answer_counts_once() {
        let answers = ["c.jpg".to_owned(), "b.jpg".to_owned(), "x/d.jpg".to_owned()];
        let right = |keys: &[&str]| -> Vec<(usize, usize, usize)> {
            right_answers(keys, &answers).iter().map(|right| (right.rank, right.answer, right.hit)).collect()
        };
        assert_eq!(right(&["a.jpg", "b.jpg", "c.jpg"]), [(2, 1, 1), (3, 0, 2)]);
        assert_eq!(right(&["a.jpg"]), []);
        assert_eq!(right(&["1/b.jpg", "2/b.jpg", "y/x/d.jpg"]), [(1, 1, 0), (2, 2, 2)], "the copy is skipped");
    }
}
