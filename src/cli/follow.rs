//! Follows a job until it ends.

use std::time::Duration;

use indicatif::ProgressBar;

use super::client::{Client, Reply};
use super::{CliError, Ending, bars, out};
use crate::api::replies::{JobReply, PlanReply, SubmitReply};
use crate::domain::JobState;

const MIN_POLL_INTERVAL: Duration = Duration::from_millis(200);
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Prints the id of a submitted job, and does not wait for it.
pub(super) fn leave(submitted: &Reply, json: bool) -> Result<Ending, CliError> {
    let id = submitted.read::<SubmitReply>()?.job_id;
    out::line(if json { submitted.text().to_owned() } else { format!("job {id}") })?;
    Ok(Ending::Done)
}

/// Follows a submitted job to its end, and prints the result.
pub(super) async fn follow_submitted(client: &Client, submitted: &Reply, json: bool) -> Result<Ending, CliError> {
    let id = submitted.read::<SubmitReply>()?.job_id;
    if !json {
        out::line(format!("job {id}"))?;
    }
    follow_existing(client, &id, json).await
}

/// Follows an existing job to its end, and prints the result. If the command is interrupted, the job keeps running.
pub(super) async fn follow_existing(client: &Client, id: &str, json: bool) -> Result<Ending, CliError> {
    let (job, reply) = follow(client, id).await?;
    out::line(if json { reply.text().to_owned() } else { summary(&job) })?;
    Ok(ending(&job))
}

/// Follows a job to its end, also across restarts of the service.
pub(super) async fn follow(client: &Client, id: &str) -> Result<(JobReply, Reply), CliError> {
    let bar = bars::spinner("ingesting");
    let mut interval = MIN_POLL_INTERVAL;
    let outcome = loop {
        let reply = match client.get_with_retries(&["jobs", id], &()).await {
            Ok(reply) => reply,
            Err(error) => break Err(error),
        };
        match reply.read::<JobReply>() {
            Err(error) => break Err(error),
            Ok(job) => {
                show(&bar, &job);
                if job.is_final() {
                    break Ok((job, reply));
                }
            }
        }
        tokio::time::sleep(interval).await;
        interval = (interval * 5 / 4).min(MAX_POLL_INTERVAL);
    };
    bar.finish_and_clear();
    outcome
}

fn show(bar: &ProgressBar, job: &JobReply) {
    let counts = job.counts;
    let total = counts.listed.saturating_sub(counts.skipped + counts.unchanged);
    if total > 0 {
        bars::set_total(bar, total);
    }
    bar.set_position(counts.done + counts.failed);
    bar.set_message(progress_line(job));
}

/// Describes an unfinished job in one line.
fn progress_line(job: &JobReply) -> String {
    if let Some(waiting) = &job.waiting_on {
        return format!("waiting: {}", waiting.message);
    }
    if job.status == JobState::Pending.as_str() {
        return "waiting for its turn".to_owned();
    }
    let mut parts = Vec::new();
    parts.extend(job.images_per_second.map(|rate| format!("{rate:.1} images/s")));
    parts.extend(job.images_per_second_overall.map(|rate| format!("{rate:.1} images/s overall")));
    parts.push(format!("{} failed", job.counts.failed));
    parts.extend(job.eta_seconds.map(|seconds| format!("{} left", duration(seconds))));
    parts.extend(job.bottleneck.clone());
    parts.join(" · ")
}

fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

/// Describes a job in one line, and its failures in a second one.
pub(super) fn summary(job: &JobReply) -> String {
    let counts = job.counts;
    let mut text = format!(
        "{}: {} listed, {} indexed, {} failed, {} unchanged, {} skipped",
        job.status, counts.listed, counts.done, counts.failed, counts.unchanged, counts.skipped
    );
    if let Some(plan) = &job.plan {
        return dry_run(job, plan);
    }
    for more in [
        (counts.deleted > 0).then(|| format!(", {} removed", counts.deleted)),
        job.images_per_second.filter(|_| counts.done > 0).map(|rate| format!("; {rate:.1} images/s")),
        job.bottleneck.as_ref().map(|stage| format!("; {stage}")),
        job.message.as_ref().map(|message| format!("\n{message}")),
    ] {
        text.extend(more);
    }
    if counts.failed > 0 {
        text.push_str("\nlist the failed images: glimpse jobs ");
        text.push_str(&job.job_id);
        text.push_str(" --failures; index them again: --retry");
    }
    text
}

/// Describes the result of a dry run, with some keys of each kind.
fn dry_run(job: &JobReply, plan: &PlanReply) -> String {
    let mut text = format!(
        "{} (dry run): {} listed, {} unchanged, {} skipped; {} new, {} changed, {} to remove",
        job.status, job.counts.listed, job.counts.unchanged, job.counts.skipped, plan.new, plan.changed, plan.deleted
    );
    let kinds = [("new", &plan.examples.new), ("changed", &plan.examples.changed), ("removed", &plan.examples.deleted)];
    for (kind, keys) in kinds {
        text.extend(keys.iter().map(|key| format!("\n  {kind:<8} {key}")));
    }
    text.extend(job.message.as_ref().map(|message| format!("\n{message}")));
    text
}

/// Returns the exit status of a command that waited for this job.
pub(super) fn ending(job: &JobReply) -> Ending {
    match (JobState::from_name(&job.status), job.counts.failed) {
        (Some(JobState::Succeeded), 0) => Ending::Done,
        (Some(JobState::Succeeded), _) => Ending::DoneWithFailures,
        _ => Ending::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: &str, failed: u64) -> JobReply {
        let job = serde_json::json!({
            "job_id": "j", "status": status, "message": null, "executor": "local", "s3_bucket": "b", "s3_prefix": "",
            "collection": "c", "submitted_at": "t", "started_at": null, "finished_at": null,
            "counts": {"listed": 9, "skipped": 1, "unchanged": 0, "done": 5, "failed": failed, "deleted": 0, "left": 0},
            "images_per_second": 2.0, "eta_seconds": 75, "bottleneck": null, "waiting_on": null, "stages": null,
        });
        serde_json::from_value(job).unwrap()
    }

    #[test]
    fn the_exit_code_shows_the_result_of_the_job() {
        for (status, failed, code) in [("SUCCEEDED", 0, 0), ("SUCCEEDED", 3, 3), ("FAILED", 0, 1), ("STOPPED", 2, 1)] {
            assert_eq!(ending(&job(status, failed)).code(), code, "{status}");
        }
    }

    #[test]
    fn lines_contain_the_counts_and_the_next_command() {
        assert_eq!(progress_line(&job("RUNNING", 1)), "2.0 images/s · 1 failed · 1 min 15 s left");
        assert_eq!(progress_line(&job("PENDING", 0)), "waiting for its turn");
        let text = summary(&job("SUCCEEDED", 3));
        assert!(text.contains("5 indexed, 3 failed") && text.contains("glimpse jobs j --failures"), "{text}");
    }
}
