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
        let text = job.message.unwrap_or_default();
        let message = first_sentence(&text);
        match job.status {
            Status::Pending => Self::Pending(message),
            Status::Running => Self::Running(message),
            Status::Stopped => Self::Stopped,
            Status::Succeeded => Self::Succeeded,
            Status::Failed => {
                // Older versions do not report the type of a failure, but use the same text.
                let error = job.error_type.unwrap_or(ErrorType::JobEntrypointCommandError);
                Self::Failed { failure: error.failure(&message), message, lines: last_lines(&text) }
            }
        }
    }
}

/// How the message ends if the service refuses every worker: the driver exits with `EX_CONFIG`.
const REFUSED: &str = "exit code 78";

/// Maximum number of output lines that are kept of a message. Ray sends ten.
const MAX_LINES: usize = 20;

/// Maximum number of characters of a message, and of a line of output.
const MAX_MESSAGE_CHARS: usize = 300;

/// Returns the first sentence of a message of Ray, without the log lines and the traceback that may follow.
fn first_sentence(message: &str) -> String {
    let first = message.split(", last available logs").next().unwrap_or_default();
    let first = first.split("Traceback (most recent call last)").next().unwrap_or_default();
    let line = first.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let plain = line.chars().filter(|letter| !letter.is_control()).take(MAX_MESSAGE_CHARS);
    plain.collect::<String>().trim_end_matches(['.', ':', ' ']).to_owned()
}

/// Returns the last lines of the driver's output that a message of Ray contains, at most [`MAX_LINES`].
fn last_lines(message: &str) -> Vec<String> {
    let output = message.split_once(", last available logs").and_then(|(_, rest)| rest.split_once('\n'));
    let lines: Vec<&str> =
        output.map_or("", |(_, output)| output).lines().filter(|line| !line.trim().is_empty()).collect();
    let skipped = lines.len().saturating_sub(MAX_LINES);
    lines[skipped..].iter().map(|line| line.chars().take(MAX_MESSAGE_CHARS).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(json: &str) -> Placed {
        serde_json::from_str::<Job>(json).unwrap().into()
    }

    fn failed(failure: PlacedFailure, message: &str) -> Placed {
        Placed::Failed { failure, message: message.to_owned(), lines: Vec::new() }
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
            assert_eq!(placed(&job), failed(expected, "m"), "{error}");
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
            assert_eq!(placed(&job), failed(expected, &format!("{message} {code}")));
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
    fn the_last_lines_of_the_output_are_kept() {
        let message =
            "Job entrypoint command failed with exit code 1, last available logs (truncated to 20,000 chars):\n";
        let output: String = (0..30).map(|number| format!("line {number}\n\n")).collect();
        let lines = last_lines(&(message.to_owned() + &output));
        assert_eq!((lines.len(), lines[0].as_str(), lines[19].as_str()), (20, "line 10", "line 29"));
        assert_eq!(last_lines("Job has not started yet.\nsecret"), Vec::<String>::new());
    }
}
