//! `glimpse eval`: measures the quality of search results with known answers, compares collections or stores, and fits the
//! relevance of a collection to the answers.

mod against;
mod answers;
mod bootstrap;
mod calibrate;
mod html;
mod measure;
mod report;
mod search;
mod tables;
mod text;

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::client::Client;
use super::out::{self, Output};
use super::values::{generation_number, local_path, whole_number};
use super::{CliError, Ending, client_help};
use crate::config::Settings;
use against::Comparison;
use answers::{KnownQuery, Reading};
use measure::Measure;
use report::{Report, Values};
use search::{Run, Target, search_all};

const EXAMPLES: &str = "\
Examples:
  glimpse eval --queries demo/queries.json
  glimpse eval --queries demo/queries.json --group hard --at 1,5 --html report.html
  glimpse eval --queries birds.json --by category           measures of each category
  glimpse eval --queries birds.json --against collection=birds-2
  glimpse eval --queries birds.json --provider embedded --against provider=qdrant
  glimpse eval --queries birds.json --against generation=2  the current generation and the one that was rebuilt
  glimpse eval --queries inquire_queries_val.csv --at 50 --by category --map train/=inat24/
  glimpse eval --queries voegel.json --lang de              for a model that needs to know the language
  glimpse eval --calibrate birds.json                       fit the relevance to these answers
  glimpse eval --reset-calibration                          use the model's own relevance again

demo/queries.json and demo/captions.json are in the source code of Glimpse.

The JSON file has one of five forms: {\"queries\": {\"a cat\": [\"cat.jpg\", …], …}}, {\"cat.jpg\": [\"a cat\", …], …},
[{\"query\": \"a cat\", \"answers\": [\"cat.jpg\"], \"category\": \"animals\"}, …], [{\"file\": \"cat.jpg\", \"caption\": \"a cat\"}, …]
or the body of PUT /collections/NAME/calibration: {\"queries\": [{\"text\": \"a cat\", \"answers\": [\"cat.jpg\"]}, …]}.
A CSV file has the columns query_id and query_text, and the file of its answers query_id and image_path, as those of
INQUIRE. An answer matches a key that ends with its path: `b/cat.jpg` matches `x/b/cat.jpg` but not `x/bb/cat.jpg`.

recall@k is the share of queries with a right answer among the first k results; MRR is the mean of 1/rank of the first right
answer among the first results, as many as the largest k; mAP@k and nDCG@k also count all other right answers. docs/evaluation.md has the formulas.";

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES), group = inputs())]
pub(super) struct Eval {
    /// The file of queries and right answers: JSON, or CSV as that of INQUIRE
    #[arg(long, value_name = "FILE", value_parser = local_path())]
    queries: Option<PathBuf>,
    /// Fit the relevance of the collection to the answers in this file, and store the fit with the collection
    #[arg(long, value_name = "FILE", value_parser = local_path())]
    calibrate: Option<PathBuf>,
    /// Delete the fit of the collection: the model's own relevance is used again
    #[arg(long)]
    reset_calibration: bool,
    #[command(flatten)]
    reading: Reading,
    /// The collection [default: VECTOR_DB_COLLECTION of the service]
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// The store to search: embedded, qdrant or weaviate, or all [default: the first store of the service]
    #[arg(long, value_name = "STORE", conflicts_with_all = ["calibrate", "reset_calibration"])]
    provider: Option<String>,
    /// The number of the generation to search [default: the current one]
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["calibrate", "reset_calibration"],
        allow_negative_numbers = true, value_parser = generation_number)]
    generation: Option<u32>,
    /// The values of k, comma-separated, each 1 to 100
    #[arg(long, value_name = "K", value_delimiter = ',', default_value = "1,5,10",
        allow_negative_numbers = true, value_parser = whole_number::<usize, 1, 100>)]
    at: Vec<usize>,
    /// Also measure each group of queries with the same value of this field, such as category
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["calibrate", "reset_calibration"])]
    by: Option<String>,
    /// Compare with another collection, store or generation, query by query: collection=NAME, provider=STORE or generation=NUMBER
    #[arg(long, value_name = "TARGET", conflicts_with_all = ["calibrate", "reset_calibration"], value_parser = Target::parse)]
    against: Option<Target>,
    /// Write a page with the measures and the worst queries with their images
    #[arg(long, value_name = "FILE", conflicts_with_all = ["calibrate", "reset_calibration"],
        value_parser = local_path())]
    html: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// The options of which exactly one is required.
