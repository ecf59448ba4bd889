//! Follows a job until it ends, also across restarts of the service.

use std::time::Duration;

use indicatif::ProgressBar;

use super::{pages, text};
use crate::api::replies::{JobReply, SubmitReply};
use crate::cli::client::{Client, Reply};
use crate::cli::out::{self, Output};
use crate::cli::{CliError, Ending};
use crate::config::Settings;
use crate::domain::JobState;

const MIN_POLL_INTERVAL: Duration = Duration::from_millis(200);
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Prints the id of a submitted job. Unless `no_wait`, follows the job to its end and prints the result.
pub(in crate::cli) async fn submitted(
    client: &Client,
    submitted: &Reply,
    settings: &Settings,
    no_wait: bool,
    output: Output,
) -> Result<Ending, CliError> {
    let job: SubmitReply = submitted.read()?;
    // The service sends the token only once, so it must be printed now.
    match &job.worker_token {
        Some(token) if !output.json => out::line(text::worker_command(token, settings, &job.job_id))?,
        Some(_) if !no_wait => out::line(submitted.text())?,
        Some(_) | None => {}
    }
    if no_wait || !output.json {
        output.reply(submitted, |job: &SubmitReply| format!("job {}", job.job_id))?;
    }
    if no_wait { Ok(Ending::Done) } else { existing(client, &job.job_id, output).await }
}

/// Follows a job to its end, and prints the result.
pub(super) async fn existing(client: &Client, id: &str, output: Output) -> Result<Ending, CliError> {
    let reply = follow(client, id).await?;
    let job = output.reply::<JobReply>(&reply, text::summary)?;
    Ok(ending(&job))
}

/// Shows the progress of a job until it ends. Returns the last reply.
pub(in crate::cli) async fn follow(client: &Client, id: &str) -> Result<Reply, CliError> {
    let client = client.with_retries();
    let bar = out::spinner("ingesting");
    let outcome = async {
        let mut interval = MIN_POLL_INTERVAL;
        loop {
            let reply = client.get(&["jobs", id], &()).await?;
            let job: JobReply = reply.read()?;
            if job.is_final() {
                return Ok(reply);
            }
            show(&bar, &job);
            tokio::time::sleep(interval).await;
            interval = (interval * 5 / 4).min(MAX_POLL_INTERVAL);
        }
    };
    let outcome = outcome.await;
    bar.finish_and_clear();
    outcome
}

/// Prints the log lines after the cursor, and then each new line until the job ends.
pub(super) async fn logs(client: &Client, id: &str, mut cursor: i64) -> Result<Ending, CliError> {
    let client = client.with_retries();
    loop {
        // The state is read first, so that the log of a job that has ended is complete.
        let job: JobReply = client.get(&["jobs", id], &()).await?.read()?;
        let page = pages::logs(&client, id, cursor).await?;
        if page.next > cursor {
            out::line(page.logs)?;
            cursor = page.next;
        }
        if job.is_final() {
            return Ok(ending(&job));
        }
        tokio::time::sleep(MAX_POLL_INTERVAL).await;
    }
}

fn show(bar: &ProgressBar, job: &JobReply) {
    let counts = job.counts;
    let total = counts.listed.saturating_sub(counts.skipped + counts.unchanged);
    if total > 0 {
        out::set_total(bar, total);
    }
    bar.set_position(counts.done + counts.failed);
    bar.set_message(text::progress(job));
}

/// Returns the exit status of a command that waited for this job.
pub(in crate::cli) fn ending(job: &JobReply) -> Ending {
    match (JobState::from_name(&job.status), job.counts.failed) {
        (Some(JobState::Succeeded), 0) => Ending::Done,
        (Some(JobState::Succeeded), _) => Ending::DoneWithFailures,
        _ => Ending::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::job;
    use super::*;

    #[test]
    fn the_exit_code_shows_the_result_of_the_job() {
        for (status, failed, code) in [("SUCCEEDED", 0, 0), ("SUCCEEDED", 3, 3), ("FAILED", 0, 1), ("STOPPED", 2, 1)] {
            assert_eq!(ending(&job(status, failed)).code(), code, "{status}");
        }
    }
}
