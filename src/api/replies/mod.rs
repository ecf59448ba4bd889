//! The bodies of requests and replies, apart from their handlers: the command line, a client of this API, reads the same
//! types.

mod images;
mod jobs;
mod verify;

pub use super::error::ErrorReply;
pub use images::{
    CollectionReply, CollectionsReply, DeletedReply, HealthReply, ImageReply, ReadyReply, ResultReply, SearchReply,
    TookReply,
};
pub use jobs::{
    CountsReply, ExamplesReply, FailureReply, FailuresReply, JobReply, JobsReply, LogsReply, MaxFailures, PlanReply,
    PruneReply, PruneRequest, StageReply, StagesReply, StopReply, SubmitReply, SubmitRequest, WaitingReply,
};
pub use verify::{DifferenceReply, VerifyReply, VerifyRequest};
