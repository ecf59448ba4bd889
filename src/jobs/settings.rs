//! How many jobs, and how they are cut.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::Secret;

/// The settings of jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobSettings {
    /// `GLIMPSE_JOBS_AT_ONCE`: jobs that run side by side (never two on one collection), those with workers
    /// elsewhere counted apart; 1 by default.
    pub glimpse_jobs_at_once: usize,
    /// `GLIMPSE_JOB_QUEUE`: jobs that may wait; one more is answered with 429; 100 by default.
    pub glimpse_job_queue: usize,
    /// `GLIMPSE_LEASE_SIZE`: images in one lease; 64 by default.
    pub glimpse_lease_size: usize,
    /// `GLIMPSE_LEASE_SECONDS`: a worker elsewhere that is not heard of for so long has lost what it had; 30 by default.
    pub glimpse_lease_seconds: u64,
    /// `GLIMPSE_WORKER_TOKEN`: what `glimpse worker` shows the service: the `worker_token` of its job; empty by default.
    pub glimpse_worker_token: Secret,
    /// `GLIMPSE_JOBS_KEPT`: finished jobs that are remembered with their logs and failures; 1000 by default.
    pub glimpse_jobs_kept: u64,
    /// `GLIMPSE_RESUME`: unfinished jobs go on at the next start; `true` by default. With `false` they are stopped then.
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
    /// How long a lease of a worker elsewhere lasts.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.glimpse_lease_seconds)
    }

    /// Checks what can be checked without asking anyone.
    ///
    /// # Errors
    /// A sentence that names the setting and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        for (name, value, most) in [
            ("GLIMPSE_JOBS_AT_ONCE", self.glimpse_jobs_at_once, 64),
            ("GLIMPSE_JOB_QUEUE", self.glimpse_job_queue, 100_000),
            ("GLIMPSE_LEASE_SIZE", self.glimpse_lease_size, 10_000),
        ] {
            if !(1..=most).contains(&value) {
                return Err(format!("{name} is {value}; it must be between 1 and {most}"));
            }
        }
        if !(1..=3_600).contains(&self.glimpse_lease_seconds) {
            let seconds = self.glimpse_lease_seconds;
            return Err(format!("GLIMPSE_LEASE_SECONDS is {seconds}; it must be between 1 and 3600"));
        }
        let most = 1_000_000;
        if !(1..=most).contains(&self.glimpse_jobs_kept) {
            return Err(format!("GLIMPSE_JOBS_KEPT is {}; it must be between 1 and {most}", self.glimpse_jobs_kept));
        }
        Ok(())
    }
}
