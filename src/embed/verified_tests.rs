use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::domain::{DependencyError, FailureKind, Probe};
use crate::resilience::{Breaker, BreakerSettings, WaitList};

pub(in crate::embed) const COOL_DOWN: Duration = Duration::from_secs(20);

/// A provider whose model can be changed by the test.
#[derive(Default)]
pub(in crate::embed) struct Fake {
    /// Size of its vectors; 0: it is down.
    size: AtomicU32,
    /// Size of the vectors of images whose first byte is not 0.
    other_size: AtomicU32,
    pub(in crate::embed) fails_probe: std::sync::atomic::AtomicBool,
    probes: AtomicU32,
    calls: AtomicU32,
}

fn vector(size: u32) -> Embedding {
    Embedding::normalised(vec![1.0; size as usize], size as usize).unwrap()
}

impl Fake {
    pub(in crate::embed) fn with_size(size: u32) -> Arc<Self> {
        let fake = Self::default();
        fake.size.store(size, Ordering::SeqCst);
        fake.other_size.store(size, Ordering::SeqCst);
        Arc::new(fake)
    }

    pub(in crate::embed) fn set_size(&self, size: u32) {
        self.size.store(size, Ordering::SeqCst);
        self.other_size.store(size, Ordering::SeqCst);
    }

    fn size(&self) -> Result<u32, EmbedError> {
        match self.size.load(Ordering::SeqCst) {
            0 => Err(down(FailureKind::Failed)),
            size => Ok(size),
        }
    }

    pub(in crate::embed) fn probes(&self) -> u32 {
        self.probes.load(Ordering::SeqCst)
    }
}

pub(in crate::embed) fn down(failure: FailureKind) -> EmbedError {
    EmbedError::Dependency(DependencyError { dependency: "clip".into(), failure, detail: "refused".into() })
}

#[async_trait]
impl ImageEmbeddingProvider for Fake {
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing::crop(8)
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.probes.fetch_add(1, Ordering::SeqCst);
        let size = self.size()?;
        if self.fails_probe.load(Ordering::SeqCst) {
            return Err(EmbedError::ProbeFailed("two images got the same vector".into()));
        }
        let probes = vec![Probe { name: "image:a".into(), vector: vector(size).as_slice().to_vec() }];
        let dimension = size as usize;
        Ok(Arc::new(Space { model: "fake".into(), dimension, preprocessing: "crop-8".into(), probes }))
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let size = self.size()?;
        let size_of =
            |image: &PreparedImage| if image.rgb[0] == 0 { size } else { self.other_size.load(Ordering::SeqCst) };
        Ok(images.iter().map(|image| vector(size_of(image))).collect())
    }

    async fn embed_text(&self, _: &str) -> Result<Embedding, EmbedError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Ok(vector(self.size()?))
    }
}

pub(in crate::embed) fn verification(fake: &Arc<Fake>) -> Arc<Verification> {
    Arc::new(Verification::new(fake.clone(), None))
}

/// Starts [`Verification::keep`], which ends when the token is cancelled.
pub(in crate::embed) fn keep(verification: &Arc<Verification>) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let (verification, end) = (verification.clone(), CancellationToken::new());
    let until = end.clone();
    #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
    let task = tokio::spawn(async move { verification.keep(until).await });
    (end, task)
}

