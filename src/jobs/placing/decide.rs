//! Decides what to do about a placement, from its status on the cluster and the state of the job in this service. The
//! ledger is authoritative; the cluster's status only shows whether workers are alive.

use crate::jobs::placing::cluster::{Placed, PlacedFailure};

/// The state of the job in this service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobPhase {
    /// There is work. The placement is recorded, but the cluster has not confirmed it.
    Unsent,
    /// There is work, and the cluster has confirmed the placement.
    Open,
    /// The job was stopped or moved to another executor, so its workers must end.
    Stopping,
    /// No work is left.
    NoWorkLeft,
}

/// The status of the placement, without the cluster's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlacementStatus {
    Pending,
    Running,
    Succeeded,
    Stopped,
    /// The placement could not be started.
    StartFailed,
    /// The service refused every worker of the placement.
    Refused,
    Died,
    Gone,
    /// The status is unknown, since the cluster does not answer.
    Unknown,
}

/// What to do about a placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Check again later.
    Wait,
    /// Record that the cluster has the placement.
    Confirm,
    /// Send the same placement again.
    Submit,
    /// Place a new generation, if one is allowed: the workers have ended and work is left.
    PlaceAgain,
    /// Fail the job, since a new generation would fail in the same way.
    Fail,
    /// Fail the job, since the service would refuse the workers of a new generation too.
    Refuse,
    /// Stop the job, since a user stopped its workers on the cluster.
    Stop,
    /// Ask the cluster to end the workers, if they have not ended by themselves.
    End,
    /// Nothing: the placement has ended.
    Done,
}

/// Returns the action. The test below has the table of all cases.
pub(crate) fn decide(job: JobPhase, placement: PlacementStatus) -> Action {
    match (job, placement) {
        // The workers may still run; the service relies on their reports.
        (JobPhase::Unsent | JobPhase::Open | JobPhase::Stopping | JobPhase::NoWorkLeft, PlacementStatus::Unknown)
        | (JobPhase::Open, PlacementStatus::Pending | PlacementStatus::Running) => Action::Wait,
        (JobPhase::Unsent, PlacementStatus::Pending | PlacementStatus::Running) => Action::Confirm,
        (JobPhase::Unsent, PlacementStatus::Gone) => Action::Submit,
        (JobPhase::Open, PlacementStatus::Gone)
        | (JobPhase::Unsent | JobPhase::Open, PlacementStatus::Succeeded | PlacementStatus::Died) => Action::PlaceAgain,
        (JobPhase::Unsent | JobPhase::Open, PlacementStatus::StartFailed) => Action::Fail,
        (JobPhase::Unsent | JobPhase::Open, PlacementStatus::Refused) => Action::Refuse,
        (JobPhase::Unsent | JobPhase::Open, PlacementStatus::Stopped) => Action::Stop,
        (JobPhase::Stopping | JobPhase::NoWorkLeft, PlacementStatus::Pending | PlacementStatus::Running) => Action::End,
        (
            JobPhase::Stopping | JobPhase::NoWorkLeft,
            PlacementStatus::Succeeded
            | PlacementStatus::Stopped
            | PlacementStatus::StartFailed
            | PlacementStatus::Refused
            | PlacementStatus::Died
            | PlacementStatus::Gone,
        ) => Action::Done,
    }
}

impl From<&Placed> for PlacementStatus {
    fn from(placed: &Placed) -> Self {
        match placed {
            Placed::Pending(_) => Self::Pending,
            Placed::Running(_) => Self::Running,
            Placed::Succeeded => Self::Succeeded,
            Placed::Stopped => Self::Stopped,
            Placed::Failed { failure: PlacedFailure::Setup, .. } => Self::StartFailed,
            Placed::Failed { failure: PlacedFailure::Refused, .. } => Self::Refused,
            Placed::Failed { failure: PlacedFailure::Died, .. } => Self::Died,
            Placed::Gone => Self::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_the_table_gives_the_expected_action() {
        use Action::{Confirm, Done, End, Fail, PlaceAgain, Refuse, Stop, Submit, Wait};
        use PlacementStatus::{Died, Gone, Pending, Refused, Running, StartFailed, Stopped, Succeeded, Unknown};
        let table = [
            // JobPhase:   Unsent   Open   Stopping NoWorkLeft
            (Pending, [Confirm, Wait, End, End]),
            (Running, [Confirm, Wait, End, End]),
            (Succeeded, [PlaceAgain, PlaceAgain, Done, Done]),
            (Stopped, [Stop, Stop, Done, Done]),
            (StartFailed, [Fail, Fail, Done, Done]),
            (Refused, [Refuse, Refuse, Done, Done]),
            (Died, [PlaceAgain, PlaceAgain, Done, Done]),
            (Gone, [Submit, PlaceAgain, Done, Done]),
            (Unknown, [Wait, Wait, Wait, Wait]),
        ];
        for (placement, expected) in table {
            let actions = [JobPhase::Unsent, JobPhase::Open, JobPhase::Stopping, JobPhase::NoWorkLeft]
                .map(|job| decide(job, placement));
            assert_eq!(actions, expected, "{placement:?}");
        }
    }
}
