//! How many requests a listing sends, and how many at the same time.

use std::time::Duration;

use super::{Setup, numbered};
use crate::jobs::run::listing::lanes::fake_bucket::FakeBucket;

#[tokio::test(flavor = "multi_thread")]
async fn all_lanes_list_at_the_same_time_with_few_additional_requests() {
    for keys in [numbered(0..4_000).collect::<Vec<_>>(), (0..4_000).map(|key| format!("{:x}", key * 7_919)).collect()] {
        let bucket = FakeBucket::new(keys, 20);
        // Much longer than the ledger needs for a page, also on a busy machine: so the lanes wait for the bucket.
        bucket.content().request_time = Duration::from_millis(40);
        let setup = Setup::new(&bucket, "", 8, true).await;
        setup.plan().await.unwrap();
        assert_eq!(setup.planned().await.len(), 4_000);
        let content = bucket.content();
        assert_eq!(content.max_running, 8, "as many as lanes, and never more");
        assert!(content.pages < 200 + 120 && content.probes < 600, "{} {}", content.pages, content.probes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_a_maximum_of_items_takes_the_first_ones_in_one_lane() {
    let bucket = FakeBucket::new(numbered(0..300), 10);
    let mut setup = Setup::new(&bucket, "", 8, false).await;
    setup.planner.planning.max_items = Some(55);
    setup.plan().await.unwrap();
    assert_eq!(setup.planned().await, numbered(0..55).collect::<Vec<_>>());
    assert_eq!(bucket.content().max_running, 1);
}
