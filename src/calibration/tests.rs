//! Tests of the calibration with a provider of four numbers.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::calibrated::{CalibrationError, embed_texts};
use super::vectors::Vectors;
use super::*;
use crate::domain::{DependencyError, Embedding, FailureKind, Probe};
use crate::embed::EmbedError;
use crate::imaging::{PreparedImage, Preprocessing};

/// Serves one model after the other. Refuses every `refused_share`-th text; with 0, fails.
#[derive(Default)]
struct Provider {
    model: AtomicUsize,
    refused_share: usize,
    texts: AtomicUsize,
}

#[async_trait]
impl ImageEmbeddingProvider for Provider {
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing::crop(8)
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        let model = self.model.load(Ordering::SeqCst);
        let mut vector = vec![0.0; 4];
        vector[model] = 1.0;
        let probes = vec![Probe { name: "text:a".into(), vector }];
        Ok(Arc::new(Space { model: model.to_string(), dimension: 4, preprocessing: "crop-8-bicubic".into(), probes }))
    }

    async fn embed_image_batch(&self, _: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        Err(EmbedError::Unsupported)
    }

    async fn embed_text(&self, _: &str) -> Result<Embedding, EmbedError> {
        let number = self.texts.fetch_add(1, Ordering::SeqCst);
        match number.checked_rem(self.refused_share) {
            None => {
                let (dependency, detail) = ("model".to_owned(), "on purpose".to_owned());
                Err(EmbedError::Dependency(DependencyError { dependency, failure: FailureKind::Failed, detail }))
            }
            Some(1) => Err(EmbedError::Rejected("on purpose".into())),
            Some(_) => Ok(Embedding::normalised(vec![1.0; 4], 4)?),
        }
    }
}

#[tokio::test]
async fn a_provider_that_refuses_many_texts_is_not_calibrated() {
    let embed = async |refused_share| {
        let texts = (0..40).map(|number| (format!("text {number}"), number)).collect();
        embed_texts(&Provider { refused_share, ..Provider::default() }, texts, &mut Vectors::new(4)).await
    };
    assert_eq!(embed(5).await.unwrap().len(), 32);
    assert!(matches!(embed(3).await, Err(CalibrationError::TextsRefused { refused: 13, all: 40 })));
}

#[tokio::test(start_paused = true)]
async fn another_model_and_a_failure_are_calibrated_again() {
    let provider = Arc::new(Provider::default());
    let folder = tempfile::tempdir().unwrap();
    let shared: Arc<dyn ImageEmbeddingProvider> = provider.clone();
    let calibration = Calibration::new(&shared, folder.path().to_owned(), true);
    let end = CancellationToken::new();
    #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
    let keep = tokio::spawn({
        let (calibration, end) = (calibration.clone(), end.clone());
        async move { calibration.keep(end).await }
    });
    let first = provider.space().await.unwrap();
    let wait_for_failure = async |space: &Space| {
        while !matches!(calibration.current(space), Err(NoRelevance::Failed(_))) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    wait_for_failure(&first).await;

    let begin = Instant::now();
    provider.model.store(1, Ordering::SeqCst);
    let second = provider.space().await.unwrap();
    calibration.use_model(&shared, &second);
    assert_eq!(calibration.current(&second).unwrap_err(), NoRelevance::Running);
    wait_for_failure(&second).await;
    assert!(begin.elapsed() < RETRY_DELAY, "the other model is noticed before the next attempt");

    assert!(matches!(calibration.current(&first), Err(NoRelevance::Failed(_))), "both spaces are kept");
    let texts = provider.texts.load(Ordering::SeqCst);
    tokio::time::sleep(RETRY_DELAY * 2).await;
    assert!(provider.texts.load(Ordering::SeqCst) > texts, "a failed calibration is repeated");
    end.cancel();
    keep.await.unwrap();
}

#[test]
fn a_file_that_was_changed_is_not_used() {
    let built_in = Calibrated::built_in().unwrap();
    assert!(built_in.is_valid());
    let changes: [fn(&mut Calibrated); 6] = [
        |file| file.images.dimension -= 1,
        |file| file.images.numbers.truncate(10),
        |file| file.unrelated.numbers[5] = f32::INFINITY,
        |file| file.image.slope = -1.0,
        |file| file.text.as_mut().unwrap().line_slope = 0.0,
        |file| file.text.as_mut().unwrap().unrelated.clear(),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut file = built_in.clone();
        change(&mut file);
        assert!(!file.is_valid(), "change {number}");
    }
}
