//! `glimpse ingest`: submits a job and follows it.

use clap::Args;

use super::client::Client;
use super::{CliError, Ending, follow, out};
use crate::api::replies::{MaxFailures, SubmitReply, SubmitRequest};
use crate::config::Settings;
use crate::domain::{Excludes, FailureLimit};

const EXAMPLES: &str = "\
Examples:
  glimpse ingest                          everything in the bucket
  glimpse ingest --prefix images/2026/    one folder
  glimpse ingest --metadata-key taxa.csv  what a table in the bucket says of its images, too
  glimpse ingest --sync --dry-run         what would be new, changed and removed; nothing is touched
  glimpse ingest --sync                   and remove from the index what is gone from the bucket
  glimpse ingest --no-wait --json         for a program: submit and go on

Exit codes: 0 done; 1 failed or stopped; 2 usage; 3 done, but some images could not be indexed.
Ctrl-C stops watching, not the job: `glimpse jobs ID --stop` does that.";

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag on the command line")]
#[command(after_help = EXAMPLES)]
pub(super) struct Ingest {
    /// The bucket; S3_BUCKET of the service where it is left out
    #[arg(long)]
    bucket: Option<String>,
    /// Only keys that begin so
    #[arg(long, default_value = "")]
    prefix: String,
    /// Where vectors go; VECTOR_DB_COLLECTION of the service where it is left out
    #[arg(long)]
    collection: Option<String>,
    /// Index no more than this many new or changed images
    #[arg(long, value_name = "N")]
    max_items: Option<u64>,
    /// Take keys of any extension: the content decides
    #[arg(long)]
    any_extension: bool,
    /// A CSV or NDJSON object of the bucket; its columns are joined on `s3_key` and found by `search --meta COLUMN=VALUE`
    #[arg(long, value_name = "KEY")]
    metadata_key: Option<String>,
    /// Who works: `local`, the service itself, `ray`, its cluster, or `workers`: prints how to start them; with --json the
    /// reply with their token
    #[arg(long, value_name = "NAME")]
    executor: Option<String>,
    /// Remove from the index what has vanished from the bucket under the prefix
    #[arg(long, conflicts_with = "max_items")]
    sync: bool,
    /// Globs of keys that are not indexed, in place of S3_EXCLUDE of the service: comma-separated, or given several times;
    /// `none` excludes nothing
    #[arg(long, value_name = "GLOBS")]
    exclude: Option<Vec<String>>,
    /// Say what would be done, and touch nothing
    #[arg(long)]
    dry_run: bool,
    /// With --sync: fail, and remove nothing, where more than this share has vanished; 10 where it is left out
    #[arg(long, value_name = "N", requires = "sync", value_parser = clap::value_parser!(u8).range(0..=100))]
    max_delete_percent: Option<u8>,
    /// More failed images than this fail the job: a number, or a share such as 5%
    #[arg(long, value_name = "N|N%")]
    max_failures: Option<FailureLimit>,
    /// Do not wait for the end
    #[arg(long)]
    no_wait: bool,
    /// Print the service's last reply instead of a summary
    #[arg(long)]
    json: bool,
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
            dry_run: self.dry_run,
            exclude: self.exclude.map(|lists| lists.iter().flat_map(|list| Excludes::split(list)).collect()),
            max_delete_percent: self.max_delete_percent,
            max_failures: self.max_failures.map(|limit| match limit {
                FailureLimit::Count(most) => MaxFailures::Count(most),
                FailureLimit::Share(_) => MaxFailures::Share(limit.to_string()),
            }),
            ..SubmitRequest::default()
        };
        let submitted = client.post(&["jobs", "images"], &request).await?;
        let SubmitReply { job_id: id, worker_token, .. } = submitted.read()?;
        // Told once: whoever follows the job sees it now or never.
        match worker_token {
            Some(_) if self.json && !self.no_wait => out::line(submitted.text())?,
            Some(token) if !self.json => {
                out::line(super::worker::command(&token, settings, &id))?;
            }
            Some(_) | None => {}
        }
        if self.no_wait {
            return follow::leave(&submitted, self.json);
        }
        follow::to_the_end(&client, &submitted, self.json).await
    }
}
