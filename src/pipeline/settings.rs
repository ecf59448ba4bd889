//! Settings for the concurrency and the memory of the pipeline.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::domain::ByteSize;
use crate::domain::setting::check_range;
use crate::resilience::cores;

/// The settings of the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PipelineSettings {
    /// `GLIMPSE_FETCH_LANES`: objects read from the bucket at once; 16 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 1024>")]
    pub glimpse_fetch_lanes: usize,
    /// `GLIMPSE_PREPARE_THREADS`: images decoded and resized at once; 0 (default): one for each core.
    #[serde(deserialize_with = "check_range::<_, _, 0, 1024>")]
    pub glimpse_prepare_threads: usize,
    /// `IMAGE_EMBED_BATCH_SIZE`: maximum number of images in one call of the embedding provider; 8 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 1024>")]
    pub image_embed_batch_size: usize,
    /// `GLIMPSE_EMBED_LANES`: calls of the embedding provider at once; 0 (default): the number of cores plus one, which waits.
    #[serde(deserialize_with = "check_range::<_, _, 0, 1024>")]
    pub glimpse_embed_lanes: usize,
    /// `GLIMPSE_UPSERT_LANES`: calls of the stores at once; 2 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 1024>")]
    pub glimpse_upsert_lanes: usize,
    /// `GLIMPSE_MEMORY_MB`: bytes of images in flight, encoded and decoded, over all jobs; 512 by default.
    #[serde(deserialize_with = "check_range::<_, _, 16, 1_048_576>")]
    pub glimpse_memory_mb: ByteSize,
}

impl Default for PipelineSettings {
    fn default() -> Self {
        Self {
            glimpse_fetch_lanes: 16,
            glimpse_prepare_threads: 0,
            image_embed_batch_size: 8,
            glimpse_embed_lanes: 0,
            glimpse_upsert_lanes: 2,
            glimpse_memory_mb: ByteSize::megabytes(512),
        }
    }
}

/// How many units of work each stage runs at once in one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    /// Objects that are read at once.
    pub fetch: NonZeroUsize,
    /// Images that are decoded at once, over all jobs.
    pub prepare: NonZeroUsize,
    /// Images in one call of the provider.
    pub batch: NonZeroUsize,
    /// Calls of the provider at once.
    pub embed: NonZeroUsize,
    /// Calls of the stores at once.
    pub upsert: NonZeroUsize,
}

impl Lanes {
    /// Returns the number of images that keep every stage busy: those that are read, those in calls of the provider, and
    /// the next batch.
    pub fn images_in_flight(&self) -> usize {
        self.fetch.get() + self.batch.get() * (self.embed.get() + 1)
    }
}

impl PipelineSettings {
    /// Returns the lanes for these settings.
    pub fn lanes(&self) -> Lanes {
        let cores = cores().get();
        let value_or = |set: usize, default: usize| {
            NonZeroUsize::new(set).or(NonZeroUsize::new(default)).unwrap_or(NonZeroUsize::MIN)
        };
        Lanes {
            fetch: value_or(self.glimpse_fetch_lanes, 1),
            prepare: value_or(self.glimpse_prepare_threads, cores),
            batch: value_or(self.image_embed_batch_size, 1),
            embed: value_or(self.glimpse_embed_lanes, cores + 1),
            upsert: value_or(self.glimpse_upsert_lanes, 1),
        }
    }
}
