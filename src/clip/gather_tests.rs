use std::num::NonZeroUsize;

use async_trait::async_trait;
use futures::poll;
use tokio::time::Instant;

use super::*;
use crate::domain::{DependencyError, FailureKind, Space};
use crate::imaging::Preprocessing;

/// Duration of a run.
const RUN_DURATION: Duration = Duration::from_millis(50);
/// First byte of an image that the model refuses.
const REFUSED: u8 = 13;
/// First byte of an image for which the model itself fails.
const FAILS_MODEL: u8 = 66;

/// Makes a vector from the first byte. Records the number of images of each run.
struct Fake {
    useful: usize,
    runs: Mutex<Vec<usize>>,
}

#[async_trait]
impl ImageEmbeddingProvider for Fake {
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing::crop(1)
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        Err(EmbedError::Unsupported)
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.runs.lock().unwrap().push(images.len());
        tokio::time::sleep(RUN_DURATION).await;
        let has = |byte| images.iter().any(|image| image.rgb[0] == byte);
        if has(FAILS_MODEL) {
            let (dependency, detail) = ("local".into(), String::new());
            return Err(DependencyError { dependency, trouble: FailureKind::Failed, detail }.into());
        }
        if has(REFUSED) {
            return Err(EmbedError::Rejected("a bad image".into()));
        }
        images.iter().map(|image| Ok(vector(image.rgb[0]))).collect()
    }

    async fn embed_text(&self, _: &str) -> Result<Embedding, EmbedError> {
        Err(EmbedError::Unsupported)
    }

    fn useful_batch(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.useful).unwrap()
    }
}

fn vector(byte: u8) -> Embedding {
    Embedding::normalised(vec![f32::from(byte), 1.0], 2).unwrap()
}

fn image(byte: u8) -> PreparedImage {
    PreparedImage { size: 1, rgb: vec![byte, 0, 0].into() }
}

fn gather(useful: usize) -> (Gather, Arc<Fake>) {
    let fake = Arc::new(Fake { useful, runs: Mutex::default() });
    (Gather::new(fake.clone()), fake)
}

async fn all(gather: &Gather, bytes: impl IntoIterator<Item = u8>) -> Vec<Result<Embedding, ClipError>> {
    join_all(bytes.into_iter().map(|byte| gather.embed(image(byte)))).await
}

impl Fake {
    fn runs(&self) -> Vec<usize> {
        self.runs.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_image_does_not_wait() {
    let (gather, fake) = gather(8);
    for byte in 1..=3 {
        let begun = Instant::now();
        assert_eq!(gather.embed(image(byte)).await.unwrap(), vector(byte));
        assert_eq!(begun.elapsed(), RUN_DURATION);
    }
    assert_eq!(fake.runs(), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn concurrent_images_share_runs_and_each_gets_its_own_vector() {
    let (gather, fake) = gather(8);
    let begun = Instant::now();
    let answers = all(&gather, 20..40).await;
    assert_eq!(fake.runs(), [1, 8, 8, 3], "the first image alone, two full runs, the rest after the wait");
    assert!(begun.elapsed() <= RUN_DURATION + MAX_WAIT + Duration::from_millis(1), "{:?}", begun.elapsed());
    for (byte, answer) in (20..40).zip(answers) {
        assert_eq!(answer.unwrap(), vector(byte));
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_without_gain_from_batches_gets_single_images_without_waiting() {
    let (gather, fake) = gather(1);
    let begun = Instant::now();
    assert!(all(&gather, 1..=9).await.iter().all(Result::is_ok));
    assert_eq!((fake.runs(), begun.elapsed()), (vec![1; 9], RUN_DURATION));
}

#[tokio::test(start_paused = true)]
async fn a_bad_image_fails_only_its_own_request() {
    let (gather, fake) = gather(4);
    let bytes = [1, 2, REFUSED, 4, 5];
    for (byte, answer) in bytes.into_iter().zip(all(&gather, bytes).await) {
        match answer {
            Ok(embedding) => assert_eq!(embedding, vector(byte)),
            Err(error) => {
                assert!(byte == REFUSED && matches!(error, ClipError::Embed(EmbedError::Rejected(_))), "{error}");
            }
        }
    }
    assert_eq!(fake.runs(), [1, 4, 1, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_model_fails_all_requests_of_the_run_without_a_retry() {
    let (gather, fake) = gather(4);
    let answers = all(&gather, [1, 2, FAILS_MODEL, 4, 5]).await;
    assert!(answers[0].is_ok());
    let down = |answer: &Result<_, _>| matches!(answer, Err(ClipError::Embed(EmbedError::Dependency(_))));
    assert!(answers[1..].iter().all(down), "{answers:?}");
    assert_eq!(fake.runs(), [1, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_request_does_not_block_the_others() {
    let (gather, fake) = gather(4);
    let [mut first, mut cancelled, mut remaining] = [1, 2, 3].map(|byte| Box::pin(gather.embed(image(byte))));
    for request in [&mut first, &mut cancelled, &mut remaining] {
        assert!(poll!(request).is_pending());
    }
    drop(cancelled);
    assert_eq!(remaining.await.unwrap(), vector(3));
    assert_eq!(fake.runs(), [1, 1], "the image of the cancelled request is not in the run");

    let [mut runner, mut other] = [5, 6].map(|byte| Box::pin(gather.embed(image(byte))));
    assert!(poll!(&mut runner).is_pending() && poll!(&mut other).is_pending());
    tokio::time::advance(MAX_WAIT).await;
    assert!(poll!(&mut runner).is_pending(), "the run is in progress");
    drop(runner);
    assert_eq!(other.await.unwrap(), vector(6));
    assert_eq!(fake.runs(), [1, 1, 2, 1]);
    drop(first);
    assert_eq!(gather.lock().in_progress, 0);
}

#[tokio::test(start_paused = true)]
async fn too_many_images_get_busy() {
    let (gather, _) = gather(8);
    let answers = all(&gather, (0..=255).chain([7, 8])).await;
    let busy = answers.iter().filter(|answer| matches!(answer, Err(ClipError::Busy(_)))).count();
    assert_eq!((busy, answers.len()), (2, MAX_IMAGES + 2));
}
