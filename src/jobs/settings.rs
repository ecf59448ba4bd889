//! The settings of jobs.

use serde::{Deserialize, Serialize};

use crate::domain::setting::check_range;
use crate::domain::{Seconds, Secret};

/// The settings of jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobSettings {
    /// `S3_LIST_LANES`: maximum number of pages of one listing that are requested at the same time; 8 by default. With 1, the
    /// keys are listed one page after the other, whatever their order is.
    #[serde(deserialize_with = "check_range::<_, _, 1, 64>")]
    pub s3_list_lanes: usize,
    /// `GLIMPSE_JOBS_AT_ONCE`: maximum number of jobs that run concurrently, counted separately for each executor
    /// (never two on one collection); 1 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 64>")]
    pub glimpse_jobs_at_once: usize,
    /// `GLIMPSE_JOB_QUEUE`: maximum number of waiting and paused jobs; one more is refused with 429; 100 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 100_000>")]
    pub glimpse_job_queue: usize,
    /// `IMAGE_BATCH_SIZE`: number of images in one lease; 10 by default. A pool holds as many leases as its pipeline
    /// needs.
    #[serde(deserialize_with = "check_range::<_, _, 1, 10_000>")]
    pub image_batch_size: usize,
    /// `GLIMPSE_LEASE_SECONDS`: a remote worker that sends no request for this many seconds loses its leases; 30 by
    /// default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 3600>")]
    pub glimpse_lease_seconds: Seconds,
    /// `GLIMPSE_WORKER_TOKEN`: the token that `glimpse worker` sends to the service: the `worker_token` of its job;
    /// empty by default.
    pub glimpse_worker_token: Secret,
    /// `GLIMPSE_JOBS_KEPT`: maximum number of ended jobs that are kept with their logs and failures; 1000 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 1_000_000>")]
    pub glimpse_jobs_kept: u64,
    /// `GLIMPSE_GENERATION_TTL`: how many hours the previous generation of a collection is kept after a switch; 168 by
    /// default. With 0, it is removed at once.
    #[serde(deserialize_with = "check_range::<_, _, 0, 87_600>")]
    pub glimpse_generation_ttl: u32,
    /// `GLIMPSE_RESUME`: whether unfinished jobs continue at the next start; `true` by default. With `false` they are
    /// stopped, except for paused jobs.
    pub glimpse_resume: bool,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            s3_list_lanes: 8,
            glimpse_jobs_at_once: 1,
            glimpse_job_queue: 100,
            image_batch_size: 10,
            glimpse_lease_seconds: Seconds::new(30),
            glimpse_worker_token: Secret::default(),
            glimpse_jobs_kept: 1_000,
            glimpse_generation_ttl: 168,
            glimpse_resume: true,
        }
    }
}
