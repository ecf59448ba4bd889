//! `glimpse jobs`: lists jobs, shows one, or changes one.

use clap::Args;

use super::client::Client;
use super::{CliError, Ending, follow, out};
use crate::api::replies::{
    FailureReply, FailuresReply, JobReply, JobsReply, LogsReply, MoveReply, MoveRequest, PruneReply, PruneRequest,
    StopReply,
};
use crate::config::Settings;

const EXAMPLES: &str = "\
Examples:
  glimpse jobs                     list the 20 newest jobs
  glimpse jobs ID                  show the status of one job
  glimpse jobs ID --follow         wait for its end, as `glimpse ingest` does
  glimpse jobs ID --failures       list the images that could not be indexed, and why
  glimpse jobs ID --retry          index these images again in a new job, and wait for its end
  glimpse jobs ID --stop           stop the job
  glimpse jobs ID --move local     let the service do the rest, for example if the Ray cluster is gone
  glimpse jobs --prune --keep 20   delete all finished jobs except the 20 newest";

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag on the command line; clap refuses combinations that contradict each other"
)]
#[command(after_help = EXAMPLES)]
pub(super) struct Jobs {
    /// The id of the job
    id: Option<String>,
    /// Wait for the end of the job and show its progress; the job keeps running after Ctrl-C
    #[arg(long, requires = "id", group = "what")]
    follow: bool,
    /// Print the log of the job
    #[arg(long, requires = "id", group = "what")]
    logs: bool,
    /// Print the images that could not be indexed, and why
    #[arg(long, requires = "id", group = "what")]
    failures: bool,
    /// Stop the job; images that it has indexed stay in the index
    #[arg(long, requires = "id", group = "what")]
    stop: bool,
    /// Let another executor do the rest of the job: `local`, `workers` or `ray`
    #[arg(long = "move", value_name = "EXECUTOR", requires = "id", group = "what")]
    move_to: Option<String>,
    /// Index the failed images again in a new job, and wait for its end
    #[arg(long, requires = "id", group = "what")]
    retry: bool,
    /// Delete finished jobs with their logs and failures; images that they indexed stay in the index
    #[arg(long, conflicts_with = "id", requires = "keep")]
    prune: bool,
    /// With --prune: the number of finished jobs to keep, newest first; 0 deletes all
    #[arg(long, value_name = "N", requires = "prune")]
    keep: Option<u64>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

impl Jobs {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let client = Client::new(settings)?;
        if let Some(keep) = self.keep {
            let reply = client.post(&["jobs", "prune"], &PruneRequest { keep }).await?;
            let removed = reply.read::<PruneReply>()?.removed;
            out::line(if self.json { reply.text().to_owned() } else { format!("deleted {removed} finished jobs") })?;
            return Ok(Ending::Done);
        }
        let Some(id) = self.id.as_deref() else {
            let reply = client.get(&["jobs"], &()).await?;
            out::line(if self.json { reply.text().to_owned() } else { list(&reply.read()?) })?;
            return Ok(Ending::Done);
        };
        if self.failures {
            let failures = all_failures(&client, id).await?;
            out::line(if self.json { json(&failures) } else { table(&failures) })?;
            return Ok(Ending::Done);
        }
        if self.logs {
            let logs = all_logs(&client, id).await?;
            out::line(if self.json { json(&logs) } else { logs.logs })?;
            return Ok(Ending::Done);
        }
        if self.follow {
            return follow::follow_existing(&client, id, self.json).await;
        }
        if self.retry {
            let submitted = client.post(&["jobs", id, "retry"], &()).await?;
            return follow::follow_submitted(&client, &submitted, self.json).await;
        }
        if let Some(executor) = self.move_to {
            let reply = client.post(&["jobs", id, "executor"], &MoveRequest { executor }).await?;
            out::line(if self.json { reply.text().to_owned() } else { moved(&reply.read()?, settings) })?;
            return Ok(Ending::Done);
        }
        let reply = match () {
            () if self.stop => client.delete(&["jobs", id]).await?,
            () => client.get(&["jobs", id], &()).await?,
        };
        out::line(match () {
            () if self.json => reply.text().to_owned(),
            () if self.stop => {
                let stopped: StopReply = reply.read()?;
                format!("job {}: {}", stopped.job_id, stopped.status)
            }
            () => details(&reply.read()?),
        })?;
        Ok(Ending::Done)
    }
}

