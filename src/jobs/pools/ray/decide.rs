//! What to do about a placement: how the cluster says that it stands, against how the job stands here. The job's table is the
//! only truth; what the cluster says is evidence that workers are alive, or are not.

use crate::jobs::cluster::{Placed, PlacedFailure};

/// How the job stands here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobStance {
    /// There is work; the placement is noted, and the cluster has not said yet that it has it.
    Unsent,
    /// There is work.
    Open,
    /// It was stopped, or goes on elsewhere: its workers are to leave.
    Stopping,
    /// Nothing is left to do.
    Over,
}

/// How the placement stands, without words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlacementStatus {
    Pending,
    Running,
    Succeeded,
    Stopped,
    /// It could not be begun.
    Unfit,
    /// The service refused every worker of it.
    Refused,
    Died,
    Gone,
    /// The cluster does not say.
    Hidden,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Look again in a while.
    Wait,
    /// The cluster has it: note that.
    Confirm,
    /// Send the same placement once more.
    Submit,
    /// The workers are no more and work is left: place a new generation, if there may be one.
    Again,
    /// No generation would fare better.
    Fail,
    /// Nor would another of workers like these.
    Refuse,
    /// Somebody stopped the workers on the cluster: that stops the job.
    Stop,
    /// Ask the cluster to end the workers, if they have not left by themselves.
    End,
    /// Nothing more is to be done about it.
    WriteLease,
}

/// The table of `RAY.md`, section 7.
pub(super) fn decide(ours: JobStance, sight: PlacementStatus) -> Action {
    match (ours, sight) {
        // Workers may be at work all the same: their reports are what counts.
        (JobStance::Unsent | JobStance::Open | JobStance::Stopping | JobStance::Over, PlacementStatus::Hidden)
        | (JobStance::Open, PlacementStatus::Pending | PlacementStatus::Running) => Action::Wait,
        (JobStance::Unsent, PlacementStatus::Pending | PlacementStatus::Running) => Action::Confirm,
        (JobStance::Unsent, PlacementStatus::Gone) => Action::Submit,
        (JobStance::Open, PlacementStatus::Gone)
        | (JobStance::Unsent | JobStance::Open, PlacementStatus::Succeeded | PlacementStatus::Died) => Action::Again,
        (JobStance::Unsent | JobStance::Open, PlacementStatus::Unfit) => Action::Fail,
        (JobStance::Unsent | JobStance::Open, PlacementStatus::Refused) => Action::Refuse,
        (JobStance::Unsent | JobStance::Open, PlacementStatus::Stopped) => Action::Stop,
        (JobStance::Stopping | JobStance::Over, PlacementStatus::Pending | PlacementStatus::Running) => Action::End,
        (
            JobStance::Stopping | JobStance::Over,
            PlacementStatus::Succeeded
            | PlacementStatus::Stopped
            | PlacementStatus::Unfit
            | PlacementStatus::Refused
            | PlacementStatus::Died
            | PlacementStatus::Gone,
        ) => Action::WriteLease,
    }
}

impl From<&Placed> for PlacementStatus {
    fn from(placed: &Placed) -> Self {
        match placed {
            Placed::Pending(_) => Self::Pending,
            Placed::Running(_) => Self::Running,
            Placed::Succeeded => Self::Succeeded,
            Placed::Stopped => Self::Stopped,
            Placed::Failed(PlacedFailure::Setup, _) => Self::Unfit,
            Placed::Failed(PlacedFailure::Refused, _) => Self::Refused,
            Placed::Failed(PlacedFailure::Died, _) => Self::Died,
            Placed::Gone => Self::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_the_table_says_what_it_should() {
        use Action::{Again, Confirm, End, Fail, Refuse, Stop, Submit, Wait, WriteLease};
        use PlacementStatus::{Died, Gone, Hidden, Pending, Refused, Running, Stopped, Succeeded, Unfit};
        let table = [
            // JobStance:   Unsent   Open   Stopping Over
            (Pending, [Confirm, Wait, End, End]),
            (Running, [Confirm, Wait, End, End]),
            (Succeeded, [Again, Again, WriteLease, WriteLease]),
            (Stopped, [Stop, Stop, WriteLease, WriteLease]),
            (Unfit, [Fail, Fail, WriteLease, WriteLease]),
            (Refused, [Refuse, Refuse, WriteLease, WriteLease]),
            (Died, [Again, Again, WriteLease, WriteLease]),
            (Gone, [Submit, Again, WriteLease, WriteLease]),
            (Hidden, [Wait, Wait, Wait, Wait]),
        ];
        for (sight, expected) in table {
            let got = [JobStance::Unsent, JobStance::Open, JobStance::Stopping, JobStance::Over]
                .map(|ours| decide(ours, sight));
            assert_eq!(got, expected, "{sight:?}");
        }
    }
}
