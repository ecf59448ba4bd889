//! `glimpse eval`: measures the quality of search results with known answers. Use it to choose a model.

mod answers;
mod metric;

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::client::Client;
use super::out::{self, Output};
use super::values::whole_number;
use super::{CliError, Ending, client_help};
use crate::api::replies::SearchReply;
use crate::config::Settings;
use answers::KnownAnswer;
use metric::{Report, rank_of_first_answer};

const EXAMPLES: &str = "\
Examples:
  glimpse eval --queries demo/queries.json
  glimpse eval --queries demo/queries.json --group hard --at 1,5
  glimpse eval --queries demo/captions.json --json

demo/queries.json and demo/captions.json are in the source code of Glimpse.

The file has one of three forms: {\"queries\": {\"a cat\": [\"cat.jpg\", …], …}}, {\"cat.jpg\": [\"a cat\", …], …} or
[{\"file\": \"cat.jpg\", \"caption\": \"a cat\"}, …]. An answer matches a key that ends with its path: `b/cat.jpg` matches
`x/b/cat.jpg` but not `x/bb/cat.jpg`. recall@k is the share of queries with a right answer among the first k results;
MRR is the mean of 1/rank of the first right answer.";

/// Number of concurrent searches.
const CONCURRENCY: usize = 4;
/// At most this many queries without a right answer are printed.
const MAX_MISSED_SHOWN: usize = 10;

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES))]
pub(super) struct Eval {
    /// The JSON file of queries and right answers
    #[arg(long, value_name = "FILE")]
    queries: PathBuf,
    /// The collection [default: VECTOR_DB_COLLECTION of the service]
    #[arg(long)]
    collection: Option<String>,
    /// The values of k for recall@k, comma-separated, each 1 to 100
    #[arg(long, value_name = "K", value_delimiter = ',', default_value = "1,5,10",
        allow_negative_numbers = true, value_parser = whole_number::<u8, 1, 100>)]
    at: Vec<u8>,
    /// The group of queries in the file
    #[arg(long, default_value = "queries")]
    group: String,
    #[command(flatten)]
    output: Output,
}

impl Eval {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let text = tokio::fs::read_to_string(&self.queries).await;
        let text = text.map_err(|source| CliError::File { path: self.queries.clone(), source })?;
        let known = answers::read(&text, &self.group)
            .map_err(|problem| CliError::Content { path: self.queries.clone(), problem })?;
        let client = Client::new(settings)?.with_retries();
        let mut cuts: Vec<usize> = self.at.iter().map(|k| usize::from(*k)).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let limit = cuts.last().copied().unwrap_or(1);
        let ranks = self.ranks(&client, &known, limit).await?;
        let report = Report::from_ranks(&known, &ranks, &cuts);
        self.output.value(&report, table)?;
        Ok(Ending::Done)
    }

    /// Returns the rank of the first right answer of each query.
    async fn ranks(
        &self,
        client: &Client,
        known: &[KnownAnswer],
        limit: usize,
    ) -> Result<Vec<Option<usize>>, CliError> {
        let bar = out::bar("searching", known.len() as u64);
        let ranks = stream::iter(known)
            .map(|known| async {
                let rank = self.rank(client, known, limit).await;
                bar.inc(1);
                rank
            })
            .buffered(CONCURRENCY)
            .try_collect()
            .await;
        bar.finish_and_clear();
        ranks
    }

    async fn rank(&self, client: &Client, known: &KnownAnswer, limit: usize) -> Result<Option<usize>, CliError> {
        let mut query = vec![("q", known.query.clone()), ("limit", limit.to_string())];
        query.extend(self.collection.clone().map(|collection| ("collection", collection)));
        let reply = client.get(&["search", "images"], &query).await;
        let reply = reply.and_then(|reply| reply.read::<SearchReply>()).map_err(|error| match error {
            // Only a refusal by the service is about this query; other errors are about the connection.
            error @ CliError::Refused { .. } => CliError::Query { query: known.query.clone(), source: Box::new(error) },
            other => other,
        })?;
        let keys: Vec<&str> = reply.results.iter().map(|hit| hit.s3_key.as_str()).collect();
        Ok(rank_of_first_answer(&keys, &known.answers))
    }
}

fn table(report: &Report) -> String {
    let mut table = out::table(&["measure", "value"]);
    for (k, share) in &report.recall {
        table.add_row([format!("recall@{k}").into(), out::number(format!("{:.2} %", share * 100.0))]);
    }
    table.add_row(["MRR".into(), out::number(format!("{:.4}", report.mrr))]);
    let deepest = report.recall.keys().next_back().copied().unwrap_or_default();
    let mut text = format!("{table}\n{} queries", report.queries);
    if !report.missed.is_empty() {
        let missed: Vec<_> = report.missed.iter().take(MAX_MISSED_SHOWN).map(|query| format!("\n  {query}")).collect();
        let such_as = if report.missed.len() > MAX_MISSED_SHOWN { ", such as" } else { "" };
        write!(text, "; {} without a right answer among the first {deepest}{such_as}", report.missed.len()).ok();
        text.extend(missed);
    }
    text
}
