//! The bodies of requests and replies, for clients such as the command line.

pub use super::backups::{
    BackupChunkReply, BackupChunksReply, BackupFileReply, BackupFilesReply, BackupReply, BackupRequest,
    EndedBackupReply,
};
pub use super::collections::{
    AdoptReply, AdoptRequest, CalibrationReply, CalibrationRequest, CollectionDetailsReply, CollectionReply,
    CollectionsReply, ComparisonReply, DifferenceReply, DuplicateImageReply, DuplicatesReply, ExportEnd, ExportHeader,
    ExportLine, ExportedImage, FacetValueReply, FacetsReply, FitReply, GenerationReply, GenerationsReply,
    ImportFailureReply, ImportImageRequest, ImportReply, ImportRequest, LabelledQueryRequest, MissingImageReply,
    RebuildBody, RecallReply, RecallSampleReply, RemovedImageReply, RemovedImagesReply, RestoredReply, ResultsReply,
    SwitchBody, SwitchReply, VerifyReply, VerifyRequest,
};
pub use super::embeddings::{
    EmbeddingReply, EmbeddingsReply, EmbeddingsRequest, Encoding, InputList, Modality, UsageReply, VectorReply,
};
pub use super::filter::{FilterRequest, Values};
pub use super::health::{HealthReply, ProviderReply, RayReply, ReadyReply, StatusReply, StoreReply};
pub use super::http::ErrorReply;
pub use super::images::{DeletedReply, ImageReply, ImageSummary, ImagesReply};
pub use super::jobs::{
    CountsReply, ExamplesReply, FailureReply, FailuresReply, JobReply, JobsReply, LogsReply, MaxFailures, MoveReply,
    MoveRequest, PlanReply, PruneReply, PruneRequest, RayJobReply, RaySubmitRequest, StageReply, StagesReply,
    StopReply, SubmitReply, SubmitRequest, ThroughputReply, WaitingReply, WorkerReply,
};
pub use super::keys::{AuditEntryReply, AuditReply, KeyReply, KeyRequest, KeysReply, RemovedKeyReply};
pub use super::mirrors::{
    EventTokenReply, EventsReply, MirrorReply, MirrorRequest, MirrorRunReply, MirrorsReply, RemovedMirrorReply,
    RunReply,
};
pub use super::objects::{ObjectReply, ObjectsReply, UploadResultReply};
pub use super::search::{
    Base64Bytes, CompositeQuery, DuplicateReply, RegionRequest, ResultReply, SearchReply, TermRequest, TookReply,
};
pub use super::sign_in::{SessionReply, SessionRequest};
