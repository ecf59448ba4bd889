//! How well and how fast a provider works on the demo images, for `glimpse models check`.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::calibrated::{Calibrated, CalibrationError, embed_texts};
use super::inputs;
use super::logistic::count;
use super::vectors::{Vectors, dot};
use crate::domain::Space;
use crate::embed::ImageEmbeddingProvider;
use crate::imaging::PreparedImage;

/// Shortest time of a measurement of speed.
const MIN_TIME: Duration = Duration::from_secs(1);
/// Images in one measured call, for each thread of the provider. With fewer, some threads have nothing to do.
const IMAGES_PER_THREAD: usize = 4;

/// The results of a provider on the demo images and their known queries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DemoCheck {
    /// Number of known queries that were embedded.
    pub queries: usize,
    /// Number of queries whose first hit is an answer.
    pub found_first: usize,
    /// Number of queries with an answer among the first five hits.
    pub found_in_five: usize,
    /// The number of queries whose first hit is an answer if the order of the hits is random.
    pub chance: f64,
    /// Whether the calibration finds that texts distinguish images, so that searches by text have a relevance.
    pub is_text_usable: bool,
    /// The same for searches by image.
    pub is_image_usable: bool,
    /// Speed with calls of many images.
    pub images_per_second: f64,
    /// Speed with one text after the other, as in searches.
    pub texts_per_second: f64,
}

impl DemoCheck {
    /// Calibrates the provider and measures recall and speed. `space` is the space of the provider.
    ///
    /// # Errors
    /// A message if a call of the provider fails.
    pub async fn run(provider: &dyn ImageEmbeddingProvider, space: &Space) -> Result<Self, String> {
        Self::measure(provider, space).await.map_err(|error| error.to_string())
    }

    async fn measure(provider: &dyn ImageEmbeddingProvider, space: &Space) -> Result<Self, CalibrationError> {
        let calibrated = Calibrated::measure(provider, space).await?;
        let (started, mut texts) = (Instant::now(), 0);
        let (queries, answers) = loop {
            let known = inputs::known_queries().into_iter().map(|query| (query.text, query.answers)).collect();
            let mut queries = Vectors::new(space.dimension);
            let answers = embed_texts(provider, known, &mut queries).await?;
            texts += queries.len();
            if started.elapsed() >= MIN_TIME {
                break (queries, answers);
            }
        };
        let texts_per_second = count(texts) / started.elapsed().as_secs_f64();
        let images = count(calibrated.images.len());
        let ranks: Vec<_> =
            queries.iter().zip(&answers).filter_map(|(query, right)| rank(&calibrated.images, query, right)).collect();
        Ok(Self {
            queries: queries.len(),
            found_first: ranks.iter().filter(|rank| **rank < 1).count(),
            found_in_five: ranks.iter().filter(|rank| **rank < 5).count(),
            chance: answers.iter().map(|right| count(right.len()) / images).sum(),
            is_text_usable: calibrated.text.is_some_and(|text| text.usable),
            is_image_usable: calibrated.image.usable,
            images_per_second: images_per_second(provider).await?,
            texts_per_second,
        })
    }
}

/// Returns the number of images that are nearer to the query than its nearest answer.
fn rank(images: &Vectors, query: &[f32], answers: &[usize]) -> Option<usize> {
    let cosines: Vec<f64> = images.iter().map(|image| dot(query, image)).collect();
    let best = answers.iter().filter_map(|answer| cosines.get(*answer)).copied().reduce(f64::max)?;
    Some(cosines.iter().enumerate().filter(|(at, cosine)| **cosine >= best && !answers.contains(at)).count())
}

async fn images_per_second(provider: &dyn ImageEmbeddingProvider) -> Result<f64, CalibrationError> {
    let preprocessing = provider.preprocessing();
    let inputs = tokio::task::spawn_blocking(move || inputs::images(preprocessing));
    let inputs = inputs.await.map_err(|_| CalibrationError::Panicked)??;
    let threads = provider.busy().map_or(1, |busy| busy.threads.get());
    let images = inputs.iter().filter(|input| !input.is_copy).map(|input| input.prepared.clone());
    let number = images.clone().count().max(IMAGES_PER_THREAD * threads);
    let batch: Vec<PreparedImage> = images.cycle().take(number).collect();
    let (started, mut done) = (Instant::now(), 0);
    while done == 0 || started.elapsed() < MIN_TIME {
        done += provider.embed_image_batch(&batch).await?.len();
    }
    Ok(count(done) / started.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_is_that_of_the_nearest_answer() {
        let mut images = Vectors::new(2);
        for image in [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]] {
            images.push(&image);
        }
        let rank_of = |answers: &[usize]| rank(&images, &[1.0, 0.0], answers);
        assert_eq!((rank_of(&[0]), rank_of(&[2]), rank_of(&[2, 1]), rank_of(&[])), (Some(0), Some(2), Some(1), None));
        let mut same = Vectors::new(1);
        same.push(&[1.0]);
        same.push(&[1.0]);
        assert_eq!(rank(&same, &[1.0], &[0]), Some(1), "equal vectors do not count as found");
    }
}
