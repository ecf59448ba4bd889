//! Buckets that change while they are listed.

use super::{Setup, numbered};
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::lanes::fake_bucket::FakeBucket;

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_stay_are_listed_once_while_others_come_and_go() {
    for seed in 0..6_usize {
        let stays = |key: u32| key.is_multiple_of(3);
        let bucket = FakeBucket::new(numbered(0..900), 10);
        bucket.content().change = Some(Box::new(move |keys, pages| {
            // All others, also those at which ranges were divided, are written or deleted again and again.
            for key in (0..900).filter(|key| !stays(*key) && (*key as usize + pages + seed).is_multiple_of(2)) {
                let key = numbered(key..key + 1).next().unwrap();
                if !keys.remove(&key) {
                    keys.insert(key);
                }
            }
        }));
        let setup = Setup::new(&bucket, "", 8, true).await;
        match setup.plan().await {
            Ok(()) => {
                let planned = setup.planned().await;
                let staying: Vec<String> =
                    (0..900).filter(|key| stays(*key)).flat_map(|key| numbered(key..key + 1)).collect();
                assert!(staying.iter().all(|key| planned.binary_search(key).is_ok()));
                assert!(planned.windows(2).all(|pair| pair[0] < pair[1]), "no key twice");
            }
            // The end of a range can differ each time that it is compared.
            Err(failure) => assert!(matches!(failure, JobFailure::Unordered { .. }), "{failure}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_range_can_be_deleted_while_the_range_is_listed() {
    let bucket = FakeBucket::new(numbered(0..900), 10);
    // Every key that is not the first of a page of one lane disappears once the ranges were divided.
    bucket.content().change = Some(Box::new(move |keys, pages| {
        if pages == 12 {
            let kept = keys.iter().step_by(7).cloned().collect();
            *keys = kept;
        }
    }));
    let setup = Setup::new(&bucket, "", 8, false).await;
    setup.plan().await.unwrap();
    let (planned, kept) = (setup.planned().await, bucket.content().keys.clone());
    assert!(kept.iter().all(|key| planned.binary_search(key).is_ok()) && setup.is_complete().await);
}
