//! The status of a placement, for the status of its job.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use crate::domain::Timestamp;
use crate::jobs::placing::cluster::{ClusterError, Placed};
use crate::lock::lock;
use crate::resilience::Waiting;

/// If the cluster takes longer than this to start workers, the status includes its message.
const MESSAGE_SHOWN_AFTER: Duration = Duration::from_secs(30);

/// The status of a placement, for the job's status.
#[derive(Debug, Default)]
pub(crate) struct PlacingView(Mutex<ClusterStatus>);

#[derive(Debug, Default)]
struct ClusterStatus {
    /// Number of workers that the cluster was asked for.
    wanted: u32,
    /// When this generation was placed.
    since: Option<SystemTime>,
    /// The cluster's message about this generation.
    message: Option<String>,
    /// Since when the cluster does not answer, and the error.
    failure: Option<(SystemTime, String)>,
}

impl PlacingView {
    /// Records that a new generation is placed.
    pub(crate) fn begin(&self, wanted: u32) {
        let mut status = lock(&self.0);
        (status.wanted, status.since, status.message) = (wanted, Some(SystemTime::now()), None);
    }

    /// Records the cluster's status of the placement, or the error of the request.
    pub(crate) fn record_reply(&self, reply: Result<&Placed, &ClusterError>) {
        let mut status = lock(&self.0);
        match reply {
            Ok(placed) => {
                status.failure = None;
                status.message = match placed {
                    Placed::Pending(message) | Placed::Running(message) | Placed::Failed { message, .. } => {
                        Some(message.clone())
                    }
                    Placed::Succeeded | Placed::Stopped | Placed::Gone => None,
                };
            }
            Err(error) => {
                let since = status.failure.as_ref().map_or_else(SystemTime::now, |(since, _)| *since);
                status.failure = Some((since, error.to_string()));
            }
        }
    }

    /// Adds the cluster's message, and the reason why workers were refused, to the status of a job that waits for
    /// workers.
    pub(crate) fn waiting(&self, waiting: Waiting, refusal: Option<String>) -> Waiting {
        let status = lock(&self.0);
        let late = status.since.is_some_and(|since| since.elapsed().unwrap_or_default() >= MESSAGE_SHOWN_AFTER);
        let why = match (&status.failure, &status.message) {
            (Some((_, failure)), _) => Some(failure),
            (None, Some(message)) if late => Some(message),
            (None, _) => None,
        };
        let message = match (status.wanted, why) {
            (0, None) => "waiting for the cluster".to_owned(),
            (0, Some(why)) => format!("waiting for the cluster: {why}"),
            (wanted, None) => format!("waiting for the cluster: 0 of {wanted} workers"),
            (wanted, Some(why)) => format!("waiting for the cluster: 0 of {wanted} workers: {why}"),
        };
        let message = match refusal {
            Some(refusal) => format!("{message}; {refusal}"),
            None => message,
        };
        Waiting { message, ..waiting }
    }

    /// Returns a warning about a job whose workers run, if the cluster does not answer.
    pub(crate) fn warning(&self) -> Option<String> {
        let status = lock(&self.0);
        let (since, failure) = status.failure.as_ref()?;
        Some(format!("{failure}, since {}; the job's workers continue", Timestamp::from(*since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(view: &PlacingView) -> String {
        let now = SystemTime::now();
        let none =
            Waiting { dependency: "workers".into(), since: now, next_try: None, message: "none".into(), full: false };
        view.waiting(none, None).message
    }

    #[test]
    fn the_cluster_s_message_is_shown_after_a_delay_and_errors_at_once() {
        let view = PlacingView::default();
        assert_eq!(message(&view), "waiting for the cluster");
        view.begin(4);
        view.record_reply(Ok(&Placed::Pending("no room".into())));
        assert_eq!(message(&view), "waiting for the cluster: 0 of 4 workers");
        lock(&view.0).since = SystemTime::now().checked_sub(MESSAGE_SHOWN_AFTER);
        assert_eq!(message(&view), "waiting for the cluster: 0 of 4 workers: no room");
        assert_eq!(view.warning(), None);

        view.record_reply(Err(&ClusterError::Unreachable("refused".into())));
        let message = message(&view);
        assert!(message.ends_with("0 of 4 workers: Ray cannot be reached at RAY_ADDRESS"), "{message}");
        let since = lock(&view.0).failure.as_ref().unwrap().0;
        view.record_reply(Err(&ClusterError::TimedOut(String::new())));
        let warning = view.warning().unwrap();
        assert!(
            warning.starts_with("Ray at RAY_ADDRESS did not answer in time, since ") && !warning.contains("refused")
        );
        assert_eq!(lock(&view.0).failure.as_ref().unwrap().0, since, "the start of the failure is kept");
        view.record_reply(Ok(&Placed::Running(String::new())));
        assert_eq!(view.warning(), None);
    }
}
