//! `glimpse eval`: how well images are found, against known answers. It is how one chooses a model.

mod answers;
mod metric;

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::client::Client;
use super::{CliError, Ending, bars, out};
use crate::api::replies::SearchReply;
use crate::config::Settings;
use answers::Known;
use metric::{Report, first_right};

const EXAMPLES: &str = "\
Examples:
  glimpse eval --queries demo/queries.json
  glimpse eval --queries demo/queries.json --group hard --at 1,5
  glimpse eval --queries captions.json --json

The file is {\"queries\": {\"a cat\": [\"cat.jpg\", …], …}} or {\"cat.jpg\": [\"a cat\", …], …}. An answer is right where
its path is the end of the key: `b/cat.jpg` means `x/b/cat.jpg` but not `x/bb/cat.jpg`.
recall@k is the share of queries with a right answer among the first k; MRR is the mean of 1/rank of the first one.";

/// Searches at once.
const LANES: usize = 4;
/// Queries that are listed when they were missed.
const SHOWN: usize = 10;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Eval {
    /// What should be found
    #[arg(long, value_name = "FILE")]
    queries: PathBuf,
    /// The collection; VECTOR_DB_COLLECTION of the service where it is left out
    #[arg(long)]
    collection: Option<String>,
    /// The ranks to look at, 1 to 100
    #[arg(long, value_name = "K", value_delimiter = ',', default_value = "1,5,10",
        value_parser = clap::value_parser!(u8).range(1..=100))]
    at: Vec<u8>,
    /// Which queries of the file
    #[arg(long, default_value = "queries")]
    group: String,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let text = tokio::fs::read_to_string(&self.queries).await;
        let text = text.map_err(|source| CliError::File { path: self.queries.clone(), source })?;
        let known = answers::read(&text, &self.group)
            .map_err(|problem| CliError::Content { path: self.queries.clone(), problem })?;
        let client = Client::new(settings)?;
        let mut cuts: Vec<usize> = self.at.iter().map(|k| usize::from(*k)).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let limit = cuts.last().copied().unwrap_or(1);
        let ranks = self.ranks(&client, &known, limit).await?;
        let report = Report::of(&known, &ranks, &cuts);
        out::line(if self.json { serde_json::to_string(&report).unwrap_or_default() } else { table(&report) })?;
        Ok(Ending::Done)
    }

    /// For each query, the rank of its first right answer.
    async fn ranks(&self, client: &Client, known: &[Known], limit: usize) -> Result<Vec<Option<usize>>, CliError> {
        let bar = bars::bar("searching", known.len() as u64);
        let ranks = stream::iter(known)
            .map(|known| async {
                let rank = self.rank(client, known, limit).await;
                bar.inc(1);
                rank
            })
            .buffered(LANES)
            .try_collect()
            .await;
        bar.finish_and_clear();
        ranks
    }

    async fn rank(&self, client: &Client, known: &Known, limit: usize) -> Result<Option<usize>, CliError> {
        let mut query = vec![("q", known.query.clone()), ("limit", limit.to_string())];
        query.extend(self.collection.clone().map(|collection| ("collection", collection)));
        let reply = client.get_patiently(&["search", "images"], &query).await;
        let reply = reply.and_then(|reply| reply.read::<SearchReply>()).map_err(|error| match error {
            // Only what the service says of this one query is about this query.
            error @ CliError::Refused { .. } => CliError::Query { query: known.query.clone(), source: Box::new(error) },
            other => other,
        })?;
        let keys: Vec<&str> = reply.results.iter().map(|hit| hit.s3_key.as_str()).collect();
        Ok(first_right(&keys, &known.answers))
    }
}

fn table(report: &Report) -> String {
    let mut table = out::table(&["measure", "value"]);
    for (k, share) in &report.recall {
        table.add_row([format!("recall@{k}").into(), out::number(format!("{:.2} %", share * 100.0))]);
    }
    table.add_row(["MRR".into(), out::number(format!("{:.4}", report.mrr))]);
    let deepest = report.recall.keys().next_back().copied().unwrap_or_default();
    let mut said = format!("{table}\n{} queries", report.queries);
    if !report.missed.is_empty() {
        let some: Vec<_> = report.missed.iter().take(SHOWN).map(|query| format!("\n  {query}")).collect();
        let of = if report.missed.len() > SHOWN { ", such as" } else { "" };
        write!(said, "; {} without a right answer among the first {deepest}{of}", report.missed.len()).ok();
        said.extend(some);
    }
    said
}