/// Describes a moved job, and how to start its workers. The service sends their token only once.
fn moved(reply: &MoveReply, settings: &Settings) -> String {
    let MoveReply { job_id, executor, worker_token } = reply;
    let text = format!("job {job_id} continues with the executor `{executor}`");
    match worker_token {
        Some(token) => format!("{text}\n{}", super::worker::command(token, settings, job_id)),
        None => text,
    }
}

fn list(reply: &JobsReply) -> String {
    if reply.jobs.is_empty() {
        return "there are no jobs yet; `glimpse ingest` submits one".to_owned();
    }
    let mut table = out::table(&["job", "status", "bucket and prefix", "collection", "indexed", "failed", "submitted"]);
    for job in &reply.jobs {
        table.add_row([
            job.job_id.clone().into(),
            job.status.clone().into(),
            format!("{}/{}", job.s3_bucket, job.s3_prefix).into(),
            job.collection.clone().into(),
            out::number(job.counts.done),
            out::number(job.counts.failed),
            to_the_second(&job.submitted_at).into(),
        ]);
    }
    table.to_string()
}

fn details(job: &JobReply) -> String {
    let dash = || "-".to_owned();
    let counts = job.counts;
    let mut text = format!(
        "{}\nfrom {}/{} into the collection `{}`\nsubmitted {}, started {}, finished {}; {} images left",
        follow::summary(job),
        job.s3_bucket,
        job.s3_prefix,
        job.collection,
        to_the_second(&job.submitted_at),
        job.started_at.as_deref().map_or_else(dash, to_the_second),
        job.finished_at.as_deref().map_or_else(dash, to_the_second),
        counts.left
    );
    text.extend(job.waiting_on.as_ref().map(|waiting| format!("\nwaiting: {}", waiting.message)));
    text
}

/// Removes the fraction of a second from a timestamp, which only programs need.
fn to_the_second(moment: &str) -> String {
    moment.split_once('.').map_or_else(|| moment.to_owned(), |(seconds, _)| format!("{seconds}Z"))
}

/// Returns all log lines that the service keeps of a job.
async fn all_logs(client: &Client, id: &str) -> Result<LogsReply, CliError> {
    let mut all = LogsReply { job_id: id.to_owned(), logs: String::new(), next: 0, more: true, older: false };
    while all.more {
        let query = [("offset", all.next.to_string())];
        let page: LogsReply = client.get(&["jobs", id, "logs"], &query).await?.read()?;
        if !all.logs.is_empty() && !page.logs.is_empty() {
            all.logs.push('\n');
        }
        all.logs.push_str(&page.logs);
        all.more = page.more && page.next > all.next;
        all.next = page.next;
    }
    Ok(all)
}

async fn all_failures(client: &Client, id: &str) -> Result<FailuresReply, CliError> {
    let (mut failures, mut after) = (Vec::new(), 0);
    loop {
        let query = [("limit", "1000".to_owned()), ("after", after.to_string())];
        let page: FailuresReply = client.get(&["jobs", id, "failures"], &query).await?.read()?;
        failures.extend(page.failures);
        match page.next {
            Some(next) if next > after => after = next,
            _ => return Ok(FailuresReply { failures, total: page.total, next: None }),
        }
    }
}

fn table(reply: &FailuresReply) -> String {
    if reply.failures.is_empty() {
        return "no image failed".to_owned();
    }
    let mut table = out::table(&["key", "class", "attempts", "message"]);
    for FailureReply { s3_key, class, message, attempts } in &reply.failures {
        table.add_row([s3_key.into(), class.into(), out::number(attempts), message.into()]);
    }
    format!("{table}\n{} failed", reply.total)
}

fn json(reply: &impl serde::Serialize) -> String {
    serde_json::to_string(reply).unwrap_or_default()
}
