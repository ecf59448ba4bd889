//! The JSON bodies of Ray's Jobs REST API, version 4, as in Ray 2.60. The fields were the same in 2.9 to 2.52.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::jobs::placing::cluster::{Placed, PlacedFailure};

/// `GET /api/version`
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    /// The version of the API.
    pub(super) version: String,
    /// The version of Ray.
    pub(super) ray_version: String,
}

/// `POST /api/jobs/`
#[derive(Debug, Serialize)]
pub(super) struct Submit<'a> {
    /// A shell command. It contains only constants and validated settings.
    pub(super) entrypoint: &'a str,
    pub(super) submission_id: &'a str,
    pub(super) metadata: BTreeMap<&'static str, String>,
    pub(super) runtime_env: RuntimeEnv,
}

/// The environment of the driver and its tasks.
#[derive(Debug, Serialize)]
pub(super) struct RuntimeEnv {
    pub(super) env_vars: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) working_dir: Option<String>,
}

/// `GET /api/jobs/{id}`
#[derive(Debug, Deserialize)]
pub(super) struct Job {
    status: Status,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    error_type: Option<ErrorType>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Pending,
    Running,
    Stopped,
    Succeeded,
    Failed,
}

/// Why a job failed. Older versions of Ray do not report it; newer ones may report other values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ErrorType {
    RuntimeEnvSetupFailure,
    JobSupervisorActorStartTimeout,
    JobSupervisorActorStartFailure,
    JobSupervisorActorUnschedulable,
    JobSupervisorActorUnknownFailure,
    JobSupervisorActorDied,
    JobEntrypointCommandStartError,
    JobEntrypointCommandError,
    #[serde(other)]
    Other,
}

impl ErrorType {
    fn failure(self, message: &str) -> PlacedFailure {
        match self {
            Self::JobEntrypointCommandError if message.ends_with(REFUSED) => PlacedFailure::Refused,
            Self::RuntimeEnvSetupFailure | Self::JobEntrypointCommandStartError => PlacedFailure::Setup,
            Self::JobSupervisorActorStartTimeout
            | Self::JobSupervisorActorStartFailure
            | Self::JobSupervisorActorUnschedulable
            | Self::JobSupervisorActorUnknownFailure
            | Self::JobSupervisorActorDied
            | Self::JobEntrypointCommandError
            | Self::Other => PlacedFailure::Died,
        }
    }
}

impl From<Job> for Placed {
    fn from(job: Job) -> Self {
        let message = first_sentence(job.message.as_deref().unwrap_or_default());
        match job.status {
            Status::Pending => Self::Pending(message),
            Status::Running => Self::Running(message),
            Status::Stopped => Self::Stopped,
            Status::Succeeded => Self::Succeeded,
            Status::Failed => {
                // Older versions do not report the type of a failure, but use the same text.
                let error = job.error_type.unwrap_or(ErrorType::JobEntrypointCommandError);
                Self::Failed(error.failure(&message), message)
            }
        }
    }
}

/// How the message ends if the service refuses every worker: the driver exits with `EX_CONFIG`.
const REFUSED: &str = "exit code 78";

/// Maximum number of characters of a message.
const MAX_MESSAGE_CHARS: usize = 300;

/// Returns the first sentence of a message of Ray, without the log lines and the traceback that may follow.
fn first_sentence(message: &str) -> String {
    let first = message.split(", last available logs").next().unwrap_or_default();
    let first = first.split("Traceback (most recent call last)").next().unwrap_or_default();
    let line = first.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let plain = line.chars().filter(|letter| !letter.is_control()).take(MAX_MESSAGE_CHARS);
    plain.collect::<String>().trim_end_matches(['.', ':', ' ']).to_owned()
}

/// `GET /api/jobs/{id}/logs`
#[derive(Debug, Deserialize)]
struct Logs {
    logs: String,
}

/// Parses a reply with a log, of which only the end was kept. Returns at most `max` bytes, from the first whole line
/// on, or `None` if the reply has no log.
pub(super) fn logs(body: &[u8], max: usize) -> Option<String> {
    let whole = serde_json::from_slice(body).map(|Logs { logs }| logs).ok();
    let logs = whole.or_else(|| {
        let begin = first_line(body)?;
        let rest = std::str::from_utf8(body.get(begin..)?).ok()?;
        serde_json::from_str(&format!("{{\"logs\":\"{rest}")).map(|Logs { logs }| logs).ok()
    })?;
    let cut = (0..=max.min(logs.len())).rev().map(|kept| logs.len() - kept).find(|at| logs.is_char_boundary(*at));
    let kept = &logs[cut.unwrap_or_default()..];
    if kept.len() == logs.len() {
        return Some(logs);
    }
    // The first line is incomplete.
    Some(kept.split_once('\n').map_or("", |(_, rest)| rest).to_owned())
}

