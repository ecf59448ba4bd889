use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::domain::{DependencyError, Probe, Trouble};
use crate::embed::proof::SILENT;
use crate::resilience::{Breaker, BreakerSettings, WaitBoard};

const COOL_DOWN: Duration = Duration::from_secs(20);

/// A provider whose model the test changes.
#[derive(Default)]
struct Fake {
    /// Numbers in its vectors; 0: it is down.
    size: AtomicU32,
    /// Those of an image that begins with a byte other than 0.
    odd: AtomicU32,
    lies: std::sync::atomic::AtomicBool,
    probes: AtomicU32,
    calls: AtomicU32,
}

fn vector(size: u32) -> Embedding {
    Embedding::normalised(vec![1.0; size as usize], size as usize).unwrap()
}

impl Fake {
    fn of(size: u32) -> Arc<Self> {
        let fake = Self::default();
        fake.size.store(size, Ordering::SeqCst);
        fake.odd.store(size, Ordering::SeqCst);
        Arc::new(fake)
    }

    fn becomes(&self, size: u32) {
        self.size.store(size, Ordering::SeqCst);
        self.odd.store(size, Ordering::SeqCst);
    }

    fn size(&self) -> Result<u32, EmbedError> {
        match self.size.load(Ordering::SeqCst) {
            0 => Err(down(Trouble::Failed)),
            size => Ok(size),
        }
    }

    fn probes(&self) -> u32 {
        self.probes.load(Ordering::SeqCst)
    }
}

fn down(trouble: Trouble) -> EmbedError {
    EmbedError::Dependency(DependencyError { dependency: "clip".into(), trouble, detail: "refused".into() })
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
        if self.lies.load(Ordering::SeqCst) {
            return Err(EmbedError::ProbeFailed("two images got the same vector".into()));
        }
        let probes = vec![Probe { name: "image:a".into(), vector: vector(size).as_slice().to_vec() }];
        let dimension = size as usize;
        Ok(Arc::new(Space { model: "fake".into(), dimension, preprocessing: "crop-8".into(), probes }))
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let size = self.size()?;
        let of = |image: &PreparedImage| if image.rgb[0] == 0 { size } else { self.odd.load(Ordering::SeqCst) };
        Ok(images.iter().map(|image| vector(of(image))).collect())
    }

    async fn embed_text(&self, _: &str) -> Result<Embedding, EmbedError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Ok(vector(self.size()?))
    }
}

fn proof(fake: &Arc<Fake>) -> Arc<Proof> {
    Arc::new(Proof::new(fake.clone(), None))
}

fn image(first: u8) -> PreparedImage {
    PreparedImage { size: 1, rgb: vec![first, 0, 0].into() }
}