fn image(first: u8) -> PreparedImage {
    PreparedImage { size: 1, rgb: vec![first, 0, 0].into() }
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_is_cached_for_30_seconds() {
    let fake = Fake::with_size(4);
    fake.fails_probe.store(true, Ordering::SeqCst);
    let verified = Verified::new(fake.clone(), verification(&fake));
    let error = EmbedError::ProbeFailed("two images got the same vector".into());
    assert_eq!(verified.space().await, Err(error.clone()));
    fake.fails_probe.store(false, Ordering::SeqCst);
    tokio::time::advance(Duration::from_secs(29)).await;
    assert_eq!(verified.space().await, Err(error.clone()));
    assert_eq!(verified.embed_text("a cat").await, Err(error));
    assert_eq!((fake.probes(), fake.calls.load(Ordering::SeqCst)), (1, 0), "it is not called either");
    tokio::time::advance(Duration::from_secs(1)).await;
    verified.embed_text("a cat").await.unwrap();
    assert_eq!(fake.probes(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_background_guard_waits_for_an_outage_but_not_for_a_failed_probe() {
    let fake = Fake::with_size(0);
    let wait_list = WaitList::default();
    let verified =
        Verified::new(fake.clone(), verification(&fake)).with_guard(Guard::background("clip", wait_list.clone()));
    let begun = Instant::now();
    let comes_back = async {
        tokio::time::sleep(Duration::from_mins(1)).await;
        let waiting = wait_list.snapshot().unwrap();
        assert_eq!(waiting.dependency, "clip");
        fake.set_size(4);
    };
    let (space, ()) = tokio::join!(verified.space(), comes_back);
    space.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(70), "{:?}", begun.elapsed());
    assert_eq!(wait_list.snapshot(), None);

    let wrong_provider = Fake::with_size(4);
    wrong_provider.fails_probe.store(true, Ordering::SeqCst);
    let verified = Verified::new(wrong_provider.clone(), verification(&wrong_provider))
        .with_guard(Guard::background("clip", wait_list));
    assert!(matches!(verified.space().await, Err(EmbedError::ProbeFailed(_))));
    assert_eq!(wrong_provider.probes(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_changed_size_is_an_error_of_the_provider() {
    let fake = Fake::with_size(4);
    let verified = Verified::new(fake.clone(), verification(&fake));
    verified.embed_image_batch(&[image(0)]).await.unwrap();
    fake.set_size(6);
    let error = verified.embed_image_batch(&[image(0), image(0)]).await.unwrap_err();
    let EmbedError::ProbeFailed(error) = error else { panic!("{error}") };
    assert!(error.contains("`fake/4/crop-8`") && error.contains("`fake/6/crop-8`"), "{error}");
    assert_eq!(verified.space().await.unwrap().dimension, 6);
    verified.embed_image(&image(0)).await.unwrap();
    fake.set_size(4);
    assert!(matches!(verified.embed_text("a cat").await, Err(EmbedError::ProbeFailed(_))));
    assert_eq!(fake.probes(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_vector_of_another_size_is_an_error_of_the_input_if_the_probe_passes() {
    let fake = Fake::with_size(4);
    fake.other_size.store(5, Ordering::SeqCst);
    let verified = Verified::new(fake.clone(), verification(&fake));
    let wrong = EmbedError::Invalid(InvalidEmbedding::WrongSize { expected: 4, actual: 5 });
    assert_eq!(verified.embed_image_batch(&[image(0), image(1)]).await, Err(wrong));
    assert_eq!(fake.probes(), 2);
    assert_eq!(verified.embed_image_batch(&[image(0)]).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_provider_is_probed_again_after_an_outage() {
    let fake = Fake::with_size(4);
    let breaker = Arc::new(Breaker::new(BreakerSettings { threshold: 1, cool_down: COOL_DOWN }));
    let verification = Arc::new(Verification::new(fake.clone(), Some(breaker.clone())));
    let verified = Verified::new(fake.clone(), verification);
    let space = verified.space().await.unwrap();
    breaker.try_enter().unwrap().failed();
    assert!(Arc::ptr_eq(&space, &verified.space().await.unwrap()), "an outage does not change the space");
    tokio::time::advance(COOL_DOWN).await;
    fake.set_size(6);
    let waited = async {
        breaker.try_enter().unwrap().succeeded();
        Ok(vector(4))
    };
    let error = verified.check(waited, std::slice::from_ref).await.unwrap_err();
    assert!(error.to_string().contains("the model of the provider was changed"), "{error}");
    assert_eq!((fake.probes(), verified.space().await.unwrap().dimension), (2, 6));
}

#[tokio::test(start_paused = true)]
async fn a_provider_needed_while_its_breaker_is_open_is_probed_until_it_is_back() {
    let fake = Fake::with_size(4);
    let breaker = Arc::new(Breaker::new(BreakerSettings { threshold: 1, cool_down: COOL_DOWN }));
    let guard = Guard::interactive("clip", 0).with_breaker(breaker.clone());
    let resilient = Arc::new(crate::embed::Resilient::new(fake.clone(), guard));
    let verification = Arc::new(Verification::new(resilient.clone(), Some(breaker)));
    let cached = crate::embed::TextCache::new(
        Arc::new(Verified::new(resilient, verification.clone())),
        std::num::NonZeroUsize::MIN,
    );
    let (end, task) = keep(&verification);
    let space = cached.space().await.unwrap();
    assert_eq!(cached.reachable(), Ok(()));
    fake.set_size(0);
    cached.embed_text("a cat").await.unwrap_err();
    tokio::time::sleep(COOL_DOWN * 3).await;
    assert_eq!(fake.probes(), 1, "no caller needed it");
    assert!(Arc::ptr_eq(&cached.space().await.unwrap(), &space), "the verification is still valid");

    let calls = fake.calls.load(Ordering::SeqCst);
    for _ in 0..9 {
        let failure = FailureKind::Unavailable { retry_after: Duration::from_secs(1) };
        let error = cached.reachable().unwrap_err();
        let EmbedError::Dependency(DependencyError { failure: actual, .. }) = error else { panic!("{error}") };
        assert_eq!(actual, failure);
    }
    assert_eq!((fake.probes(), fake.calls.load(Ordering::SeqCst)), (1, calls), "reachable() makes no call");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(fake.probes(), 2, "one probe, and it is still down");
    assert!(cached.reachable().is_err());
    fake.set_size(4);
    tokio::time::sleep(COOL_DOWN).await;
    assert_eq!(cached.reachable(), Ok(()), "found without a call");
    assert_eq!(cached.space().await.unwrap().dimension, 4);
    end.cancel();
    task.await.unwrap();
}
