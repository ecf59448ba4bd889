//! What is told of a placement while its job runs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::domain::Timestamp;
use crate::jobs::cluster::{ClusterError, Placed};
use crate::resilience::Waiting;

/// A cluster that takes longer than this to bring workers is quoted.
const QUOTED_AFTER: Duration = Duration::from_secs(30);

/// How a placement stands, for the job's status.
#[derive(Debug, Default)]
pub(in crate::jobs) struct PlacingView(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Workers asked for.
    wanted: u32,
    /// When this generation was begun.
    since: Option<SystemTime>,
    /// The cluster's words of it.
    said: Option<String>,
    /// Since when the cluster does not answer, and how.
    trouble: Option<(SystemTime, String)>,
}

impl PlacingView {
    /// A new generation is placed.
    pub(super) fn begin(&self, wanted: u32) {
        let mut seen = self.seen();
        (seen.wanted, seen.since, seen.said) = (wanted, Some(SystemTime::now()), None);
    }

    /// What the cluster says of it, or why it says nothing.
    pub(super) fn note(&self, look: Result<&Placed, &ClusterError>) {
        let mut seen = self.seen();
        match look {
            Ok(placed) => {
                seen.trouble = None;
                seen.said = match placed {
                    Placed::Pending(said) | Placed::Running(said) | Placed::Failed(_, said) => Some(said.clone()),
                    Placed::Succeeded | Placed::Stopped | Placed::Gone => None,
                };
            }
            Err(error) => {
                let since = seen.trouble.as_ref().map_or_else(SystemTime::now, |(since, _)| *since);
                seen.trouble = Some((since, error.to_string()));
            }
        }
    }

    /// What a job waits for that has no workers, in the words of its cluster, and why workers were refused.
    pub(in crate::jobs) fn waiting(&self, waiting: Waiting, refusal: Option<String>) -> Waiting {
        let seen = self.seen();
        let late = seen.since.is_some_and(|since| since.elapsed().unwrap_or_default() >= QUOTED_AFTER);
        let why = match (&seen.trouble, &seen.said) {
            (Some((_, trouble)), _) => Some(trouble),
            (None, Some(said)) if late => Some(said),
            (None, _) => None,
        };
        let message = match (seen.wanted, why) {
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

    /// What there is to know of a job whose workers are at work.
    pub(in crate::jobs) fn warning(&self) -> Option<String> {
        let seen = self.seen();
        let (since, trouble) = seen.trouble.as_ref()?;
        Some(format!("{trouble}, since {}; the job's workers go on", Timestamp::from(*since)))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn the_cluster_is_quoted_when_it_takes_long_and_named_when_it_is_away() {
        let view = PlacingView::default();
        assert_eq!(message(&view), "waiting for the cluster");
        view.begin(4);
        view.note(Ok(&Placed::Pending("no room".into())));
        assert_eq!(message(&view), "waiting for the cluster: 0 of 4 workers");
        view.seen().since = SystemTime::now().checked_sub(QUOTED_AFTER);
        assert_eq!(message(&view), "waiting for the cluster: 0 of 4 workers: no room");
        assert_eq!(view.warning(), None);

        view.note(Err(&ClusterError::Unreachable("refused".into())));
        let said = message(&view);
        assert!(said.ends_with("0 of 4 workers: Ray cannot be reached at RAY_ADDRESS"), "{said}");
        let since = view.seen().trouble.as_ref().unwrap().0;
        view.note(Err(&ClusterError::TimedOut(String::new())));
        let warning = view.warning().unwrap();
        assert!(
            warning.starts_with("Ray at RAY_ADDRESS did not answer in time, since ") && !warning.contains("refused")
        );
        assert_eq!(view.seen().trouble.as_ref().unwrap().0, since, "the trouble goes on");
        view.note(Ok(&Placed::Running(String::new())));
        assert_eq!(view.warning(), None);
    }
}
