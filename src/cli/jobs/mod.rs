//! `glimpse jobs`: lists jobs, shows one, or changes one.

pub(super) mod follow;
mod pages;
pub(super) mod text;

use clap::{Args, Subcommand};

use super::client::Client;
use super::out::Output;
use super::values::{count, whole_number};
use super::{CliError, Ending, client_help, subcommand_help};
use crate::api::replies::{JobReply, MoveReply, MoveRequest, PruneReply, PruneRequest, StopReply};
use crate::config::Settings;
use crate::domain::Executor;

const EXAMPLES: &str = "\
Examples:
  glimpse jobs list --limit 5         list the five newest jobs
  glimpse jobs list --cursor ID       list older jobs: those before this one
  glimpse jobs show ID                show the state, the counts and the speed of a job
  glimpse jobs show ID --follow       wait for the end of a job, as `glimpse ingest` does
  glimpse jobs logs ID --follow       print the log, and new lines until the job ends
  glimpse jobs failures ID            list the images that could not be indexed, and why
  glimpse jobs failures ID --json     the same list as JSON, with all fields
  glimpse jobs retry ID               index these images again in a new job, and wait for its end
  glimpse jobs pause ID               pause a job; its work and its place in the queue stay
  glimpse jobs resume ID              continue a paused job
  glimpse jobs stop ID                stop a job; images that it has indexed stay in the index
  glimpse jobs move ID local          let the service do the rest, for example if the Ray cluster is gone
  glimpse jobs prune --keep 20        delete all finished jobs except the 20 newest

