//! What a job asks of a cluster that places its workers on machines. One answers: Ray (`crate::ray`). The cluster places and
//! restarts; leases, retries and the state of the job are this service's.

use async_trait::async_trait;

use crate::domain::{JobId, Secret};

/// A cluster that runs a job's workers. Every call may be made again.
#[async_trait]
pub trait Cluster: std::fmt::Debug + Send + Sync + 'static {
    /// How many workers it is asked for.
    fn workers(&self) -> u32;

    /// That it answers and speaks as we do.
    ///
    /// # Errors
    /// [`ClusterError`]
    async fn check(&self) -> Result<ClusterVersion, ClusterError>;

    /// Has workers placed under an id that no other placement ever had. What it has already is not placed twice.
    ///
    /// # Errors
    /// [`ClusterError`]; after one it may have it or not: look.
    async fn submit(&self, placement: &Placement) -> Result<(), ClusterError>;

    /// How the placement of that id stands.
    ///
    /// # Errors
    /// [`ClusterError`]
    async fn look(&self, submission: &str) -> Result<Placed, ClusterError>;

    /// Asks for an end. One that has not begun may not hear it.
    ///
    /// # Errors
    /// [`ClusterError`]
    async fn stop(&self, submission: &str) -> Result<(), ClusterError>;

    /// The last lines that the placement wrote, at most [`MAX_LOGS`] bytes.
    ///
    /// # Errors
    /// [`ClusterError`]
    async fn logs(&self, submission: &str) -> Result<String, ClusterError>;
}

/// Bytes of a placement's log that are taken over.
pub const MAX_LOGS: usize = 256 * 1024;

/// One generation of a job's workers.
#[derive(Clone, Debug)]
pub struct Placement {
    /// As the cluster knows it.
    pub submission: String,
    /// Of the service.
    pub job: JobId,
    /// Of this generation: the one secret that workers get.
    pub token: Secret,
}

/// How a placement stands, as the cluster says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// Waits for its turn, or for room; in the cluster's words.
    Pending(String),
    /// At work.
    Running(String),
    /// Ended of its own accord.
    Succeeded,
    /// Somebody stopped it.
    Stopped,
    /// Ended otherwise.
    Failed(PlacedFailure, String),
    /// The cluster knows nothing of it: it never came, or the head was started again.
    Gone,
}

/// Whether another try would end differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlacedFailure {
    /// It could not be begun: the next would fail in the same way.
    Setup,
    /// The service refused every worker: the next would be refused as well.
    Refused,
    /// It died: the next may live.
    Died,
}

/// Of a cluster that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterVersion {
    /// Its name and version.
    pub name: String,
    /// What to know of this version, if anything.
    pub warning: Option<String>,
}

/// Why a cluster does not do what it is asked. The sentence is fit for a client; what was said is in
/// [`ClusterError::detail`], for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// Nobody answers.
    #[error("Ray cannot be reached at RAY_ADDRESS")]
    Unreachable(String),
    /// No answer in time.
    #[error("Ray at RAY_ADDRESS did not answer in time")]
    TimedOut(String),
    /// It fails.
    #[error("Ray at RAY_ADDRESS answered with an error; what it said is in the service's log")]
    Failed(String),
    /// It wants a token, and there is none.
    #[error("Ray wants a token: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH")]
    NoToken(String),
    /// It does not take the token.
    #[error("Ray does not accept our token: check RAY_AUTH_TOKEN and RAY_AUTH_TOKEN_PATH")]
    WrongToken(String),
    /// There is no reading the token.
    #[error("the token cannot be read from the file of RAY_AUTH_TOKEN_PATH")]
    TokenFile(String),
    /// It will not have this request.
    #[error("Ray refuses what it is asked; what it said is in the service's log")]
    Refused(String),
    /// Something else answers.
    #[error("what answers at RAY_ADDRESS is not Ray's dashboard")]
    NotRay(String),
    /// Another version of its API.
    #[error("Ray speaks version {0} of its Jobs API; this service speaks version 4")]
    Version(String),
}

impl ClusterError {
    /// What was said, for the log.
    pub fn detail(&self) -> &str {
        match self {
            Self::Unreachable(detail)
            | Self::TimedOut(detail)
            | Self::Failed(detail)
            | Self::NoToken(detail)
            | Self::WrongToken(detail)
            | Self::TokenFile(detail)
            | Self::Refused(detail)
            | Self::NotRay(detail)
            | Self::Version(detail) => detail,
        }
    }

    /// Whether a job that was begun waits for it to pass: it is down, or an operator can put it right meanwhile.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::TimedOut(_)
            | Self::Failed(_)
            | Self::NoToken(_)
            | Self::WrongToken(_)
            | Self::TokenFile(_)
            | Self::NotRay(_) => true,
            Self::Refused(_) | Self::Version(_) => false,
        }
    }

    /// Whether it is down, rather than unwilling: the same call may succeed later without anybody's help.
    pub fn is_down(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) | Self::Failed(_) => true,
            Self::NoToken(_)
            | Self::WrongToken(_)
            | Self::TokenFile(_)
            | Self::Refused(_)
            | Self::NotRay(_)
            | Self::Version(_) => false,
        }
    }
}
