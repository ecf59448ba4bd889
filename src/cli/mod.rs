//! The command line. `serve`, `demo`, `clip`, `worker`, `seed`, `models` and `doctor` do their work in this process; the
//! other commands are clients of a running service.

mod add;
mod client;
mod collections;
mod doctor;
mod error;
mod eval;
mod help;
mod images;
mod ingest;
mod jobs;
mod keys;
mod mirror;
mod models;
mod out;
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
GLIMPSE_URL (by default at the address of GLIMPSE_ADDR) and send the first key of GLIMPSE_API_KEY.

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
    /// List jobs; show, follow, stop, retry, move or delete them
    Jobs(jobs::Jobs),
    /// Keep a collection up to date: add, list, pause, run or remove mirrors of a bucket
    Mirror(mirror::Mirror),
    /// List indexed images; show one, save its thumbnail or original, or remove it from the index
    Images(images::Images),
    /// List, show or drop collections, and count their values
    Collections(collections::Collections),
    /// Make, list and remove API keys with roles, and list who has changed what
    Keys(keys::Keys),
    /// List the known models and their licences; download or check one
    Models(models::Models),
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
            Command::Jobs(command) => command.run(&settings?).await,
            Command::Mirror(command) => command.run(&settings?).await,
            Command::Images(command) => command.run(&settings?).await,
            Command::Collections(command) => command.run(&settings?).await,
            Command::Keys(command) => command.run(&settings?).await,
            Command::Models(command) => Box::pin(command.run(&settings?)).await,
            Command::Verify(command) => command.run(&settings?).await,
            Command::Eval(command) => command.run(&settings?).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::parse_arguments(line.split(' '))
    }

    #[test]
    fn the_definition_of_the_command_line_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_each_command_has_an_example() {
        let mut commands = vec![("glimpse".to_owned(), Cli::command())];
        while let Some((path, command)) = commands.pop() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let subcommands: Vec<_> = command.get_subcommands().cloned().collect();
            let example = if path == "glimpse" { "glimpse demo".to_owned() } else { path.clone() };
            assert!(help.contains("Examples:\n") && help.contains(&example), "{path}: {help}");
            commands.extend(subcommands.into_iter().map(|command| (format!("{path} {}", command.get_name()), command)));
        }
    }

    #[test]
    fn wrong_numbers_are_refused_with_the_allowed_range() {
        for (line, expected) in [
            ("glimpse search a --limit abc", "from 1 to 100"),
            ("glimpse search a --limit 0", "from 1 to 100"),
            ("glimpse search a --limit -1", "from 1 to 100"),
            ("glimpse search a --offset 10000", "from 0 to 9999"),
            ("glimpse search a --min-score 2", "from -1 to 1"),
            ("glimpse search a --min-relevance 2", "from 0 to 1"),
            ("glimpse search a --min-width -3", "from 0 to 4294967295"),
            ("glimpse jobs list --limit 101", "from 1 to 100"),
            ("glimpse images list --limit 0", "from 1 to 100"),
            ("glimpse collections facets format --limit 1001", "from 1 to 1000"),
            ("glimpse jobs failures 1 --limit -1", "from 1 to 1000"),
            ("glimpse jobs logs 1 --cursor -1", "from 0 to 9007199254740991"),
            ("glimpse jobs prune --keep x", "from 0 to 9007199254740991"),
            ("glimpse ingest --max-items 0", "from 1 to 9007199254740991"),
            ("glimpse ingest --sync --max-delete-percent 101", "from 0 to 100"),
            ("glimpse ingest --max-failures 101%", "from 0% to 100%"),
            ("glimpse ingest --max-failures -1", "from 0% to 100%"),
            ("glimpse verify --sample 1000001", "from 0 to 1000000"),
            ("glimpse eval --queries q --at 0", "from 1 to 100"),
            ("glimpse seed --count -1", "from 1 to 9007199254740991"),
            ("glimpse clip --addr x", "IP:PORT"),
        ] {
            let refused = parse(line).unwrap_err();
            assert!(refused.exit_code() == 2 && refused.to_string().contains(expected), "{line}: {refused}");
        }
    }

    #[test]
    fn contradicting_and_missing_options_are_refused() {
        for line in [
            "glimpse search",
            "glimpse jobs",
            "glimpse jobs logs",
            "glimpse jobs logs 1 --follow --json",
            "glimpse jobs move 1 elsewhere",
            "glimpse jobs prune",
            "glimpse images thumbnail s3://b/cat.jpg",
            "glimpse images show cat.jpg",
            "glimpse collections drop",
            "glimpse collections duplicates --kind same",
            "glimpse eval",
            "glimpse eval --queries q --at 0",
            "glimpse eval --queries q --at 1,101",
            "glimpse eval --queries q --calibrate c",
            "glimpse eval --calibrate c --html page.html",
            "glimpse eval --queries q --against birds",
            "glimpse eval --queries q --map train/",
            "glimpse seed --from d --count 3",
            "glimpse keys add ci --role root",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        for line in [
            "glimpse search cat",
            "glimpse search --file f cat",
            "glimpse search --like s3://b/cat.jpg --min-score -0.5 --offset 10",
            "glimpse jobs list",
            "glimpse keys add ci --role write --expires 30d",
            "glimpse jobs failures 1 --limit 3",
            "glimpse collections drop birds --yes",
            "glimpse eval --queries q --by category --against collection=birds --html page.html --map train/=",
            "glimpse eval --calibrate c --collection birds",
            "glimpse eval --reset-calibration",
        ] {
            parse(line).unwrap();
        }
    }

    #[test]
    fn the_flags_of_version_0_1_are_refused_with_the_subcommand() {
        const ID: &str = "019b8d36-0000-7000-8000-000000000000";
        for (line, expected) in [
            (format!("glimpse jobs {ID}"), "glimpse jobs show ID"),
            (format!("glimpse jobs {ID} --json"), "glimpse jobs show ID"),
            (format!("glimpse jobs {ID} --follow"), "glimpse jobs show ID --follow"),
            (format!("glimpse jobs --logs {ID}"), "glimpse jobs logs ID"),
            (format!("glimpse jobs {ID} --failures"), "glimpse jobs failures ID"),
            (format!("glimpse jobs {ID} --stop"), "glimpse jobs stop ID"),
            (format!("glimpse jobs {ID} --retry"), "glimpse jobs retry ID"),
            (format!("glimpse jobs {ID} --move=local"), "glimpse jobs move ID EXECUTOR"),
            ("glimpse jobs --prune --keep 2".to_owned(), "glimpse jobs prune --keep N"),
        ] {
            let refused = parse(&line).unwrap_err();
            let message = refused.to_string();
            assert!(refused.exit_code() == 2 && message.contains(&format!("tip: use `{expected}`")), "{message}");
        }
    }
}
