//! Why a request about mirrors is refused.

use crate::domain::{InvalidMirrorName, JobId, MirrorName};
use crate::jobs::JobsError;
use crate::ledger::LedgerError;
use crate::mirrors::events::SnsError;
use crate::mirrors::schedule::InvalidSchedule;

/// Why a request about mirrors is refused.
#[derive(Debug, thiserror::Error)]
pub enum MirrorsError {
    /// A malformed name.
    #[error(transparent)]
    Name(#[from] InvalidMirrorName),
    /// The mirror does not exist.
    #[error("the mirror `{0}` does not exist")]
    Unknown(String),
    /// There are too many mirrors.
    #[error("there are {0} mirrors, which is the maximum; remove one, or give one a shorter prefix")]
    TooMany(usize),
    /// A malformed schedule.
    #[error(transparent)]
    Schedule(#[from] InvalidSchedule),
    /// A run of the mirror has not ended.
    #[error("the run {1} of the mirror `{0}` has not ended; a mirror has one run at a time")]
    Running(MirrorName, JobId),
    /// The token is not one of a mirror.
    #[error(
        "the token is not the event token of a mirror; send it as `Authorization: Bearer TOKEN`, \
         or get a new one with `POST /mirrors/NAME/token`"
    )]
    Token,
    /// The topic is not that of a mirror.
    #[error("the topic is not the `sns_topic_arn` of a mirror; set it before the topic has its subscription")]
    Topic,
    /// A message of SNS is not accepted.
    #[error(transparent)]
    Sns(#[from] SnsError),
    /// The body of a delivery is not a JSON object.
    #[error("the body is not a JSON object with events of a bucket: {0}")]
    Malformed(String),
    /// The events could not be written to the ledger.
    #[error("the events could not be recorded; send them again: {0}")]
    NotRecorded(String),
    /// The service is stopping.
    #[error("the service is stopping and accepts no more events")]
    Draining,
    /// The job service refuses the fields of the mirror, or a run.
    #[error(transparent)]
    Jobs(#[from] JobsError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}