#[tokio::test(start_paused = true)]
async fn one_probe_answers_everyone_and_lasts() {
    let fake = Fake::of(4);
    let proof = proof(&fake);
    let asked = futures::future::join_all((0..20).map(|_| proof.space())).await;
    let first = asked[0].clone().unwrap();
    assert!(asked.iter().all(|space| Arc::ptr_eq(space.as_ref().unwrap(), &first)));
    tokio::time::advance(Duration::from_hours(9)).await;
    assert!(Arc::ptr_eq(&proof.space().await.unwrap(), &first));
    assert_eq!(fake.probes(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_the_probe_to_the_next() {
    let fake = Fake::of(4);
    let proof = proof(&fake);
    let gone = tokio::time::timeout(Duration::from_millis(500), proof.space());
    let (gone, next) = tokio::join!(gone, proof.space());
    assert!(gone.is_err());
    next.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_is_told_to_everyone_for_half_a_minute() {
    let fake = Fake::of(4);
    fake.lies.store(true, Ordering::SeqCst);
    let probed = Verified::new(fake.clone(), proof(&fake));
    let said = EmbedError::ProbeFailed("two images got the same vector".into());
    assert_eq!(probed.space().await, Err(said.clone()));
    fake.lies.store(false, Ordering::SeqCst);
    tokio::time::advance(Duration::from_secs(29)).await;
    assert_eq!(probed.space().await, Err(said.clone()));
    assert_eq!(probed.embed_text("a cat").await, Err(said));
    assert_eq!((fake.probes(), fake.calls.load(Ordering::SeqCst)), (1, 0), "it is not used either");
    tokio::time::advance(Duration::from_secs(1)).await;
    probed.embed_text("a cat").await.unwrap();
    assert_eq!(fake.probes(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_down_is_unavailable_until_it_is_asked_again() {
    let fake = Fake::of(0);
    let proof = proof(&fake);
    assert_eq!(proof.space().await, Err(down(Trouble::Unavailable { retry_after: SILENT })));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(proof.space().await, Err(down(Trouble::Unavailable { retry_after: Duration::from_secs(3) })));
    assert_eq!(fake.probes(), 1);
    fake.becomes(4);
    tokio::time::advance(Duration::from_secs(3)).await;
    proof.space().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_patient_wait_for_the_proof_and_say_so_but_not_for_a_liar() {
    let fake = Fake::of(0);
    let board = WaitBoard::default();
    let probed = Verified::new(fake.clone(), proof(&fake)).with_patience(Guard::background("clip", board.clone()));
    let begun = Instant::now();
    let comes_back = async {
        tokio::time::sleep(Duration::from_mins(1)).await;
        let waiting = board.snapshot().unwrap();
        assert_eq!(waiting.dependency, "clip");
        fake.becomes(4);
    };
    let (space, ()) = tokio::join!(probed.space(), comes_back);
    space.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(70), "{:?}", begun.elapsed());
    assert_eq!(board.snapshot(), None);

    let liar = Fake::of(4);
    liar.lies.store(true, Ordering::SeqCst);
    let probed = Verified::new(liar.clone(), proof(&liar)).with_patience(Guard::background("clip", board));
    assert!(matches!(probed.space().await, Err(EmbedError::ProbeFailed(_))));
    assert_eq!(liar.probes(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_changed_size_is_found_out_and_is_no_images_failure() {
    let fake = Fake::of(4);
    let probed = Verified::new(fake.clone(), proof(&fake));
    probed.embed_image_batch(&[image(0)]).await.unwrap();
    fake.becomes(6);
    let error = probed.embed_image_batch(&[image(0), image(0)]).await.unwrap_err();
    let EmbedError::ProbeFailed(said) = error else { panic!("{error}") };
    assert!(said.contains("`fake/4/crop-8`") && said.contains("`fake/6/crop-8`"), "{said}");
    assert_eq!(probed.space().await.unwrap().dimension, 6);
    probed.embed_image(&image(0)).await.unwrap();
    fake.becomes(4);
    assert!(matches!(probed.embed_text("a cat").await, Err(EmbedError::ProbeFailed(_))));
    assert_eq!(fake.probes(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_vector_of_another_size_is_its_inputs_failure_where_the_provider_proves_itself() {
    let fake = Fake::of(4);
    fake.odd.store(5, Ordering::SeqCst);
    let probed = Verified::new(fake.clone(), proof(&fake));
    let wrong = EmbedError::Invalid(InvalidEmbedding::WrongSize { expected: 4, actual: 5 });
    assert_eq!(probed.embed_image_batch(&[image(0), image(1)]).await, Err(wrong));
    assert_eq!(fake.probes(), 2);
    assert_eq!(probed.embed_image_batch(&[image(0)]).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_after_an_outage_is_probed_again() {
    let fake = Fake::of(4);
    let breaker = Arc::new(Breaker::new(BreakerSettings { threshold: 1, cool_down: COOL_DOWN }));
    let proof = Arc::new(Proof::new(fake.clone(), Some(breaker.clone())));
    let probed = Verified::new(fake.clone(), proof);
    let space = probed.space().await.unwrap();
    breaker.try_enter().unwrap().failed();
    assert!(Arc::ptr_eq(&space, &probed.space().await.unwrap()), "while it is down nothing new is known");
    tokio::time::advance(COOL_DOWN).await;
    fake.becomes(6);
    let waited = async {
        breaker.try_enter().unwrap().succeeded();
        Ok(vector(4))
    };
    let error = probed.checked(waited, std::slice::from_ref).await.unwrap_err();
    assert!(error.to_string().contains("the model behind it was changed"), "{error}");
    assert_eq!((fake.probes(), probed.space().await.unwrap().dimension), (2, 6));
}

#[tokio::test(start_paused = true)]
async fn it_is_probed_again_by_itself_until_it_is_proven_and_when_it_is_doubted() {
    let fake = Fake::of(4);
    fake.lies.store(true, Ordering::SeqCst);
    let (proof, end) = (proof(&fake), CancellationToken::new());
    let (watched, over) = (proof.clone(), end.clone());
    #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
    let kept = tokio::spawn(async move { watched.keep(over).await });
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(fake.probes(), 4, "every 30 s and the second that each takes");
    fake.lies.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(fake.probes(), 5);
    proof.doubt(&proof.space().await.unwrap());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(fake.probes(), 6);
    end.cancel();
    kept.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_elsewhere_is_probed_again_now_and_then_and_being_down_unproves_it_not() {
    let fake = Fake::of(4);
    let breaker = Arc::new(Breaker::new(BreakerSettings { threshold: 9, cool_down: COOL_DOWN }));
    let (proof, end) = (Arc::new(Proof::new(fake.clone(), Some(breaker))), CancellationToken::new());
    let (watched, over) = (proof.clone(), end.clone());
    #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
    let kept = tokio::spawn(async move { watched.keep(over).await });
    let minutes = |count| tokio::time::sleep(Duration::from_mins(count));
    minutes(5).await;
    fake.becomes(0);
    minutes(10).await;
    assert_eq!((fake.probes(), proof.space().await.unwrap().dimension), (2, 4));
    fake.becomes(6);
    minutes(10).await;
    assert_eq!((fake.probes(), proof.space().await.unwrap().dimension), (3, 6));
    fake.lies.store(true, Ordering::SeqCst);
    minutes(10).await;
    assert!(matches!(proof.space().await, Err(EmbedError::ProbeFailed(_))));
    end.cancel();
    kept.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_is_missed_while_its_breaker_is_open_is_looked_for_until_it_is_back() {
    let fake = Fake::of(4);
    let breaker = Arc::new(Breaker::new(BreakerSettings { threshold: 1, cool_down: COOL_DOWN }));
    let guard = Guard::interactive("clip", 0).through(breaker.clone());
    let resilient = Arc::new(crate::embed::Resilient::new(fake.clone(), guard));
    let (proof, end) = (Arc::new(Proof::new(resilient.clone(), Some(breaker))), CancellationToken::new());
    let cached =
        crate::embed::TextCache::new(Arc::new(Verified::new(resilient, proof.clone())), std::num::NonZeroUsize::MIN);
    let (watched, over) = (proof.clone(), end.clone());
    #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
    let kept = tokio::spawn(async move { watched.keep(over).await });
    let space = cached.space().await.unwrap();
    assert_eq!(cached.reachable(), Ok(()));
    fake.becomes(0);
    cached.embed_text("a cat").await.unwrap_err();
    tokio::time::sleep(COOL_DOWN * 3).await;
    assert_eq!(fake.probes(), 1, "nobody has missed it");
    assert!(Arc::ptr_eq(&cached.space().await.unwrap(), &space), "it is no less proven");

    let calls = fake.calls.load(Ordering::SeqCst);
    for _ in 0..9 {
        let trouble = Trouble::Unavailable { retry_after: Duration::from_secs(1) };
        let said = cached.reachable().unwrap_err();
        let EmbedError::Dependency(DependencyError { trouble: seen, .. }) = said else { panic!("{said}") };
        assert_eq!(seen, trouble);
    }
    assert_eq!((fake.probes(), fake.calls.load(Ordering::SeqCst)), (1, calls), "to ask costs no call");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(fake.probes(), 2, "one look, and it is still down");
    assert!(cached.reachable().is_err());
    fake.becomes(4);
    tokio::time::sleep(COOL_DOWN).await;
    assert_eq!(cached.reachable(), Ok(()), "found without a call of anybody");
    assert_eq!(cached.space().await.unwrap().dimension, 4);
    end.cancel();
    kept.await.unwrap();
}