fn inputs() -> ArgGroup {
    ArgGroup::new("input").required(true).args(["queries", "calibrate", "reset_calibration"])
}

impl Eval {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        match (&self.queries, &self.calibrate) {
            (Some(path), _) => self.measure(path, settings).await?,
            (None, Some(path)) => {
                let known = self.reading.read(path)?;
                calibrate::calibrate(settings, self.collection, known, self.output).await?;
            }
            (None, None) => calibrate::reset(settings, self.collection, self.output).await?,
        }
        Ok(Ending::Done)
    }

    async fn measure(&self, path: &std::path::Path, settings: &Settings) -> Result<(), CliError> {
        let wrong = |problem| CliError::Content { path: path.to_owned(), problem };
        let (known, unanswered): (Vec<KnownQuery>, Vec<_>) =
            self.reading.read(path)?.into_iter().partition(|known| !known.answers.is_empty());
        if known.is_empty() {
            return Err(wrong("no query has an answer".to_owned()));
        }
        self.by.as_ref().map_or(Ok(()), |field| report::check_field(&known, field)).map_err(wrong)?;
        self.html.as_deref().map_or(Ok(()), html::check_writable)?;
        let mut cuts = self.at.clone();
        cuts.sort_unstable();
        cuts.dedup();
        let (measures, limit) = (Measure::all(&cuts), cuts.last().copied().unwrap_or(1));
        let client = Client::new(settings)?.with_retries();
        let Self { collection, provider, generation, .. } = &self;
        let target = Target { collection: collection.clone(), provider: provider.clone(), generation: *generation };
        let run = search_all(&client, &known, &target, limit).await?;
        warn_if_nothing_matches(&known, &run);
        let values = Values::new(&measures, &known, &run);
        let groups = self.by.as_ref().map(|field| report::groups(&values, &known, field)).unwrap_or_default();
        let against = match self.against.clone() {
            Some(other) => {
                let other = search_all(&client, &known, &other.or(&target), limit).await?;
                let other_values = Values::new(&measures, &known, &other);
                Some(Comparison::new(&known, &values, &other_values, other.searched))
            }
            None => None,
        };
        let missed = known.iter().zip(&run.outcomes).filter(|(_, outcome)| outcome.right.is_empty());
        let report = Report {
            searched: run.searched.clone(),
            all: values.means(|_| true),
            missed: missed.map(|(known, _)| known.text.clone()).collect(),
            without_answers: unanswered.len(),
            groups,
            against,
        };
        // First, so that the report is not lost if the page cannot be written.
        self.output.value(&report, text::describe)?;
        match &self.html {
            Some(page) => html::write(page, &client, &known, &run, &values, &report).await,
            None => Ok(()),
        }
    }
}

/// Prints a warning if no result is a right answer: then the answers probably have other paths than the keys.
fn warn_if_nothing_matches(known: &[KnownQuery], run: &Run) {
    let hit = run.outcomes.iter().flat_map(|outcome| &outcome.hits).next();
    let answer = known.iter().flat_map(|known| &known.answers).next();
    if let (true, Some(hit), Some(answer)) = (run.outcomes.iter().all(|outcome| outcome.right.is_empty()), hit, answer)
    {
        out::warnings(&[format!(
            "no result is a right answer. A key in the bucket is `{}`, and an answer is `{answer}`; --map FROM=TO replaces \
             the begin of the answers",
            hit.image.s3_key
        )]);
    }
}
