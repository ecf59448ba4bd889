use std::sync::atomic::Ordering;

use super::*;
use crate::embed::verified::tests::{COOL_DOWN, Fake, down, keep, verification};
use crate::resilience::BreakerSettings;

#[tokio::test(start_paused = true)]
async fn one_probe_serves_all_callers_and_is_cached() {
    let fake = Fake::with_size(4);
    let verification = verification(&fake);
    let results = futures::future::join_all((0..20).map(|_| verification.space())).await;
    let first = results[0].clone().unwrap();
    assert!(results.iter().all(|space| Arc::ptr_eq(space.as_ref().unwrap(), &first)));
    tokio::time::advance(Duration::from_hours(9)).await;
    assert!(Arc::ptr_eq(&verification.space().await.unwrap(), &first));
    assert_eq!(fake.probes(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_next_caller_probes_if_a_caller_is_cancelled() {
    let fake = Fake::with_size(4);
    let verification = verification(&fake);
    let cancelled = tokio::time::timeout(Duration::from_millis(500), verification.space());
    let (cancelled, next) = tokio::join!(cancelled, verification.space());
    assert!(cancelled.is_err());
    next.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_is_unavailable_until_the_next_probe() {
    let fake = Fake::with_size(0);
    let verification = verification(&fake);
    assert_eq!(verification.space().await, Err(down(FailureKind::Unavailable { retry_after: OUTAGE_TTL })));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(verification.space().await, Err(down(FailureKind::Unavailable { retry_after: Duration::from_secs(3) })));
    assert_eq!(fake.probes(), 1);
    fake.set_size(4);
    tokio::time::advance(Duration::from_secs(3)).await;
    verification.space().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn keep_probes_until_verified_and_after_an_invalidation() {
    let fake = Fake::with_size(4);
    fake.fails_probe.store(true, Ordering::SeqCst);
    let verification = verification(&fake);
    let (end, task) = keep(&verification);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(fake.probes(), 4, "every 30 s, and each probe takes one second");
    fake.fails_probe.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(fake.probes(), 5);
    verification.invalidate(&verification.space().await.unwrap());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(fake.probes(), 6);
    end.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_recheck_finds_another_model_and_an_outage_does_not_invalidate() {
    let fake = Fake::with_size(4);
    let breaker = Arc::new(Breaker::new(BreakerSettings { threshold: 9, cool_down: COOL_DOWN }));
    let verification = Verification::new(fake.clone(), Some(breaker));
    assert_eq!(verification.space().await.unwrap().dimension, 4);
    fake.set_size(0);
    verification.recheck().await.unwrap_err();
    fake.set_size(8);
    assert_eq!(verification.space().await.unwrap().dimension, 4);
    assert_eq!(verification.recheck().await.unwrap().dimension, 8);
    assert_eq!(verification.space().await.unwrap().dimension, 8);
}

#[tokio::test(start_paused = true)]
async fn a_remote_provider_is_probed_periodically_and_an_outage_does_not_invalidate_it() {
    let fake = Fake::with_size(4);
    let breaker = Arc::new(Breaker::new(BreakerSettings { threshold: 9, cool_down: COOL_DOWN }));
    let verification = Arc::new(Verification::new(fake.clone(), Some(breaker)));
    let (end, task) = keep(&verification);
    let minutes = |count| tokio::time::sleep(Duration::from_mins(count));
    minutes(5).await;
    fake.set_size(0);
    minutes(10).await;
    assert_eq!((fake.probes(), verification.space().await.unwrap().dimension), (2, 4));
    fake.set_size(6);
    minutes(10).await;
    assert_eq!((fake.probes(), verification.space().await.unwrap().dimension), (3, 6));
    fake.fails_probe.store(true, Ordering::SeqCst);
    minutes(10).await;
    assert!(matches!(verification.space().await, Err(EmbedError::ProbeFailed(_))));
    end.cancel();
    task.await.unwrap();
}
