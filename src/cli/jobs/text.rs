//! Jobs as text.

use crate::api::replies::{FailuresReply, JobReply, JobsReply, MoveReply, PlanReply};
use crate::cli::out;
use crate::config::Settings;
use crate::domain::JobState;

pub(super) fn list(reply: &JobsReply) -> String {
    if reply.jobs.is_empty() {
        return "there are no jobs; `glimpse ingest` submits one".to_owned();
    }
    let mut table = out::table(&["job", "status", "bucket and prefix", "collection", "indexed", "failed", "submitted"]);
    for job in &reply.jobs {
        table.add_row([
            job.job_id.clone().into(),
            status(job).into(),
            format!("{}/{}", job.s3_bucket, job.s3_prefix).into(),
            match job.generation {
                Some(number) => format!("{}, generation {number}", job.collection).into(),
                None => job.collection.clone().into(),
            },
            out::number(job.counts.done),
            out::number(job.counts.failed),
            out::to_the_second(&job.submitted_at).into(),
        ]);
    }
    match &reply.next {
        Some(next) => format!("{table}\nolder jobs: glimpse jobs list --cursor {next}"),
        None => table.to_string(),
    }
}

/// Returns the state of a job, and what a job that has begun waits for.
fn status(job: &JobReply) -> String {
    match &job.waiting_on {
        Some(waiting) if job.status == JobState::Running.as_str() => {
            format!("{}, waiting ({})", job.status, waiting.dependency)
        }
        Some(_) | None => job.status.clone(),
    }
}

pub(super) fn failures(id: &str, reply: &FailuresReply) -> String {
    if reply.failures.is_empty() {
        return if reply.total == 0 { "no image failed" } else { "there are no more failures" }.to_owned();
    }
    let mut table = out::table(&["key", "class", "attempts", "message"]);
    for failure in &reply.failures {
        let (key, class, message) = (&failure.s3_key, &failure.class, &failure.message);
        table.add_row([key.into(), class.into(), out::number(failure.attempts), message.into()]);
    }
    match reply.next {
        Some(next) => format!("{table}\n{} failed; next page: glimpse jobs failures {id} --cursor {next}", reply.total),
        None => format!("{table}\n{} failed", reply.total),
    }
}

/// Returns the state of a job, and what continues it if it is paused.
pub(super) fn state(job: &JobReply) -> String {
    let text = format!("job {}: {}", job.job_id, job.status);
    match pause(job) {
        Some(pause) => format!("{text}\n{pause}"),
        None => text,
    }
}

fn pause(job: &JobReply) -> Option<String> {
    let since = out::to_the_second(job.paused_at.as_ref()?);
    Some(format!("paused since {since}; continue it with: glimpse jobs resume {}", job.job_id))
}

/// Describes a job in several lines.
pub(super) fn details(job: &JobReply) -> String {
    let dash = || "-".to_owned();
    let mut text = format!(
        "{}\nfrom {}/{} into the collection `{}`, executor `{}`\nsubmitted {}, started {}, finished {}; {} images left",
        summary(job),
        job.s3_bucket,
        job.s3_prefix,
        job.collection,
        job.executor,
        out::to_the_second(&job.submitted_at),
        job.started_at.as_deref().map_or_else(dash, out::to_the_second),
        job.finished_at.as_deref().map_or_else(dash, out::to_the_second),
        job.counts.left
    );
    text.extend(job.generation.map(|number| format!("\nrebuild: it builds generation {number}")));
    text.extend(job.mirror.as_ref().map(|mirror| format!("\nrun of the mirror {mirror}")));
    text.extend(job.retry_of.as_ref().map(|id| format!("\nretries the job {id}")));
    text.extend(job.eta_seconds.map(|seconds| format!("\n{} left", duration(seconds))));
    text.extend(pause(job).map(|pause| format!("\n{pause}")));
    text.extend(job.waiting_on.as_ref().map(|waiting| format!("\nwaiting: {}", waiting.message)));
    if !job.workers.is_empty() {
        let mut table = out::table(&["worker", "machine", "leased", "indexed", "images/s", "last request"]);
        for worker in &job.workers {
            table.add_row([
                worker.name.clone().into(),
                worker.node.clone().unwrap_or_else(dash).into(),
                out::number(worker.leased),
                out::number(worker.done),
                out::number(format!("{:.1}", worker.images_per_second)),
                out::to_the_second(&worker.last_seen).into(),
            ]);
        }
        text.extend([format!("\n{table}")]);
    }
    text
}

