//! `glimpse ingest`: submits a job and follows it.

use clap::Args;

use super::client::Client;
use super::{CliError, Ending, follow, out};
use crate::api::replies::{SubmitReply, SubmitRequest};
use crate::config::Settings;

const EXAMPLES: &str = "\
Examples:
  glimpse ingest                          everything in the bucket
  glimpse ingest --prefix images/2026/    one folder
  glimpse ingest --metadata-key taxa.csv  what a table in the bucket says of its images, too
  glimpse ingest --no-wait --json         for a program: submit and go on

Exit codes: 0 done; 1 failed or stopped; 2 usage; 3 done, but some images could not be indexed.
Ctrl-C stops watching, not the job: `glimpse jobs ID --stop` does that.";

#[derive(Debug, Args)]
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
    /// Who works: `local`, the service itself, or `workers`: prints how to start them; with --json the reply with their token
    #[arg(long, value_name = "NAME")]
    executor: Option<String>,
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
            ..SubmitRequest::default()
        };
        let submitted = client.post(&["jobs", "images"], &request).await?;
        let SubmitReply { job_id: id, worker_token, .. } = submitted.read()?;
        // Told once: whoever follows the job sees it now or never.
        match worker_token {
            Some(_) if self.json && !self.no_wait => out::line(submitted.text())?,
            Some(token) if !self.json => {
                let url = &settings.place.glimpse_url;
                out::line(format!("GLIMPSE_WORKER_TOKEN={token} glimpse worker --service {url} --job {id}"))?;
            }
            Some(_) | None => {}
        }
        if self.no_wait {
            let said = if self.json { submitted.text().to_owned() } else { format!("job {id}") };
            out::line(said)?;
            return Ok(Ending::Done);
        }
        if !self.json {
            out::line(format!("job {id}"))?;
        }
        let (job, reply) = follow::follow(&client, &id).await?;
        if self.json {
            out::line(reply.text())?;
        } else {
            out::line(follow::summary(&job))?;
        }
        Ok(follow::ending(&job))
    }
}
