use std::num::NonZeroUsize;

use async_trait::async_trait;
use futures::poll;
use tokio::time::Instant;

use super::*;
use crate::domain::{DependencyError, Space, Trouble};
use crate::imaging::Preprocessing;

/// What a run takes.
const RUN: Duration = Duration::from_millis(50);
/// A image that no model takes.
const BAD: u8 = 13;
/// A image that brings the model down.
const DEADLY: u8 = 66;

/// A vector of the first byte. Remembers how many images each run had.
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
        tokio::time::sleep(RUN).await;
        let has = |byte| images.iter().any(|image| image.rgb[0] == byte);
        if has(DEADLY) {
            let (dependency, detail) = ("local".into(), String::new());
            return Err(DependencyError { dependency, trouble: Trouble::Failed, detail }.into());
        }
        if has(BAD) {
            return Err(EmbedError::Rejected("a bad one".into()));
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
async fn one_that_comes_alone_waits_for_nobody() {
    let (gather, fake) = gather(8);
    for byte in 1..=3 {
        let begun = Instant::now();
        assert_eq!(gather.embed(image(byte)).await.unwrap(), vector(byte));
        assert_eq!(begun.elapsed(), RUN);
    }
    assert_eq!(fake.runs(), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn those_that_come_at_once_share_runs_and_each_has_its_own_answer() {
    let (gather, fake) = gather(8);
    let begun = Instant::now();
    let answers = all(&gather, 20..40).await;
    assert_eq!(fake.runs(), [1, 8, 8, 3], "the first alone, two full, the rest after their wait");
    assert!(begun.elapsed() <= RUN + WAIT + Duration::from_millis(1), "{:?}", begun.elapsed());
    for (byte, answer) in (20..40).zip(answers) {
        assert_eq!(answer.unwrap(), vector(byte));
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_gains_nothing_is_asked_one_by_one_at_once() {
    let (gather, fake) = gather(1);
    let begun = Instant::now();
    assert!(all(&gather, 1..=9).await.iter().all(Result::is_ok));
    assert_eq!((fake.runs(), begun.elapsed()), (vec![1; 9], RUN));
}

#[tokio::test(start_paused = true)]
async fn a_bad_image_costs_itself_only() {
    let (gather, fake) = gather(4);
    let bytes = [1, 2, BAD, 4, 5];
    for (byte, answer) in bytes.into_iter().zip(all(&gather, bytes).await) {
        match answer {
            Ok(embedding) => assert_eq!(embedding, vector(byte)),
            Err(error) => assert!(byte == BAD && matches!(error, ClipError::Embed(EmbedError::Rejected(_))), "{error}"),
        }
    }
    assert_eq!(fake.runs(), [1, 4, 1, 1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_down_is_told_to_all_and_not_asked_again() {
    let (gather, fake) = gather(4);
    let answers = all(&gather, [1, 2, DEADLY, 4, 5]).await;
    assert!(answers[0].is_ok());
    let down = |answer: &Result<_, _>| matches!(answer, Err(ClipError::Embed(EmbedError::Dependency(_))));
    assert!(answers[1..].iter().all(down), "{answers:?}");
    assert_eq!(fake.runs(), [1, 4]);
}

#[tokio::test(start_paused = true)]
async fn nobody_hangs_on_another_who_goes_away() {
    let (gather, fake) = gather(4);
    let [mut first, mut gone, mut left] = [1, 2, 3].map(|byte| Box::pin(gather.embed(image(byte))));
    for request in [&mut first, &mut gone, &mut left] {
        assert!(poll!(request).is_pending());
    }
    drop(gone);
    assert_eq!(left.await.unwrap(), vector(3));
    assert_eq!(fake.runs(), [1, 1], "the image of the one who went was left out");

    let [mut maker, mut other] = [5, 6].map(|byte| Box::pin(gather.embed(image(byte))));
    assert!(poll!(&mut maker).is_pending() && poll!(&mut other).is_pending());
    tokio::time::advance(WAIT).await;
    assert!(poll!(&mut maker).is_pending(), "the run is under way");
    drop(maker);
    assert_eq!(other.await.unwrap(), vector(6));
    assert_eq!(fake.runs(), [1, 1, 2, 1]);
    drop(first);
    assert_eq!(gather.lock().under_way, 0);
}

#[tokio::test(start_paused = true)]
async fn too_many_at_once_are_told_to_come_back() {
    let (gather, _) = gather(8);
    let answers = all(&gather, (0..=255).chain([7, 8])).await;
    let busy = answers.iter().filter(|answer| matches!(answer, Err(ClipError::Busy(_)))).count();
    assert_eq!((busy, answers.len()), (2, PLACES + 2));
}
