//! The bodies of requests and replies. They are separate from the handlers, because the command line uses the same
//! types as a client.

mod failures;
mod images;
mod jobs;
mod number;
mod status;
mod submit;
mod verify;

pub use super::error::ErrorReply;
pub use failures::{FailureReply, FailuresReply};
pub(super) use images::Asked;
pub use images::{
    CollectionReply, CollectionsReply, DeletedReply, HealthReply, ImageReply, ReadyReply, ResultReply, SearchReply,
    TookReply,
};
pub use jobs::{
    CountsReply, ExamplesReply, JobReply, JobsReply, LogsReply, PlanReply, RayJobReply, StageReply, StagesReply,
    StopReply, WaitingReply,
};
pub use status::{ProviderReply, RayReply, SessionReply, SessionRequest, StatusReply, StoreReply};
pub use submit::{
    MaxFailures, MoveReply, MoveRequest, PruneReply, PruneRequest, RaySubmitRequest, SubmitReply, SubmitRequest,
};
pub use verify::{DifferenceReply, VerifyReply, VerifyRequest};