/// Describes a job in one line, and its failures in a second one.
pub(in crate::cli) fn summary(job: &JobReply) -> String {
    let counts = job.counts;
    if let Some(plan) = &job.plan {
        return dry_run(job, plan);
    }
    let mut text = format!(
        "{}: {} listed, {} indexed, {} failed, {} unchanged, {} skipped",
        job.status, counts.listed, counts.done, counts.failed, counts.unchanged, counts.skipped
    );
    for more in [
        (counts.deleted > 0).then(|| format!(", {} removed", counts.deleted)),
        job.images_per_second.filter(|_| counts.done > 0).map(|rate| format!("; {rate:.1} images/s")),
        job.bottleneck.as_ref().map(|stage| format!("; {stage}")),
        job.message.as_ref().map(|message| format!("\n{message}")),
        (counts.failed > 0).then(|| {
            let id = &job.job_id;
            format!("\nlist the failed images: glimpse jobs failures {id}; index them again: glimpse jobs retry {id}")
        }),
    ] {
        text.extend(more);
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

/// Describes the progress of an unfinished job in one line.
pub(super) fn progress(job: &JobReply) -> String {
    if let Some(pause) = pause(job) {
        return pause;
    }
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

/// Describes a moved job, and how to start its workers. The service sends their token only once.
pub(super) fn moved(reply: &MoveReply, settings: &Settings) -> String {
    let MoveReply { job_id, executor, worker_token } = reply;
    let text = format!("job {job_id} continues with the executor `{executor}`");
    match worker_token {
        Some(token) => format!("{text}\n{}", worker_command(token, settings, job_id)),
        None => text,
    }
}

/// Returns the command line that starts a worker of a job.
pub(super) fn worker_command(token: &str, settings: &Settings, job: &str) -> String {
    let url = settings.service_url();
    format!("GLIMPSE_WORKER_TOKEN={token} glimpse worker --service {url} --job {job}")
}

fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::cli::jobs) fn job(status: &str, failed: u64) -> JobReply {
        let job = serde_json::json!({
            "job_id": "j", "status": status, "message": null, "executor": "local", "s3_bucket": "b", "s3_prefix": "",
            "collection": "c", "submitted_at": "t", "started_at": null, "finished_at": null,
            "counts": {"listed": 9, "skipped": 1, "unchanged": 0, "done": 5, "failed": failed, "deleted": 0, "left": 0},
            "images_per_second": 2.0, "eta_seconds": 75, "bottleneck": null, "waiting_on": null, "stages": null,
        });
        serde_json::from_value(job).unwrap()
    }

    #[test]
    fn lines_contain_the_counts_and_the_next_command() {
        assert_eq!(progress(&job("RUNNING", 1)), "2.0 images/s · 1 failed · 1 min 15 s left");
        assert_eq!(progress(&job("PENDING", 0)), "waiting for its turn");
        let paused = JobReply { paused_at: Some("2026-01-02T03:04:05.678Z".to_owned()), ..job("PAUSED", 0) };
        let line = "paused since 2026-01-02T03:04:05Z; continue it with: glimpse jobs resume j";
        assert_eq!(progress(&paused), line);
        assert_eq!(state(&paused), format!("job j: PAUSED\n{line}"));
        assert!(details(&paused).ends_with(line), "{}", details(&paused));
        assert_eq!(state(&job("RUNNING", 0)), "job j: RUNNING");
        let mut waiting = serde_json::to_value(job("RUNNING", 0)).unwrap();
        waiting["waiting_on"] =
            serde_json::json!({"dependency": "disk", "message": "the disk is full", "since": "t", "next_try": null});
        let waiting: JobReply = serde_json::from_value(waiting).unwrap();
        assert_eq!(status(&waiting), "RUNNING, waiting (disk)");
        assert_eq!(status(&job("RUNNING", 0)), "RUNNING");
        let text = summary(&job("SUCCEEDED", 3));
        assert!(text.contains("5 indexed, 3 failed") && text.contains("glimpse jobs failures j"), "{text}");
    }
}
