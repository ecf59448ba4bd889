//! `glimpse ingest`: submits a job and follows it.

use clap::Args;

use super::client::Client;
use super::jobs::{executors, follow};
use super::out::Output;
use super::values::{count, whole_number};
use super::{CliError, Ending, client_help};
use crate::api::replies::{MaxFailures, SubmitRequest};
use crate::config::Settings;
use crate::domain::{Excludes, FailureLimit};

const EXAMPLES: &str = "\
Examples:
  glimpse ingest                          index everything in the bucket
  glimpse ingest --prefix images/2026/    index one folder
  glimpse ingest --metadata-key taxa.csv  also store the metadata from a table in the bucket
  glimpse ingest --sync --dry-run         only list what is new, changed and removed
  glimpse ingest --sync                   also remove from the index what is no longer in the bucket
  glimpse ingest --no-wait --json         submit the job and return at once, for scripts

The columns of the object --metadata-key can be searched with `glimpse search --meta COLUMN=VALUE`; `glimpse seed --from
DIR` uploads such a file too. With --executor workers --json, the first line is the reply that contains the token of the
workers.

Exit codes: 0 done; 1 failed or stopped; 2 usage; 3 done, but some images could not be indexed.
Ctrl-C ends this command, but not the job: use `glimpse jobs stop ID` to stop the job.";

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag on the command line")]
#[command(after_help = client_help(EXAMPLES))]
pub(super) struct Ingest {
    /// The bucket [default: S3_BUCKET of the service]
    #[arg(long)]
    bucket: Option<String>,
    /// Index only keys that start with this prefix [default: all keys]
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// The collection for the vectors [default: VECTOR_DB_COLLECTION of the service]
    #[arg(long)]
    collection: Option<String>,
    /// Index at most this many new or changed images [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count::<u64, 1>)]
    max_items: Option<u64>,
    /// Also read keys without an image extension; the content decides whether they are indexed
    #[arg(long)]
    any_extension: bool,
    /// The key of a CSV or NDJSON object in the bucket, with a column `s3_key` and the metadata of the images
    #[arg(long, value_name = "KEY")]
    metadata_key: Option<String>,
    /// `local` (the service, the default), `workers` (that you start with the printed command) or `ray` (the Ray
    /// cluster)
    #[arg(long, value_parser = executors(), hide_possible_values = true)]
    executor: Option<String>,
    /// Also remove from the index the images under the prefix that are no longer in the bucket
    #[arg(long, conflicts_with = "max_items")]
    sync: bool,
    /// Globs of keys that are not indexed, comma-separated; `none` for no globs [default: S3_EXCLUDE of the service]
    #[arg(long, value_name = "GLOBS")]
    exclude: Option<Vec<String>>,
    /// `facts`: index nothing, but complete records of an earlier version of glimpse; their vectors stay
    #[arg(long, value_parser = ["facts"], hide_possible_values = true, conflicts_with_all = ["sync", "metadata_key"])]
    refresh: Option<String>,
    /// Only report what would be done; change nothing
    #[arg(long)]
    dry_run: bool,
    /// With --sync: fail if more than this percentage of the indexed images would be removed [default: 10]
    #[arg(long, value_name = "N", requires = "sync", allow_negative_numbers = true, value_parser = whole_number::<u8, 0, 100>)]
    max_delete_percent: Option<u8>,
    /// The job fails if more images than this fail, or more than this percentage of them [default: no limit]
    #[arg(long, value_name = "N|N%", allow_negative_numbers = true)]
    max_failures: Option<FailureLimit>,
    /// Do not wait for the end of the job
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    output: Output,
}

impl Ingest {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let client = Client::new(settings)?;
        let request = SubmitRequest {
            s3_bucket: self.bucket,
            s3_prefix: self.prefix,
            collection: self.collection,
            image_max_items: self.max_items,
            any_extension: self.any_extension,
            metadata_key: self.metadata_key,
            executor: self.executor,
            sync: self.sync,
            refresh: self.refresh,
            dry_run: self.dry_run,
            exclude: self.exclude.map(|lists| lists.iter().flat_map(|list| Excludes::split(list)).collect()),
            max_delete_percent: self.max_delete_percent,
            max_failures: self.max_failures.map(|limit| match limit {
                FailureLimit::Count(max) => MaxFailures::Count(max),
                FailureLimit::Share(_) => MaxFailures::Share(limit.to_string()),
            }),
            ..SubmitRequest::default()
        };
        let submitted = client.post(&["jobs", "images"], &request).await?;
        follow::submitted(&client, &submitted, settings, self.no_wait, self.output).await
    }
}
