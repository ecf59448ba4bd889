//! Several lanes list what one lane lists, also after the service was killed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::Notify;

use super::Setup;
use crate::jobs::run::listing::lanes::fake_bucket::FakeBucket;
use crate::ledger::planning::vanished;

/// Keys of one of the shapes that buckets have.
fn key_sets() -> impl Strategy<Value = BTreeSet<String>> {
    let parts =
        prop::sample::select(vec!["a", "b", "0", "1", "9", "/", "-", ".", "é", "\u{FFFD}", "😀", "\u{10FFFF}", " "]);
    let mixed = prop::collection::vec(parts, 1..12).prop_map(|parts| parts.concat());
    let folders = (0..4_u8, 0..4_u8, any::<u8>()).prop_map(|(one, two, name)| format!("a/{one}/{two:02}/x{name}.jpg"));
    let long = any::<u16>().prop_map(|number| format!("{}{number}", "shared/prefix/".repeat(20)));
    let skewed = prop_oneof![9 => (0..5_000_u32).prop_map(|key| format!("m/{key:08}")), 1 => "[a-z]{1,3}"];
    let set = |key: BoxedStrategy<String>| prop::collection::btree_set(key, 0..300);
    prop_oneof![set(mixed.boxed()), set(folders.boxed()), set(long.boxed()), set(skewed.boxed())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn several_lanes_list_what_one_lane_lists(
        keys in key_sets(),
        prefix in prop::sample::select(vec!["", "a", "a/", "m/", "shared/prefix/", "none"]),
        lanes in 1..9_usize,
        page in 1..12_usize,
        kept in prop::collection::vec(any::<bool>(), 300),
        stop_at in 0..40_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(check_equality(keys, prefix, lanes, page, kept, stop_at));
    }
}

/// Half of the keys are known already, and some known keys have vanished. The service is killed at one page.
async fn check_equality(
    keys: BTreeSet<String>,
    prefix: &str,
    lanes: usize,
    page: usize,
    kept: Vec<bool>,
    stop_at: usize,
) {
    let (listed, gone): (Vec<_>, Vec<_>) = keys.iter().cloned().zip(kept).partition(|(_, kept)| *kept);
    let bucket = FakeBucket::new(listed.iter().map(|(key, _)| key.clone()), page);
    let setup = Setup::new(&bucket, prefix, lanes, true).await;
    setup.record(gone.iter().map(|(key, _)| key.clone())).await;
    let killed = Arc::new(Notify::new());
    let notify = killed.clone();
    bucket.content().change = Some(Box::new(move |_, pages| {
        if pages == stop_at {
            notify.notify_one();
        }
    }));
    let is_killed = tokio::select! {
        planned = setup.plan() => planned.map(|()| false).unwrap(),
        () = killed.notified() => true,
    };
    if is_killed {
        // The tasks of the lanes end, as they would with their process.
        tokio::time::sleep(Duration::from_millis(20)).await;
        setup.plan().await.unwrap();
    }
    let below = |keys: &[(String, bool)]| -> Vec<String> {
        keys.iter().map(|(key, _)| key.clone()).filter(|key| key.starts_with(prefix)).collect()
    };
    let (folders, images): (Vec<_>, Vec<_>) = below(&listed).into_iter().partition(|key| key.ends_with('/'));
    assert_eq!(setup.planned().await, images);
    assert!(setup.is_complete().await);
    let id = setup.job.id;
    let found = setup.ledger.read(move |db| vanished::list(db, id, 1_000)).await.unwrap();
    assert_eq!(found.iter().map(|uri| uri.key().to_owned()).collect::<Vec<_>>(), below(&gone));
    let counts = setup.ledger.job(id).await.unwrap().unwrap().counts;
    assert_eq!((counts.listed, counts.skipped), ((folders.len() + images.len()) as u64, folders.len() as u64));
}
