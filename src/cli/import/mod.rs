//! `glimpse import`: sends images with vectors that were made elsewhere: Parquet files, or what clip-retrieval writes.

mod files;
mod transfer;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use self::files::Images;
use self::transfer::Transfer;
use super::client::Client;
use super::out::{self, Output};
use super::values::{count, local_path};
use super::{CliError, Ending, client_help};
use crate::api::replies::StatusReply;
use crate::config::Settings;
use crate::exchange::KeyRule;
use crate::shutdown::Shutdown;

const EXAMPLES: &str = "\
Examples:
  glimpse import birds birds.parquet                     what glimpse export has written
  glimpse import birds birds.parquet --skip 120000       continue after row 120000
  glimpse import photos ./embeddings --model-matches --strip-prefix /data/ --prefix images/
                                                         a folder of clip-retrieval: img_emb_*.npy and metadata_*.parquet
  glimpse import photos vectors.parquet --model-matches  any Parquet file with the columns uri and vector

The vectors must be of the model of the collection. A file of glimpse export names its model, and is refused if it is another one;
for other files, --model-matches states it. The objects must be in a bucket that jobs may read: without a payload, the service
reads each object for its size, format and thumbnail, but does not embed it. For a key that begins with /data/, as in the third
example, the image_path /data/a.jpg becomes s3://BUCKET/images/a.jpg. A batch may be sent again, and so may a file. An import that
ends early prints the --skip with which it can go on.

Exit codes: 0 done; 1 failed; 2 usage; 3 done, but some images were not imported.";

/// Images that are not imported and that are printed.
const MAX_PRINTED: u64 = 20;

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES))]
pub(super) struct Import {
    /// The name of the collection; it is created if it does not exist
    collection: String,
    /// Parquet files, or folders of clip-retrieval
    #[arg(value_name = "FILE", required = true, value_parser = local_path())]
    files: Vec<PathBuf>,
    /// State that the vectors are of the model of the collection, for files that do not name their model
    #[arg(long)]
    model_matches: bool,
    /// The bucket of the objects of a folder of clip-retrieval [default: S3_BUCKET of the service]
    #[arg(long)]
    bucket: Option<String>,
    /// The begin of each image_path that is not part of the key
    #[arg(long, value_name = "TEXT", default_value = "")]
    strip_prefix: String,
    /// The begin of each key that is not part of the image_path
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    /// Skip the first N rows, counted over all files in their order: continue an import that ended early
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true, value_parser = count::<u64, 0>)]
    skip: u64,
    #[command(flatten)]
    output: Output,
}

/// The result, for scripts.
#[derive(Debug, Default, Serialize)]
struct Report {
    collection: String,
    imported: u64,
    failed: u64,
}

impl Report {
    fn add_failure(&mut self, text: String) {
        self.failed += 1;
        if self.failed <= MAX_PRINTED {
            out::warnings(&[text]);
        }
    }

    /// Prints how many failures were not printed.
    fn warn_of_more(&self) {
        if let Some(more) = self.failed.checked_sub(MAX_PRINTED).filter(|more| *more > 0) {
            out::warnings(&[format!("and {more} more rows that were not imported")]);
        }
    }
}

impl Import {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let client = Client::without_timeout(settings)?;
        let bucket = match &self.bucket {
            Some(bucket) => bucket.clone(),
            None => client.get(&["status"], &()).await?.read::<StatusReply>()?.bucket,
        };
        let rule = KeyRule { bucket, strip_prefix: self.strip_prefix, prefix: self.prefix };
        // All of them before the first batch, so that a wrong file changes nothing.
        let open = |path: PathBuf| Images::open(&path, &rule).map(|images| (path, images));
        let mut files = self.files.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
        files.retain(|(_, images)| images.total() > 0);
        let rows = files.iter().map(|(_, images)| images.total()).sum();
        if self.skip > rows {
            return Err(CliError::TooManySkipped { skip: self.skip, rows });
        }
        let bar = out::bar("importing", rows);
        let report = Report { collection: self.collection, ..Report::default() };
        let mut transfer = Transfer::new(&client, self.model_matches, self.skip, report, bar.clone());
        let stop = Shutdown::on_signals().map_err(CliError::Signals)?.drain();
        let outcome = tokio::select! {
            biased;
            outcome = transfer.send_all(files) => outcome,
            () = stop.cancelled() => Err(CliError::ImportInterrupted),
        };
        bar.finish_and_clear();
        let (done, report) = (transfer.done(), transfer.report);
        report.warn_of_more();
        if let Err(error) = outcome {
            let imported = report.imported;
            out::error_line(if done > 0 {
                format!("{imported} rows were imported; the same command with --skip {done} continues after row {done}")
            } else {
                "no rows were imported; the same command can be repeated".to_owned()
            });
            return Err(error);
        }
        self.output.value(&report, |report| {
            let failed = match report.failed {
                0 => String::new(),
                failed => format!("; {failed} were not imported"),
            };
            format!("imported {} rows into `{}`{failed}", report.imported, report.collection)
        })?;
        Ok(if report.failed == 0 { Ending::Done } else { Ending::DoneWithFailures })
    }
}
