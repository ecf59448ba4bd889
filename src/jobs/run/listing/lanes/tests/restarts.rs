//! Listings that fail or are stopped, and continue.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use super::{Setup, numbered};
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::lanes::fake_bucket::FakeBucket;
use crate::ledger::planning::vanished;
use crate::source::SourceError;

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_fails_fails_the_listing_and_the_next_run_continues() {
    for error in [SourceError::NoBucket("b".to_owned()), SourceError::Denied("b".to_owned())] {
        let bucket = FakeBucket::new(numbered(0..600), 10);
        let (failed, once) = (error.clone(), AtomicUsize::new(0));
        bucket.content().failure = Some(Box::new(move |after| {
            let fails = after > "images/000300" && once.fetch_add(1, Ordering::SeqCst) == 9;
            fails.then(|| failed.clone())
        }));
        let setup = Setup::new(&bucket, "images/", 4, true).await;
        setup.record(numbered(590..700)).await;
        // The request can also be one that divides a range: then the lanes continue.
        if let Err(failure) = setup.plan().await {
            assert!(matches!(&failure, JobFailure::Listing(found) if *found == error), "{failure}");
            assert!(!setup.is_complete().await);
            setup.plan().await.unwrap();
        }
        assert!(setup.is_complete().await);
        assert_eq!(setup.planned().await, numbered(0..590).collect::<Vec<_>>());
        let id = setup.job.id;
        let losses = setup.ledger.read_in_steps(vanished::losses(id)).await.unwrap();
        assert_eq!((losses.owned, losses.vanished), (110, 100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_listing_continues_with_any_number_of_lanes() {
    let bucket = FakeBucket::new(numbered(0..900), 10);
    let mut setup = Setup::new(&bucket, "", 6, true).await;
    setup.record(numbered(400..450).chain(numbered(900..950))).await;
    for lanes in [6, 1, 3, 8] {
        setup.planner.lanes.number = NonZeroUsize::new(lanes).unwrap();
        setup.stop = CancellationToken::new();
        let (stop, until) = (setup.stop.clone(), bucket.content().pages + 15);
        bucket.content().change = Some(Box::new(move |_, pages| {
            if pages == until {
                stop.cancel();
            }
        }));
        setup.plan().await.unwrap();
        assert!(!setup.is_complete().await);
    }
    setup.stop = CancellationToken::new();
    setup.plan().await.unwrap();
    let expected: Vec<String> = numbered(0..400).chain(numbered(450..900)).collect();
    assert_eq!((setup.planned().await, setup.is_complete().await), (expected, true));
    let counts = setup.ledger.job(setup.job.id).await.unwrap().unwrap().counts;
    assert_eq!((counts.listed, counts.unchanged), (900, 50));
}
