//! `glimpse mirror`: lists mirrors, shows one, or changes one.

mod servers;
mod text;

use clap::{Args, Subcommand};

use super::client::Client;
use super::jobs::executors;
use super::out::{self, Output};
use super::values::whole_number;
use super::{CliError, Ending, client_help, subcommand_help};
use crate::api::replies::{EventTokenReply, MirrorReply, MirrorRequest, MirrorsReply, RunReply};
use crate::app::Bucket;
use crate::config::Settings;
use crate::domain::Excludes;

const EXAMPLES: &str = "\
Examples:
  glimpse mirror add photos --prefix images/ --sync --schedule '*/15 * * * *'   keep a collection up to date
  glimpse mirror list                     list the mirrors: state, last and next run, lag
  glimpse mirror show photos              show one with all fields
  glimpse mirror run photos               start a run now
  glimpse mirror pause photos             start no runs and process no events, until it is resumed
  glimpse mirror resume photos            resume a mirror that is paused, or that the service has stopped
  glimpse mirror events photos            print what to configure, so that the bucket sends its events
  glimpse mirror events photos --apply --target arn:minio:sqs::GLIMPSE_PHOTOS:webhook   add the rule to the bucket
  glimpse mirror token photos             get a new token for the events; the previous one is refused
  glimpse mirror remove photos            remove the mirror; its collection stays";

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES), mut_subcommands = |command| subcommand_help("mirror", EXAMPLES, command))]
pub(super) struct Mirror {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a mirror; with --replace, replace all fields of an existing one
    Add(Box<Add>),
    /// List the mirrors
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Show a mirror with all fields
    Show(Named),
    /// Start no runs and process no events, until the mirror is resumed
    Pause(Named),
    /// Resume a mirror that is paused, or that the service has stopped
    Resume(Named),
    /// Start a run now
    Run(Named),
    /// Remove a mirror; its collection stays
    Remove(Named),
    /// Replace the token of the events; the previous one is refused from now on
    Token(Named),
    /// Print what to configure, so that the bucket sends its events to the service
    Events {
        /// The name of the mirror
        name: String,
        /// Only for this server: `minio`, `rustfs`, `ceph` or `aws` [default: all]
        #[arg(long, value_parser = servers::NAMES, hide_possible_values = true)]
        server: Option<String>,
        /// Add the rule to the bucket with the S3 settings of this command, instead of printing what to configure; other rules stay
        #[arg(long, requires = "target")]
        apply: bool,
        /// With --apply: the ARN of the target, such as arn:minio:sqs::GLIMPSE_PHOTOS:webhook
        #[arg(long, value_name = "ARN", requires = "apply")]
        target: Option<String>,
    },
}

