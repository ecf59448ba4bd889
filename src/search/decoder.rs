//! Decodes the images of searches. The memory and the number of decoders are limited.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{QueryImage, SearchError};
use crate::imaging::{self, Extras, Limits, PreparedImage, Preprocessing};
use crate::pipeline::budget::ByteBudget;
use crate::resilience::cores;

/// The bytes that decoders may allocate at the same time. An image that needs more is decoded alone.
const MAX_DECODED_BYTES: u64 = 128 * 1024 * 1024;

/// The decoder of the search service.
#[derive(Debug)]
pub(super) struct Decoder {
    limits: Limits,
    memory: ByteBudget,
    /// One permit for each core: images of searches are decoded in parallel with those of jobs and do not queue behind
    /// them.
    cores: Arc<Semaphore>,
}

impl Decoder {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, memory: ByteBudget::new(MAX_DECODED_BYTES), cores: Arc::new(Semaphore::new(cores().get())) }
    }

    /// Decodes an image and resizes it for the model.
    pub(super) async fn prepare(
        &self,
        image: QueryImage,
        preprocessing: Preprocessing,
    ) -> Result<PreparedImage, SearchError> {
        let limits = self.limits;
        let QueryImage { bytes, region, permit, .. } = image;
        let size = match region {
            None => imaging::prepared_size(&bytes, &limits, &preprocessing, Extras::default())?,
            Some(_) => imaging::region_size(&bytes, &limits)?,
        };
        let memory = self.memory.take(size).await;
        let core = self.cores.clone().acquire_owned().await;
        let prepared = tokio::task::spawn_blocking(move || {
            // A decoder cannot be interrupted: it keeps its permits until it ends, even if the client disconnects.
            let _permits = (core, memory, permit);
            match region {
                None => imaging::prepare(&bytes, &limits, &preprocessing).map(|prepared| prepared.image),
                Some(region) => imaging::prepare_region(&bytes, &limits, &preprocessing, region),
            }
        });
        Ok(prepared.await.map_err(|panic| {
            tracing::error!(%panic, "the decoder panicked while it read the image of a search");
            SearchError::Panicked
        })??)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::pin::pin;
    use std::time::Duration;

    use bytes::Bytes;
    use futures::future::join_all;

    use super::*;
    use crate::imaging::ImagingSettings;

    const CORES: usize = 8;
    const PREPROCESSING: Preprocessing = Preprocessing::crop(224);

    fn large_png() -> Bytes {
        let low_byte = |number: u32| number.to_le_bytes()[0];
        let image =
            image::RgbImage::from_fn(2000, 1500, |x, y| image::Rgb([low_byte(x), low_byte(y), low_byte(x ^ y)]));
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, image::ImageFormat::Png).unwrap();
        png.into_inner().into()
    }

    #[tokio::test]
    async fn parallel_decoders_never_need_more_memory_than_the_budget() {
        let (limits, bytes) = (ImagingSettings::default().limits(), large_png());
        let size = imaging::prepared_size(&bytes, &limits, &PREPROCESSING, Extras::default()).unwrap();
        assert!(size >= 2000 * 1500 * 3, "{size}");
        // Two images fit, and a part of a third one. There is a core for each image.
        let decoder = Decoder { limits, memory: ByteBudget::new(size * 5 / 2), cores: Arc::new(Semaphore::new(CORES)) };
        let upload = || QueryImage { bytes: bytes.clone(), ..QueryImage::default() };
        let mut all = pin!(join_all((0..CORES).map(|_| decoder.prepare(upload(), PREPROCESSING))));
        let mut max_parallel = 0;
        loop {
            tokio::select! {
                images = &mut all => {
                    assert!(images.iter().all(Result::is_ok), "{images:?}");
                    break;
                }
                () = tokio::time::sleep(Duration::from_millis(1)) => {
                    max_parallel = max_parallel.max(CORES - decoder.cores.available_permits());
                }
            }
        }
        assert!((1..=2).contains(&max_parallel), "{max_parallel} decoders of {size} bytes ran at the same time");
    }
}
