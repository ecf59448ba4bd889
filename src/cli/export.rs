//! `glimpse export`: writes a collection with its vectors to a Parquet file, or to standard output.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use base64_simd::STANDARD;
use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::out::{self, Output};
use super::values::{generation_number, local_path};
use super::{CliError, Ending, client_help};
use crate::api::replies::{ErrorReply, ExportHeader, ExportLine, ExportedImage};
use crate::config::Settings;
use crate::exchange::{FileHeader, ParquetWriter};
use crate::shutdown::Shutdown;

const EXAMPLES: &str = "\
Examples:
  glimpse export birds birds.parquet
  glimpse export birds birds.parquet --generation 2 --overwrite
  glimpse export birds - | aws s3 cp - s3://exports/birds.parquet
  python3 -c 'import pandas; print(pandas.read_parquet(\"birds.parquet\"))'

The file has a row for each image, with the columns id, uri, vector (a list of floats) and payload (JSON). Its properties name the
model, the dimension and the distance. `glimpse import` reads it. The role read is enough. With `-`, the file is written to standard
output and the report to standard error; it has no end, and cannot be read, if the exit code is not 0.";

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES))]
pub(super) struct Export {
    /// The name of the collection
    collection: String,
    /// The Parquet file to write; `-` for standard output
    #[arg(value_parser = local_path())]
    file: PathBuf,
    /// The number of the generation [default: the current one]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = generation_number)]
    generation: Option<u32>,
    /// The store to read: embedded, qdrant or weaviate [default: the first one that has the collection]
    #[arg(long, value_name = "STORE")]
    provider: Option<String>,
    /// Replace the file if it exists
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    output: Output,
}

/// The result, for scripts.
#[derive(Debug, Serialize)]
struct Report {
    collection: String,
    generation: u32,
    model: String,
    dimension: usize,
    images: u64,
    file: String,
}

/// The file while it is being written. It is removed unless it is complete.
struct PartFile(PathBuf);

impl Drop for PartFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// Where the export is written.
enum Target {
    /// A file, which has its name only when it is complete.
    File {
        path: PathBuf,
        part: PartFile,
    },
    StandardOutput,
}

impl Target {
    fn create(&self, header: &FileHeader) -> Result<ParquetWriter, CliError> {
        Ok(match self {
            Self::File { part, .. } => ParquetWriter::create(&part.0, header)?,
            Self::StandardOutput => ParquetWriter::to_stream("standard output", Box::new(io::stdout()), header)?,
        })
    }

    /// Completes after a signal. A file must be removed then. Standard output is left to the default of the signals, which also
    /// ends the process while it waits for its reader.
    async fn interrupted(&self) -> Result<(), CliError> {
        match self {
            Self::File { .. } => {
                let stop: CancellationToken = Shutdown::on_signals().map_err(CliError::Signals)?.drain();
                stop.cancelled().await;
                Ok(())
            }
            Self::StandardOutput => std::future::pending().await,
        }
    }
}

impl Export {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let target = self.target()?;
        let client = Client::without_timeout(settings)?;
        let mut query = Vec::new();
        query.extend(self.generation.map(|number| ("generation", number.to_string())));
        query.extend(self.provider.clone().map(|store| ("provider", store)));
        let mut writing = Writing { client: &client, target: &target, writer: None, images: 0, end: None };
        let interrupted = target.interrupted();
        let path = ["collections", &self.collection, "export"];
        // If it is interrupted, the incomplete file is removed.
        tokio::select! {
            biased;
            outcome = client.lines(&path, &query, |line| writing.line(line)) => outcome?,
            stopped = interrupted => {
                stopped?;
                return Err(CliError::TransferFailed("the export was interrupted".to_owned()));
            }
        }
        let Writing { writer, images, end, .. } = writing;
        let (Some((header, writer)), Some(sent)) = (writer, end) else {
            return Err(CliError::TransferFailed("the export ended before its last line".to_owned()));
        };
        if sent != images {
            let message = format!("the service sent {sent} images, but {images} arrived");
            return Err(CliError::TransferFailed(message));
        }
        writer.finish()?;
        if let Target::File { path, part } = &target {
            std::fs::rename(&part.0, path).map_err(|source| CliError::Write { path: path.clone(), source })?;
        }
        let ExportHeader { collection, generation, model, dimension, .. } = *header;
        let report = Report { collection, generation, model, dimension, images, file: self.file.display().to_string() };
        let text = self.output.text(&report, |report| {
            format!(
                "exported {images} images of `{}` to {}: vectors of {dimension} numbers of {}",
                report.collection, report.file, report.model
            )
        });
        match target {
            Target::File { .. } => out::line(text)?,
            Target::StandardOutput => out::error_line(text),
        }
        Ok(Ending::Done)
    }
}