#[derive(Debug, Args)]
struct Named {
    /// The name of the mirror
    name: String,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Add {
    /// The name of the mirror: letters, digits, `_` and `-`
    name: String,
    /// The bucket [default: S3_BUCKET of the service]
    #[arg(long)]
    bucket: Option<String>,
    /// Only keys that start with this prefix [default: all keys]
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// The collection [default: VECTOR_DB_COLLECTION of the service]
    #[arg(long)]
    collection: Option<String>,
    /// When runs start: a cron expression with five fields, such as `*/15 * * * *` [default: no scheduled runs]
    #[arg(long, value_name = "CRON")]
    schedule: Option<String>,
    /// The IANA time zone of the schedule [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "schedule")]
    timezone: Option<String>,
    /// Also remove from the index the images that are no longer in the bucket
    #[arg(long)]
    sync: bool,
    /// With --sync: stop the mirror if more than this percentage of its images would be removed [default: 10]
    #[arg(long, value_name = "N", requires = "sync", allow_negative_numbers = true, value_parser = whole_number::<u8, 0, 100>)]
    max_delete_percent: Option<u8>,
    /// Globs of keys that are not indexed, comma-separated; `none` for no globs [default: S3_EXCLUDE of the service]
    #[arg(long, value_name = "GLOBS")]
    exclude: Option<Vec<String>>,
    /// The key of a metadata file in the bucket, which each run joins
    #[arg(long, value_name = "KEY")]
    metadata_key: Option<String>,
    /// What executes the runs: `local` (the default), `workers` or `ray`
    #[arg(long, value_parser = executors(), hide_possible_values = true)]
    executor: Option<String>,
    /// Ignore events of the bucket
    #[arg(long)]
    no_events: bool,
    /// If the mirror exists, replace all its fields; those that are not given get their defaults
    #[arg(long)]
    replace: bool,
    /// The ARN of a topic of SNS whose messages are accepted
    #[arg(long, value_name = "ARN")]
    sns_topic_arn: Option<String>,
    #[command(flatten)]
    output: Output,
}

impl Mirror {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let client = Client::new(settings)?;
        match self.command {
            Command::Add(add) => add.run(&client).await?,
            Command::List { output } => {
                let reply = client.get(&["mirrors"], &()).await?;
                output.reply::<MirrorsReply>(&reply, text::table)?;
            }
            Command::Show(Named { name, output }) => {
                let reply = client.get(&["mirrors", &name], &()).await?;
                output.reply::<MirrorReply>(&reply, text::details)?;
            }
            Command::Pause(named) => named.change(&client, "pause").await?,
            Command::Resume(named) => named.change(&client, "resume").await?,
            Command::Run(Named { name, output }) => {
                let reply = client.post(&["mirrors", &name, "run"], &()).await?;
                output.reply(&reply, |run: &RunReply| {
                    format!("job {}: submitted; follow it with `glimpse jobs show {} --follow`", run.job_id, run.job_id)
                })?;
            }
            Command::Remove(Named { name, output }) => {
                let reply = client.delete(&["mirrors", &name], &()).await?;
                output.reply(&reply, text::removed)?;
            }
            Command::Token(Named { name, output }) => {
                let reply = client.post(&["mirrors", &name, "token"], &()).await?;
                output.reply(&reply, |token: &EventTokenReply| token.event_token.clone())?;
            }
            Command::Events { name, target: Some(target), .. } => {
                let mirror: MirrorReply = client.get(&["mirrors", &name], &()).await?.read()?;
                let bucket = Bucket::open(settings).await?;
                bucket.put_event_rule(&mirror.s3_bucket, &name, &mirror.s3_prefix, &target).await?;
                out::line(format!("bucket {}: events of {}* go to {target}", mirror.s3_bucket, mirror.s3_prefix))?;
            }
            Command::Events { name, server, .. } => {
                let mirror: MirrorReply = client.get(&["mirrors", &name], &()).await?.read()?;
                out::line(servers::instructions(&mirror, &client.url(), server.as_deref()))?;
            }
        }
        Ok(Ending::Done)
    }
}

impl Named {
    async fn change(self, client: &Client, action: &str) -> Result<(), CliError> {
        let reply = client.post(&["mirrors", &self.name, action], &()).await?;
        self.output.reply(&reply, |mirror: &MirrorReply| format!("mirror {}: {}", mirror.name, mirror.state))?;
        Ok(())
    }
}

impl Add {
    async fn run(self, client: &Client) -> Result<(), CliError> {
        let MirrorsReply { mirrors } = client.get(&["mirrors"], &()).await?.read()?;
        if !self.replace && mirrors.iter().any(|mirror| mirror.name == self.name) {
            return Err(CliError::MirrorExists(self.name));
        }
        let request = MirrorRequest {
            s3_bucket: self.bucket,
            s3_prefix: self.prefix,
            collection: self.collection,
            schedule: self.schedule,
            timezone: self.timezone,
            sync: self.sync,
            max_delete_percent: self.max_delete_percent,
            exclude: self.exclude.map(|lists| lists.iter().flat_map(|list| Excludes::split(list)).collect()),
            metadata_key: self.metadata_key,
            executor: self.executor,
            events: Some(!self.no_events),
            sns_topic_arn: self.sns_topic_arn,
        };
        let reply = client.put(&["mirrors", &self.name], &request).await?;
        self.output.reply::<MirrorReply>(&reply, text::added)?;
        Ok(())
    }
}
