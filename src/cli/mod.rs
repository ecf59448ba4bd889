//! The command line. `serve`, `demo`, `seed`, `clip` and `worker` do their work in this process; the other commands are
//! clients of a running service.

mod bars;
mod client;
mod clip;
mod demo;
mod doctor;
mod error;
mod eval;
mod follow;
mod ingest;
mod jobs;
mod out;
mod search;
mod seed;
mod serve;
mod verify;
mod worker;

use clap::{Parser, Subcommand};

use crate::config::Settings;

pub use error::CliError;

/// Logs a warning for each variable of the environment that is misspelt or has a former name.
fn warn_of_unknown_variables() {
    for warning in crate::config::warnings() {
        tracing::warn!("{warning}");
    }
}

/// The result of a command, as an exit code. Code 2, an invalid command line, is returned by clap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// 0
    Done,
    /// 1
    Failed,
    /// 3: the job is done, but some images could not be indexed.
    DoneWithFailures,
}

impl Ending {
    /// Returns the exit code.
    pub fn code(self) -> u8 {
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
  glimpse ingest --prefix images/                index the images in the bucket under images/
  glimpse search \"a cat\"                         find images by text
  glimpse search --file cat.jpg --limit 3        find images that are similar to this one

Settings are environment variables; docs/settings.md describes them. Commands that need a running service connect to
GLIMPSE_URL and send the first key of GLIMPSE_API_KEY.

Exit codes: 0 done; 1 failed; 2 invalid command line; 3 done, but some images could not be indexed; 70 a task that the
service needs ended unexpectedly; 78 the service refuses the worker, or the settings of the worker are invalid.";

/// Indexes the images of an S3 bucket and finds them by text or by image.
#[derive(Debug, Parser)]
#[command(name = "glimpse", version, after_help = EXAMPLES, max_term_width = 100)]
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
    /// Index the images of the bucket and show the progress
    Ingest(ingest::Ingest),
    /// Find images by text, by an image, or by both
    Search(search::Search),
    /// List jobs; show, follow, stop, retry, move or delete them
    Jobs(jobs::Jobs),
    /// Check the settings and everything that they name, and print what to do about each problem
    Doctor(doctor::Doctor),
    /// Compare the stores with each other and with the ledger, and repair differences
    Verify(verify::Verify),
    /// Measure the quality of search results with known answers
    Eval(eval::Eval),
}

impl Cli {
    /// Parses the command line of this process. If it is invalid, the process ends with exit code 2.
    pub fn read() -> Self {
        Self::parse()
    }

    /// Runs the command.
    ///
    /// # Errors
    /// [`CliError`] if the command fails.
    pub async fn run(self) -> Result<Ending, CliError> {
        let settings = Settings::load();
        let ending = match self.command {
            // This command reports invalid settings itself.
            Command::Doctor(command) => Box::pin(command.run(settings)).await,
            Command::Worker(command) => {
                let outcome = async { command.run(settings?).await };
                Box::pin(outcome).await.map_err(CliError::into_worker_error)
            }
            command => Box::pin(command.run(settings?)).await,
        };
        match ending {
            // The reader of the output closed it: `glimpse jobs | head -1` is not a failure.
            Err(CliError::Print(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Ending::Done),
            ending => ending,
        }
    }
}

impl Command {
    async fn run(self, settings: Settings) -> Result<Ending, CliError> {
        match self {
            Command::Doctor(command) => Box::pin(command.run(Ok(settings))).await,
            Command::Serve(command) => Box::pin(command.run(settings)).await,
            Command::Demo(command) => Box::pin(command.run(settings)).await,
            Command::Clip(command) => command.run(settings).await,
            Command::Worker(command) => Box::pin(command.run(settings)).await,
            Command::Seed(command) => command.run(&settings).await,
            Command::Ingest(command) => command.run(&settings).await,
            Command::Search(command) => command.run(&settings).await,
            Command::Jobs(command) => command.run(&settings).await,
            Command::Verify(command) => command.run(&settings).await,
            Command::Eval(command) => command.run(&settings).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn contradicting_options_are_refused() {
        for line in [
            "glimpse search",
            "glimpse jobs --logs",
            "glimpse jobs 1 --logs --stop",
            "glimpse eval",
            "glimpse eval --queries q --at 0",
            "glimpse eval --queries q --at 1,101",
            "glimpse seed --from d --count 3",
        ] {
            let refused = Cli::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(refused.exit_code(), 2, "{line}");
        }
        for line in ["glimpse search cat", "glimpse search --file f cat", "glimpse jobs", "glimpse jobs 1 --failures"] {
            Cli::try_parse_from(line.split(' ')).unwrap();
        }
    }
}
