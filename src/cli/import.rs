//! `glimpse import`: sends images with vectors that were made elsewhere: Parquet files, or what clip-retrieval writes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64_simd::STANDARD;
use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use super::client::Client;
use super::out::{self, Output};
use super::{CliError, Ending, client_help};
use crate::api::replies::{ImportImageRequest, ImportReply, ImportRequest, StatusReply};
use crate::config::Settings;
use crate::domain::ImageUri;
use crate::exchange::{ClipRetrieval, ExchangeError, FileHeader, FileImage, KeyRule, ParquetImages};

const EXAMPLES: &str = "\
Examples:
  glimpse import birds birds.parquet                     what glimpse export has written
  glimpse import photos ./embeddings --model-matches --strip-prefix /data/ --prefix images/
                                                         a folder of clip-retrieval: img_emb_*.npy and metadata_*.parquet
  glimpse import photos vectors.parquet --model-matches  any Parquet file with the columns uri and vector

The vectors must be of the model of the collection. A file of glimpse export names its model, and is refused if it is another one;
for other files, --model-matches states it. The objects must be in a bucket that jobs may read: without a payload, the service
reads each object for its size, format and thumbnail, but does not embed it. For a key that begins with /data/, as in the second
example, the image_path /data/a.jpg becomes s3://BUCKET/images/a.jpg. A batch may be sent again, and so may a file.

Exit codes: 0 done; 1 failed; 2 usage; 3 done, but some images were not imported.";

/// Images of a batch.
const MAX_IMAGES: usize = 250;
/// Estimated bytes of a batch, which is at most half of what the service accepts.
const MAX_BYTES: usize = 2 << 20;
/// Images that are not imported and that are printed.
const MAX_PRINTED: u64 = 20;
/// How long a batch is sent again while the service is busy.
const RETRY_WINDOW: Duration = Duration::from_mins(1);
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES))]
pub(super) struct Import {
    /// The name of the collection; it is created if it does not exist
    collection: String,
    /// Parquet files, or folders of clip-retrieval
    #[arg(value_name = "FILE", required = true)]
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
    /// Whether the row names an object. Another one is a failure of this row alone.
    fn accepts(&mut self, image: &FileImage) -> bool {
        let problem = ImageUri::parse(&image.uri).err();
        if let Some(problem) = &problem {
            self.add_failure(format!("row {}: {problem}", image.row));
        }
        problem.is_none()
    }

    fn add_failure(&mut self, text: String) {
        self.failed += 1;
        if self.failed <= MAX_PRINTED {
            out::warnings(&[text]);
        }
    }
}

/// A file or a folder with images.
enum Images {
    Parquet(Box<ParquetImages>),
    Folder(Box<ClipRetrieval>),
}

impl Images {
    fn open(path: &Path, rule: &KeyRule) -> Result<Self, ExchangeError> {
        if path.is_dir() {
            return Ok(Self::Folder(Box::new(ClipRetrieval::open(path, rule.clone())?)));
        }
        Ok(Self::Parquet(Box::new(ParquetImages::open(path)?)))
    }

    fn header(&self) -> &FileHeader {
        match self {
            Self::Parquet(images) => images.header(),
            Self::Folder(images) => images.header(),
        }
    }

    fn total(&self) -> u64 {
        match self {
            Self::Parquet(images) => images.total(),
            Self::Folder(images) => images.total(),
        }
    }
}

impl Iterator for Images {
    type Item = Result<FileImage, ExchangeError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Parquet(images) => images.next(),
            Self::Folder(images) => images.next(),
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
        let (strip_prefix, prefix) = (self.strip_prefix.clone(), self.prefix.clone());
        let rule = KeyRule { bucket, strip_prefix, prefix };
        // All of them before the first batch, so that a wrong file changes nothing.
        let mut files = self.files.iter().map(|file| Images::open(file, &rule)).collect::<Result<Vec<_>, _>>()?;
        files.retain(|file| file.total() > 0);
        let bar = out::bar("importing", files.iter().map(Images::total).sum());
        let mut report = Report { collection: self.collection.clone(), ..Report::default() };
        let count = files.len();
        for (at, mut images) in files.into_iter().enumerate() {
            let header = images.header().clone();
            let mut batch = self.empty_batch(&header);
            let mut bytes = 0;
            loop {
                let image = images.next().transpose()?;
                let is_end = image.is_none();
                if let Some(image) = image.filter(|image| report.accepts(image)) {
                    bytes += image.vector.len() * 6 + 512 + image.uri.len();
                    bytes += image.payload.as_ref().map_or(0, |payload| payload.get().len());
                    batch.images.push(request(image));
                }
                if is_end || batch.images.len() >= MAX_IMAGES || bytes >= MAX_BYTES {
                    batch.last = is_end && at + 1 == count;
                    if !batch.images.is_empty() || batch.last {
                        let sent = batch.images.len() as u64;
                        self.send(&client, &batch, &mut report).await?;
                        bar.inc(sent);
                    }
                    (batch, bytes) = (self.empty_batch(&header), 0);
                }
                if is_end {
                    break;
                }
            }
        }
        bar.finish_and_clear();
        if let Some(more) = report.failed.checked_sub(MAX_PRINTED).filter(|more| *more > 0) {
            out::warnings(&[format!("and {more} more rows that were not imported")]);
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

    fn empty_batch(&self, header: &FileHeader) -> ImportRequest {
        let FileHeader { dimension, space, .. } = header.clone();
        ImportRequest { dimension, space, model_matches: self.model_matches, images: Vec::new(), last: false }
    }

    /// Sends a batch, again while the service is busy.
    async fn send(&self, client: &Client, batch: &ImportRequest, report: &mut Report) -> Result<(), CliError> {
        let until = Instant::now() + RETRY_WINDOW;
        let reply: ImportReply = loop {
            match client.post(&["collections", &self.collection, "import"], batch).await {
                Err(error) if error.is_temporary() && Instant::now() < until => {
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                Ok(reply) => break reply.read()?,
                Err(error) => {
                    let done = report.imported;
                    out::error_line(format_args!(
                        "{done} rows were imported before this error; the same command can be repeated, and imports them again"
                    ));
                    return Err(error);
                }
            }
        };
        report.imported += reply.imported;
        for failure in reply.failures {
            report.add_failure(format!("{}: {} ({})", failure.s3_uri, failure.message, failure.class));
        }
        Ok(())
    }
}

fn request(image: FileImage) -> ImportImageRequest {
    let bytes: Vec<u8> = image.vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    let vector = STANDARD.encode_to_string(bytes);
    ImportImageRequest { s3_uri: image.uri, vector, payload: image.payload, meta: image.meta }
}
