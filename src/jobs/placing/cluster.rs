//! The port for a cluster that places the workers of a job on machines. Its one implementation is Ray (`crate::ray`).
//! The cluster places and restarts workers; this service keeps leases, retries and the state of the job.

use async_trait::async_trait;

use crate::domain::{JobId, Secret};

/// A cluster that runs a job's workers. Every call may be repeated.
#[async_trait]
pub trait Cluster: std::fmt::Debug + Send + Sync + 'static {
    /// Returns how many workers the cluster is asked for.
    fn workers(&self) -> u32;

    /// Checks that the cluster answers and that its API has the version that this service uses.
    ///
    /// # Errors
    /// [`ClusterError`]
    async fn check(&self) -> Result<ClusterVersion, ClusterError>;

    /// Places workers under an id that no other placement ever had. Sending the same placement again does not place it
    /// twice.
    ///
    /// # Errors
    /// [`ClusterError`]. After an error the cluster may have the placement or not; [`Cluster::status`] tells which.
    async fn submit(&self, placement: &Placement) -> Result<(), ClusterError>;

    /// Returns the status of the placement with this id.
    ///
    /// # Errors
    /// [`ClusterError`]
    async fn status(&self, submission: &str) -> Result<Placed, ClusterError>;

    /// Asks the cluster to stop the placement. A placement that has not started may ignore this.
    ///
    /// # Errors
    /// [`ClusterError`]
    async fn stop(&self, submission: &str) -> Result<(), ClusterError>;
}

/// One generation of a job's workers.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Its id on the cluster.
    pub submission: String,
    /// The job that its workers work on.
    pub job: JobId,
    /// The token of this generation, which is the only secret that its workers get.
    pub token: Secret,
}

/// The status of a placement, as the cluster reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// Waits for its turn or for free resources; with the cluster's message.
    Pending(String),
    /// Runs; with the cluster's message.
    Running(String),
    /// Ended by itself with success.
    Succeeded,
    /// A user of the cluster stopped it.
    Stopped,
    /// Ended with an error.
    Failed {
        /// Whether a new one may succeed.
        failure: PlacedFailure,
        /// The cluster's message.
        message: String,
        /// The last lines of its output.
        lines: Vec<String>,
    },
    /// The cluster does not know it: the request never arrived, or the head node was restarted.
    Gone,
}

/// Why a placement failed, which decides whether a new one may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlacedFailure {
    /// It could not be started. The next one would fail in the same way.
    Setup,
    /// The service refused every worker. The next ones would be refused too.
    Refused,
    /// It died. The next one may succeed.
    Died,
}

/// The version of a cluster that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterVersion {
    /// Its name and version.
    pub name: String,
    /// A warning about this version, if there is one.
    pub warning: Option<String>,
}

/// Why a call to a cluster failed. The error's text is safe to show to a client; [`ClusterError::detail`] has the
/// cluster's own message, for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// The cluster does not answer.
    #[error("Ray cannot be reached at RAY_ADDRESS")]
    Unreachable(String),
    /// The cluster did not answer in time.
    #[error("Ray at RAY_ADDRESS did not answer in time")]
    TimedOut(String),
    /// The cluster answered with an error.
    #[error("Ray at RAY_ADDRESS answered with an error; its message is in the service's log")]
    Failed(String),
    /// The cluster requires a token, and none is set.
    #[error("Ray requires a token: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH")]
    NoToken(String),
    /// The cluster does not accept the token.
    #[error("Ray does not accept the service's token: check RAY_AUTH_TOKEN and RAY_AUTH_TOKEN_PATH")]
    WrongToken(String),
    /// The file of the token cannot be read.
    #[error("the token cannot be read from the file that RAY_AUTH_TOKEN_PATH names")]
    TokenFile(String),
    /// The cluster refuses this request.
    #[error("Ray refuses the request; its message is in the service's log")]
    Refused(String),
    /// The server at the address is not Ray.
    #[error("the server at RAY_ADDRESS is not Ray's dashboard")]
    NotRay(String),
    /// The cluster's API has another version.
    #[error("Ray has version {0} of its Jobs API; this service needs version 4")]
    Version(String),
}

impl ClusterError {
    /// Returns the cluster's own message, for the log.
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

    /// Returns whether a running job waits until the error goes away: the cluster is down, or an operator can fix it.
    pub fn is_temporary(&self) -> bool {
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

    /// Returns whether the cluster is down, so that the same call may succeed later without any change.
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
