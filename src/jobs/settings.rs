//! How many jobs, and how they are cut.

use serde::{Deserialize, Serialize};

/// The settings of jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobSettings {
    /// `GLIMPSE_JOBS_AT_ONCE`: jobs that run side by side (never two on one collection); 1 by default.
    pub glimpse_jobs_at_once: usize,
    /// `GLIMPSE_JOB_QUEUE`: jobs that may wait; one more is answered with 429; 100 by default.
    pub glimpse_job_queue: usize,
    /// `GLIMPSE_LEASE_SIZE`: images in one lease; 64 by default.
    pub glimpse_lease_size: usize,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self { glimpse_jobs_at_once: 1, glimpse_job_queue: 100, glimpse_lease_size: 64 }
    }
}

impl JobSettings {
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
        Ok(())
    }
}