/// Returns the position of the first whole line in the end of a JSON string: after an `n` with an odd number of `\`
/// before it. All of these `\` must be in the text, or the number would be uncertain.
fn first_line(text: &[u8]) -> Option<usize> {
    let mut slashes = 0;
    let mut sure = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'\\' => slashes += 1,
            b'n' if sure && slashes % 2 == 1 => return Some(at + 1),
            _ => (slashes, sure) = (0, true),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(json: &str) -> Placed {
        serde_json::from_str::<Job>(json).unwrap().into()
    }

    #[test]
    fn every_status_and_every_type_of_error_is_parsed() {
        let pending =
            r#"{"type": "SUBMISSION", "status": "PENDING", "message": "Job has not started yet.", "error_type": null}"#;
        assert_eq!(placed(pending), Placed::Pending("Job has not started yet".into()));
        assert_eq!(placed(r#"{"status": "RUNNING"}"#), Placed::Running(String::new()));
        assert_eq!(placed(r#"{"status": "SUCCEEDED", "message": null}"#), Placed::Succeeded);
        assert_eq!(placed(r#"{"status": "STOPPED", "message": "x"}"#), Placed::Stopped);
        for (error, expected) in [
            ("RUNTIME_ENV_SETUP_FAILURE", PlacedFailure::Setup),
            ("JOB_ENTRYPOINT_COMMAND_START_ERROR", PlacedFailure::Setup),
            ("JOB_SUPERVISOR_ACTOR_START_TIMEOUT", PlacedFailure::Died),
            ("JOB_SUPERVISOR_ACTOR_START_FAILURE", PlacedFailure::Died),
            ("JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE", PlacedFailure::Died),
            ("JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE", PlacedFailure::Died),
            ("JOB_SUPERVISOR_ACTOR_DIED", PlacedFailure::Died),
            ("JOB_ENTRYPOINT_COMMAND_ERROR", PlacedFailure::Died),
            ("SOMETHING_NEW", PlacedFailure::Died),
        ] {
            let job = format!(r#"{{"status": "FAILED", "message": "m", "error_type": "{error}"}}"#);
            assert_eq!(placed(&job), Placed::Failed(expected, "m".into()), "{error}");
            let other = matches!(serde_json::from_str(&format!("\"{error}\"")).unwrap(), ErrorType::Other);
            assert_eq!(other, error == "SOMETHING_NEW", "{error} has its own variant");
        }
        assert!(serde_json::from_str::<Job>(r#"{"status": "ODD"}"#).is_err());
        let message = "Job entrypoint command failed with exit code";
        for (code, error, expected) in [
            (78, r#""JOB_ENTRYPOINT_COMMAND_ERROR""#, PlacedFailure::Refused),
            (78, "null", PlacedFailure::Refused),
            (7, "null", PlacedFailure::Died),
            (178, r#""JOB_ENTRYPOINT_COMMAND_ERROR""#, PlacedFailure::Died),
            (78, r#""JOB_SUPERVISOR_ACTOR_DIED""#, PlacedFailure::Died),
        ] {
            let job = format!(
                r#"{{"status": "FAILED", "message": "{message} {code}, last available logs: x", "error_type": {error}}}"#
            );
            assert_eq!(placed(&job), Placed::Failed(expected, format!("{message} {code}")));
        }
    }

    #[test]
    fn only_the_first_sentence_of_a_long_message_is_kept() {
        let long =
            "Job entrypoint command failed with exit code 7, last available logs (truncated to 20,000 chars):\nsecret";
        assert_eq!(first_sentence(long), "Job entrypoint command failed with exit code 7");
        assert_eq!(first_sentence("\nFailed: Traceback (most recent call last):\n  File"), "Failed");
        assert_eq!(first_sentence(&"x".repeat(1_000)).len(), MAX_MESSAGE_CHARS);
    }

    #[test]
    fn the_end_of_a_long_log_begins_with_a_whole_line() {
        let log = "one \\n no line\ntwo \"quoted\"\nthree ü\n";
        let body = serde_json::to_vec(&serde_json::json!({ "logs": log })).unwrap();
        assert_eq!(logs(&body, 1_000).as_deref(), Some(log));
        assert_eq!(logs(&body, 14).as_deref(), Some("three ü\n"));
        for cut in 1..body.len() - 30 {
            let kept = logs(&body[cut..], 1_000).unwrap_or_default();
            assert!(kept.is_empty() || log.ends_with(&format!("\n{kept}")), "{cut}: {kept:?}");
        }
        assert_eq!(logs(&body[20..], 1_000).as_deref(), Some("two \"quoted\"\nthree ü\n"));
        assert_eq!(logs(b"Traceback", 10), None);
    }
}
