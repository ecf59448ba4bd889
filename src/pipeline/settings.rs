//! Settings for the concurrency and the memory of the pipeline.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

/// The settings of the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PipelineSettings {
    /// `GLIMPSE_FETCH_LANES`: objects read from the bucket at once; 16 by default.
    pub glimpse_fetch_lanes: usize,
    /// `GLIMPSE_PREPARE_THREADS`: images decoded and resized at once; 0 (default): one for each core.
    pub glimpse_prepare_threads: usize,
    /// `IMAGE_BATCH_SIZE`: images in one call of the embedding provider; 8 by default.
    pub image_batch_size: usize,
    /// `GLIMPSE_EMBED_LANES`: calls of the embedding provider at once; 0 (default): the number of cores plus one, which waits.
    pub glimpse_embed_lanes: usize,
    /// `GLIMPSE_UPSERT_LANES`: calls of the stores at once; 2 by default.
    pub glimpse_upsert_lanes: usize,
    /// `GLIMPSE_MEMORY_MB`: bytes of images in flight, encoded and decoded, over all jobs; 512 by default.
    pub glimpse_memory_mb: u64,
}

impl Default for PipelineSettings {
    fn default() -> Self {
        Self {
            glimpse_fetch_lanes: 16,
            glimpse_prepare_threads: 0,
            image_batch_size: 8,
            glimpse_embed_lanes: 0,
            glimpse_upsert_lanes: 2,
            glimpse_memory_mb: 512,
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

const MAX_LANES: usize = 1024;

impl PipelineSettings {
    /// Returns the lanes for these settings.
    pub fn lanes(&self) -> Lanes {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let value_or = |set: usize, default: usize| {
            NonZeroUsize::new(set).or(NonZeroUsize::new(default)).unwrap_or(NonZeroUsize::MIN)
        };
        Lanes {
            fetch: value_or(self.glimpse_fetch_lanes, 1),
            prepare: value_or(self.glimpse_prepare_threads, cores),
            batch: value_or(self.image_batch_size, 1),
            embed: value_or(self.glimpse_embed_lanes, cores + 1),
            upsert: value_or(self.glimpse_upsert_lanes, 1),
        }
    }

    /// Returns the limit for the bytes of images in flight.
    pub fn memory_bytes(&self) -> u64 {
        self.glimpse_memory_mb * 1024 * 1024
    }

    /// Checks the ranges of the settings. Makes no network call.
    ///
    /// # Errors
    /// Returns a sentence with the setting, its value and the allowed range.
    pub fn validate(&self) -> Result<(), String> {
        for (name, value, min) in [
            ("GLIMPSE_FETCH_LANES", self.glimpse_fetch_lanes, 1),
            ("GLIMPSE_PREPARE_THREADS", self.glimpse_prepare_threads, 0),
            ("IMAGE_BATCH_SIZE", self.image_batch_size, 1),
            ("GLIMPSE_EMBED_LANES", self.glimpse_embed_lanes, 0),
            ("GLIMPSE_UPSERT_LANES", self.glimpse_upsert_lanes, 1),
        ] {
            if !(min..=MAX_LANES).contains(&value) {
                return Err(format!("{name} is {value}; it must be between {min} and {MAX_LANES}"));
            }
        }
        if !(16..=1_048_576).contains(&self.glimpse_memory_mb) {
            return Err(format!("GLIMPSE_MEMORY_MB is {}; it must be between 16 and 1048576", self.glimpse_memory_mb));
        }
        Ok(())
    }
}
