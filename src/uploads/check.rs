//! Checks that an upload is an image that can be decoded, before it is stored.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::UploadsError;
use crate::domain::ImageFormat;
use crate::imaging::{self, Extras, Limits, Preprocessing};
use crate::pipeline::budget::ByteBudget;
use crate::resilience::cores;

/// The bytes that decoders may allocate at the same time. An image that needs more is decoded alone.
const MAX_DECODED_BYTES: u64 = 128 * 1024 * 1024;
/// What the images are decoded for. Every preprocessing decodes the same data, so the model does not matter, which may be
/// down now.
const PREPROCESSING: Preprocessing = Preprocessing::crop(224);

/// Decodes uploads. The memory and the number of decoders are limited.
#[derive(Debug)]
pub(super) struct ImageCheck {
    limits: Limits,
    memory: ByteBudget,
    cores: Arc<Semaphore>,
}

impl ImageCheck {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, memory: ByteBudget::new(MAX_DECODED_BYTES), cores: Arc::new(Semaphore::new(cores().get())) }
    }

    /// Returns the format of an image. Fails if a job could not decode it.
    pub(super) async fn check(&self, bytes: Bytes) -> Result<ImageFormat, UploadsError> {
        let limits = self.limits;
        let size = imaging::prepared_size(&bytes, &limits, &PREPROCESSING, Extras::default())?;
        let memory = self.memory.take(size).await;
        let core = self.cores.clone().acquire_owned().await;
        let prepared = tokio::task::spawn_blocking(move || {
            // A decoder cannot be interrupted: it keeps its permits until it ends, even if the client disconnects.
            let _permits = (core, memory);
            imaging::prepare(&bytes, &limits, &PREPROCESSING).map(|prepared| prepared.meta.format)
        });
        Ok(prepared.await.map_err(|panic| {
            tracing::error!(%panic, "the decoder panicked while it read an upload");
            UploadsError::Panicked
        })??)
    }
}
