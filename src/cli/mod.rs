//! The command line. `serve`, `demo`, `clip`, `worker`, `seed`, `models` and `doctor` do their work in this process; the
//! other commands are clients of a running service.

mod add;
mod backup;
mod client;
mod collections;
mod doctor;
mod embed;
mod error;
mod eval;
mod export;
mod help;
mod images;
mod import;
mod ingest;
mod jobs;
mod keys;
mod mirror;
mod models;
mod out;
mod restore;
mod rows;
mod run;
mod search;
mod seed;
mod values;
mod verify;

use std::ffi::OsString;
use std::io::ErrorKind;

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand};

use crate::config::{Settings, SettingsError};

use error::CliError;
use help::{client_help, own_examples, subcommand_help};
use run::{clip, demo, serve, worker};

/// The result of a command, as an exit code. Code 2, an invalid command line, is returned by clap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// 0
    Done,
    /// 1
    Failed,
    /// 3: the job is done, but some images could not be indexed.
    DoneWithFailures,
}

impl Ending {
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::DoneWithFailures => 3,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  glimpse demo                                   try everything with 26 built-in images
  glimpse serve                                  run the service at http://127.0.0.1:8080
  glimpse seed --from ~/Pictures                 upload a folder of images to the bucket
  glimpse add cat.jpg                            store one image in the bucket and index it
  glimpse ingest --prefix images/                index the images in the bucket under images/
  glimpse search \"a cat\"                         find images by text
  glimpse search --file cat.jpg --limit 3        find images that are similar to this one
  glimpse jobs list                              see what was indexed

Settings are environment variables; docs/settings.md describes them. Commands that need a running service connect to
GLIMPSE_URL (by default at the address of GLIMPSE_ADDR) and send the first key of GLIMPSE_API_KEY. GLIMPSE_CA_FILE names
certificates that they trust in addition, such as that of a private authority.

Exit codes: 0 done; 1 failed; 2 invalid command line; 3 done, but some images could not be indexed; 70 a task that the
service needs ended unexpectedly; 78 the service refuses the worker, or the settings of the worker are invalid.";

/// Indexes the images of an S3 bucket and finds them by text or by image.
#[derive(Debug, Parser)]
#[command(name = "glimpse", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service until it receives SIGTERM or Ctrl-C
    Serve(serve::Serve),
    /// Try Glimpse: run the service, index the demo images and search them
    Demo(demo::Demo),
    /// Run only the model, as a CLIP service for other programs
    Clip(clip::Clip),
    /// Run a worker that indexes images for a job of a service, until the job ends
    Worker(worker::Worker),
    /// Upload images to the bucket: the demo images or a folder
    Seed(seed::Seed),
    /// Add images through the service, which stores and indexes them: files, a folder, or a folder that is watched
    Add(add::Add),
    /// Index the images of the bucket and show the progress
    Ingest(ingest::Ingest),
    /// Find images by text, by an image, or by both
    Search(Box<search::Search>),
    /// Print the vectors of texts or images, by the model of a collection
    Embed(embed::Embed),
    /// List jobs; show, follow, pause, stop, retry, move or delete them
    Jobs(jobs::Jobs),
    /// Keep a collection up to date: add, list, pause, run or remove mirrors of a bucket
    Mirror(mirror::Mirror),
    /// List indexed images; show one, save its thumbnail or original, or remove it from the index
    Images(images::Images),
    /// List, show, adopt or drop collections, and count their values
    Collections(collections::Collections),
    /// Write a collection with its vectors to a Parquet file
    Export(export::Export),
    /// Import images with vectors that were made elsewhere: Parquet files, or what clip-retrieval writes
    Import(import::Import),
    /// Make, list and remove API keys with roles, and list who has changed what
    Keys(keys::Keys),
    /// List the known models and their licences; download or check one
    Models(models::Models),
    /// Check the settings and everything that they name, and print what to do about each problem
    Doctor(doctor::Doctor),
    /// Compare the stores with each other and with the ledger, and repair differences
    Verify(verify::Verify),
    /// Copy the data of a running service into an archive of backups, or list its backups
    Backup(backup::Backup),
    /// Restore a backup into an empty data folder, or check a backup
    Restore(restore::Restore),
    /// Measure the quality of search results with known answers
    Eval(eval::Eval),
}

impl Cli {
    /// Parses the command line of this process. If it is invalid, the process ends with exit code 2.
    pub fn read() -> Self {
        Self::parse_arguments(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn parse_arguments(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, clap::Error> {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        Self::try_parse_from(&arguments).map_err(|mut error| {
            let arguments: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
            if let Some(tip) = jobs::tip(&arguments) {
                error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
            }
            error
        })
    }

    /// Runs the command, and prints the error if it fails. Returns the exit code.
    pub async fn run(self) -> u8 {
        let settings = match self.command {
            Command::Worker(_) => Settings::load_for_worker(),
            _ => Settings::load(),
        };
        match Box::pin(self.command.run(settings)).await {
            Ok(ending) => ending.code(),
            // The reader of the output closed it: `glimpse jobs list | head -1` is not a failure.
            Err(CliError::Print(error)) if error.kind() == ErrorKind::BrokenPipe => Ending::Done.code(),
            Err(error) => {
                out::error_line(format_args!("glimpse: {}", error.chain()));
                error.code()
            }
        }
    }
}

impl Command {
    async fn run(self, settings: Result<Settings, SettingsError>) -> Result<Ending, CliError> {
        match self {
            // This command reports invalid settings itself.
            Command::Doctor(command) => Box::pin(command.run(settings)).await,
            Command::Worker(command) => {
                let outcome = async { Box::pin(command.run(settings?)).await };
                Box::pin(outcome).await.map_err(CliError::into_worker_error)
            }
            Command::Serve(command) => Box::pin(command.run(settings?)).await,
            Command::Demo(command) => Box::pin(command.run(settings?)).await,
            Command::Clip(command) => command.run(settings?).await,
            Command::Seed(command) => Box::pin(command.run(&settings?)).await,
            Command::Add(command) => Box::pin(command.run(&settings?)).await,
            Command::Ingest(command) => command.run(&settings?).await,
            Command::Search(command) => command.run(&settings?).await,
            Command::Embed(command) => command.run(&settings?).await,
            Command::Jobs(command) => command.run(&settings?).await,
            Command::Mirror(command) => command.run(&settings?).await,
            Command::Images(command) => command.run(&settings?).await,
            Command::Collections(command) => command.run(&settings?).await,
            Command::Export(command) => Box::pin(command.run(&settings?)).await,
            Command::Import(command) => Box::pin(command.run(&settings?)).await,
            Command::Keys(command) => command.run(&settings?).await,
            Command::Models(command) => Box::pin(command.run(&settings?)).await,
            Command::Verify(command) => command.run(&settings?).await,
            Command::Backup(command) => Box::pin(command.run(&settings?)).await,
            Command::Restore(command) => Box::pin(command.run(&settings?)).await,
            Command::Eval(command) => command.run(&settings?).await,
        }
    }
}

#[cfg(test)]
mod tests;
