//! The command line: `serve`, `demo`, `seed` and `clip` work in this process; the others are clients of a running service.

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

use crate::app::unknown_variables;
use crate::config::Settings;

pub use error::CliError;

/// Logs a warning for each variable of the environment that looks like a setting and is not one.
fn warn_of_unknown_variables() {
    for warning in unknown_variables() {
        tracing::warn!("{warning}");
    }
}

/// How a command ends; each is an exit code. 2, a command line that cannot be read, is clap's.
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
    /// Its exit code.
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
  glimpse demo                                   everything at once, with images that it brings along
  glimpse serve                                  the service, at http://127.0.0.1:8080
  glimpse seed --from ~/Pictures                 upload a folder of images to the bucket
  glimpse ingest --prefix images/                index what lies in the bucket under images/
  glimpse search \"a cat\"                         find images by words
  glimpse search --file cat.jpg --limit 3        find images like this one

Settings are environment variables, described in docs/settings.md. The commands that talk to a running service find it at
GLIMPSE_URL and show it the first key of GLIMPSE_API_KEY.

Exit codes: 0 done; 1 failed; 2 the command line cannot be read; 3 done, but some images could not be indexed; 78 a worker
that the service refuses, or whose settings cannot be used.";

/// Indexes the images of an S3 bucket and finds them again by words or by image.
#[derive(Debug, Parser)]
#[command(name = "glimpse", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service until it is asked to stop
    Serve(serve::Serve),
    /// See it work: serve, index the demo images, search them
    Demo(demo::Demo),
    /// Run the model alone, as a CLIP service for others
    Clip(clip::Clip),
    /// Work on a job of a service elsewhere, until the job is over
    Worker(worker::Worker),
    /// Upload images to the bucket: the demo's, or those of a folder
    Seed(seed::Seed),
    /// Index the images of the bucket, and watch how it gets on
    Ingest(ingest::Ingest),
    /// Find images by words, by a image, or by both
    Search(search::Search),
    /// List jobs, or look into one
    Jobs(jobs::Jobs),
    /// Check the settings and all that they name, and say what to do about what fails
    Doctor(doctor::Doctor),
    /// Compare the stores with each other and with the ledger, and repair what differs
    Verify(verify::Verify),
    /// Measure how well images are found, against known answers
    Eval(eval::Eval),
}

impl Cli {
    /// Reads this process' command line; one that cannot be read ends the process with 2.
    pub fn read() -> Self {
        Self::parse()
    }

    /// Does what was asked for.
    ///
    /// # Errors
    /// [`CliError`]: a plain sentence with its causes.
    pub async fn run(self) -> Result<Ending, CliError> {
        let settings = Settings::load();
        let ending = match self.command {
            // Settings that cannot be used are what it is for.
            Command::Doctor(command) => Box::pin(command.run(settings)).await,
            Command::Worker(command) => {
                let worked = async { command.run(settings?).await };
                Box::pin(worked).await.map_err(CliError::of_worker)
            }
            command => Box::pin(command.run(settings?)).await,
        };
        match ending {
            // Whoever read our output has read enough: `glimpse jobs | head -1` is no failure.
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
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
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