Commands that wait for the end of a job exit with 0 if every image was indexed, 3 if some images failed, and 1 if the
job failed or was stopped. Ctrl-C ends the command, but not the job.";

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES), mut_subcommands = |command| subcommand_help("jobs", EXAMPLES, command))]
pub(super) struct Jobs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List jobs, newest first
    List {
        /// Number of jobs, 1 to 100 [default: 20]
        #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole_number::<u32, 1, 100>)]
        limit: Option<u32>,
        /// Continue an earlier list: the value that it printed (the id of its last job)
        #[arg(long, value_name = "ID")]
        cursor: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Show one job: its state, its counts, its speed, and what it waits for
    Show {
        /// The id of the job
        id: String,
        /// Wait for the end of the job and show its progress
        #[arg(long)]
        follow: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Print the log of a job
    Logs {
        /// The id of the job
        id: String,
        /// Print new lines until the job ends
        #[arg(long, conflicts_with = "json")]
        follow: bool,
        /// Print only the lines after this one: the `next` of an earlier --json [default: all lines]
        #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, allow_negative_numbers = true, value_parser = count::<i64, 0>)]
        cursor: i64,
        #[command(flatten)]
        output: Output,
    },
    /// List the images that could not be indexed, and why
    Failures {
        /// The id of the job
        id: String,
        /// Number of failures, 1 to 1,000 [default: all failures]
        #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole_number::<u32, 1, 1000>)]
        limit: Option<u32>,
        /// Continue an earlier list: the value that it printed
        #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, allow_negative_numbers = true, value_parser = count::<i64, 0>)]
        cursor: i64,
        #[command(flatten)]
        output: Output,
    },
    /// Pause a job until it is resumed; its work and its place in the queue stay, also if the service is restarted
    Pause {
        /// The id of the job
        id: String,
        #[command(flatten)]
        output: Output,
    },
    /// Continue a paused job
    Resume {
        /// The id of the job
        id: String,
        #[command(flatten)]
        output: Output,
    },
    /// Stop a job; images that it has indexed stay in the index
    Stop {
        /// The id of the job
        id: String,
        #[command(flatten)]
        output: Output,
    },
    /// Index the failed images of a job again, or continue a job that failed before its end
    Retry {
        /// The id of the job
        id: String,
        /// Only submit the new job; do not wait for its end
        #[arg(long)]
        no_wait: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Let another executor do the rest of a job; images that are done stay done
    Move {
        /// The id of the job
        id: String,
        /// `local` (the service), `workers` (that you start with the printed command) or `ray` (the Ray cluster)
        #[arg(value_parser = executors(), hide_possible_values = true)]
        executor: String,
        #[command(flatten)]
        output: Output,
    },
    /// Delete finished jobs with their logs and failures; images that they indexed stay in the index
    Prune {
        /// The number of finished jobs to keep, newest first; 0 deletes all
        #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count::<u64, 0>)]
        keep: u64,
        #[command(flatten)]
        output: Output,
    },
}

impl Jobs {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let client = Client::new(settings)?;
        match self.command {
            Command::List { limit, cursor, output } => pages::list(&client, limit, cursor, output).await?,
            Command::Show { id, follow: true, output } => return follow::existing(&client, &id, output).await,
            Command::Show { id, follow: false, output } => {
                let reply = client.get(&["jobs", &id], &()).await?;
                output.reply::<JobReply>(&reply, text::details)?;
            }
            Command::Logs { id, follow: true, cursor, .. } => return follow::logs(&client, &id, cursor).await,
            Command::Logs { id, follow: false, cursor, output } => {
                let logs = pages::logs(&client, &id, cursor).await?;
                // No line at all instead of an empty one.
                if output.json || !logs.logs.is_empty() {
                    output.value(&logs, |logs| logs.logs.clone())?;
                }
            }
            Command::Failures { id, limit, cursor, output } => {
                pages::failures(&client, &id, limit, cursor, output).await?;
            }
            Command::Pause { id, output } => {
                output.reply(&client.post(&["jobs", &id, "pause"], &()).await?, text::state)?;
            }
            Command::Resume { id, output } => {
                output.reply(&client.post(&["jobs", &id, "resume"], &()).await?, text::state)?;
            }
            Command::Stop { id, output } => {
                let reply = client.delete(&["jobs", &id], &()).await?;
                output.reply(&reply, |stop: &StopReply| format!("job {}: {}", stop.job_id, stop.status))?;
            }
            Command::Retry { id, no_wait, output } => {
                let submitted = client.post(&["jobs", &id, "retry"], &()).await?;
                return follow::submitted(&client, &submitted, settings, no_wait, output).await;
            }
            Command::Move { id, executor, output } => {
                let reply = client.post(&["jobs", &id, "executor"], &MoveRequest { executor }).await?;
                output.reply(&reply, |moved: &MoveReply| text::moved(moved, settings))?;
            }
            Command::Prune { keep, output } => {
                let reply = client.post(&["jobs", "prune"], &PruneRequest { keep }).await?;
                output.reply(&reply, |prune: &PruneReply| format!("deleted {} finished jobs", prune.removed))?;
            }
        }
        Ok(Ending::Done)
    }
}

/// Returns the values of an option that names an executor.
pub(super) fn executors() -> [&'static str; 3] {
    Executor::ALL.map(Executor::as_str)
}

/// Flags of version 0.1, and what replaces them.
const FORMER_FLAGS: [(&str, &str); 7] = [
    ("--follow", "show ID --follow"),
    ("--logs", "logs ID"),
    ("--failures", "failures ID"),
    ("--stop", "stop ID"),
    ("--retry", "retry ID"),
    ("--move", "move ID EXECUTOR"),
    ("--prune", "prune --keep N"),
];

/// Returns a tip for a refused command line that has the form of version 0.1, such as `glimpse jobs ID --stop`.
pub(super) fn tip(arguments: &[String]) -> Option<String> {
    let [_, command, arguments @ ..] = arguments else { return None };
    let former = |argument: &String| {
        let name = argument.split('=').next().unwrap_or_default();
        FORMER_FLAGS.into_iter().find(|(flag, _)| *flag == name).map(|(_, now)| now)
    };
    let is_id = |argument: &&String| argument.parse::<uuid::Uuid>().is_ok();
    let now = arguments.iter().find_map(former).or_else(|| arguments.first().filter(is_id).map(|_| "show ID"))?;
    (command == "jobs").then(|| format!("use `glimpse jobs {now}`"))
}
