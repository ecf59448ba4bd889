//! What a worker needs of its environment.

use crate::domain::{Endpoint, Secret, TrustedFiles};

/// The job and the identity of a worker.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// The URL of the service.
    pub url: Endpoint,
    /// The id of the job.
    pub job: String,
    /// The name of the worker, unique within the job.
    pub name: String,
    /// The worker token of the job.
    pub token: Secret,
    /// The name of the machine of the worker, if known.
    pub node: Option<String>,
    /// Files with certificates that the worker trusts, if the service has TLS.
    pub trusted: TrustedFiles,
}
