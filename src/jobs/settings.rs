//! The settings of jobs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::Secret;

/// The settings of jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobSettings {
    /// `GLIMPSE_JOBS_AT_ONCE`: maximum number of jobs that run concurrently, counted separately for each executor
    /// (never two on one collection); 1 by default.
    pub glimpse_jobs_at_once: usize,
    /// `GLIMPSE_JOB_QUEUE`: maximum number of waiting jobs; one more is refused with 429; 100 by default.
    pub glimpse_job_queue: usize,
    /// `GLIMPSE_LEASE_SIZE`: images in one lease; 64 by default.
    pub glimpse_lease_size: usize,
    /// `GLIMPSE_LEASE_SECONDS`: a remote worker that sends no request for this many seconds loses its leases; 30 by
    /// default.
    pub glimpse_lease_seconds: u64,
    /// `GLIMPSE_WORKER_TOKEN`: the token that `glimpse worker` sends to the service: the `worker_token` of its job;
    /// empty by default.
    pub glimpse_worker_token: Secret,
    /// `GLIMPSE_JOBS_KEPT`: maximum number of ended jobs that are kept with their logs and failures; 1000 by default.
    pub glimpse_jobs_kept: u64,
    /// `GLIMPSE_RESUME`: whether unfinished jobs continue at the next start; `true` by default. With `false` they are
    /// stopped.
    pub glimpse_resume: bool,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            glimpse_jobs_at_once: 1,
            glimpse_job_queue: 100,
            glimpse_lease_size: 64,
            glimpse_lease_seconds: 30,
            glimpse_worker_token: Secret::default(),
            glimpse_jobs_kept: 1_000,
            glimpse_resume: true,
        }
    }
}

impl JobSettings {
    /// Returns how long a lease of a remote worker lasts.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.glimpse_lease_seconds)
    }

    /// Checks the ranges of the settings. It makes no network call.
    ///
    /// # Errors
    /// A sentence with the setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), String> {
        for (name, value, max) in [
            ("GLIMPSE_JOBS_AT_ONCE", self.glimpse_jobs_at_once, 64),
            ("GLIMPSE_JOB_QUEUE", self.glimpse_job_queue, 100_000),
            ("GLIMPSE_LEASE_SIZE", self.glimpse_lease_size, 10_000),
        ] {
            if !(1..=max).contains(&value) {
                return Err(format!("{name} is {value}; it must be between 1 and {max}"));
            }
        }
        if !(1..=3_600).contains(&self.glimpse_lease_seconds) {
            let seconds = self.glimpse_lease_seconds;
            return Err(format!("GLIMPSE_LEASE_SECONDS is {seconds}; it must be between 1 and 3600"));
        }
        let max = 1_000_000;
        if !(1..=max).contains(&self.glimpse_jobs_kept) {
            return Err(format!("GLIMPSE_JOBS_KEPT is {}; it must be between 1 and {max}", self.glimpse_jobs_kept));
        }
        Ok(())
    }
}