impl Export {
    /// Returns the file to write, which is not a link: a link stays, and the file behind it is replaced.
    fn target(&self) -> Result<Target, CliError> {
        let wrong = |problem: &str| Err(CliError::Content { path: self.file.clone(), problem: problem.to_owned() });
        if self.file == Path::new("-") {
            if io::stdout().is_terminal() {
                return wrong(
                    "standard output is a terminal, and a Parquet file is not text; redirect it, or name a file",
                );
            }
            return Ok(Target::StandardOutput);
        }
        let path = match std::fs::metadata(&self.file) {
            Ok(metadata) if !metadata.is_file() => return wrong("it is not a regular file, which an export needs"),
            Ok(_) if !self.overwrite => return wrong("it exists; add --overwrite to replace it"),
            Ok(_) => std::fs::canonicalize(&self.file).unwrap_or_else(|_| self.file.clone()),
            Err(_) => self.file.clone(),
        };
        Ok(Target::File { part: PartFile(part_of(&path)), path })
    }
}

/// Returns the name of the file while it is being written, in the same folder.
fn part_of(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    // A name that does not exist: neither a link nor a file of the user is written to.
    name.push(format!(".{}.part", uuid::Uuid::new_v4().simple()));
    file.with_file_name(name)
}

/// An export on its way to the file.
struct Writing<'a> {
    client: &'a Client,
    target: &'a Target,
    writer: Option<(Box<ExportHeader>, ParquetWriter)>,
    images: u64,
    /// The number of images in the last line.
    end: Option<u64>,
}

impl Writing<'_> {
    fn line(&mut self, line: &[u8]) -> Result<(), CliError> {
        let line = match serde_json::from_slice::<ExportLine>(line) {
            Ok(line) => line,
            Err(error) => {
                return Err(match serde_json::from_slice::<ErrorReply>(line) {
                    Ok(reply) => CliError::TransferFailed(reply.message),
                    Err(_) => self.client.invalid_line(error),
                });
            }
        };
        match line {
            ExportLine::Header(header) => {
                let file = FileHeader {
                    collection: Some(header.collection.clone()),
                    generation: Some(header.generation),
                    model: Some(header.model.clone()),
                    dimension: header.dimension,
                    space: Some(header.space.clone()),
                };
                self.writer = Some((header, self.target.create(&file)?));
            }
            ExportLine::Image(image) => self.image(&image)?,
            ExportLine::End(end) => self.end = Some(end.images),
        }
        Ok(())
    }

    fn image(&mut self, image: &ExportedImage) -> Result<(), CliError> {
        let wrong = |problem: &str| CliError::TransferFailed(format!("the vector of {} {problem}", image.s3_uri));
        let Some((_, writer)) = &mut self.writer else { return Err(wrong("was sent before the header")) };
        let bytes = STANDARD.decode_to_vec(image.vector.as_bytes()).map_err(|_| wrong("is not base64"))?;
        let number = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let vector: Vec<f32> = bytes.chunks_exact(size_of::<f32>()).map(number).collect();
        let payload = serde_json::to_string(&image.payload).map_err(|error| self.client.invalid_line(error))?;
        writer.push(&image.id, &image.s3_uri, &vector, &payload)?;
        self.images += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_written_beside_its_place() {
        let part = part_of(Path::new("a/b.parquet"));
        assert_eq!(part.parent(), Some(Path::new("a")));
        let name = part.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("b.parquet."), "{name}");
        assert_eq!(part.extension(), Some("part".as_ref()));
        assert_ne!(part, part_of(Path::new("a/b.parquet")));
    }
}
