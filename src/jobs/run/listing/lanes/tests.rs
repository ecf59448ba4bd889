//! Tests of a listing in several lanes, over a bucket in memory: it has the same result as one lane, or it fails.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as AtomicOrdering};
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::fake_bucket::{FakeBucket, Order, StartAfter};
use crate::domain::{Executor, ImageUri, JobId, JobRecord, StoreSet};
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::plan::{ListLanes, Planner};
use crate::ledger::planning::{Planning, listing, vanished};
use crate::ledger::{Ledger, ObjectRow, fixture, logs};
use crate::source::SourceError;

/// A job over a bucket.
struct Setup {
    _folder: tempfile::TempDir,
    ledger: Ledger,
    job: JobRecord,
    planner: Planner,
    stop: CancellationToken,
}

impl Setup {
    async fn new(bucket: &FakeBucket, prefix: &str, lanes: usize, sync: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let mut job = fixture::job(Executor::Local);
        (job.spec.prefix, job.spec.sync, job.spec.any_extension) = (prefix.to_owned(), sync, true);
        fixture::begin(&ledger, &job).await;
        let owned_prefix = sync.then(|| format!("s3://b/{prefix}"));
        let number = NonZeroUsize::new(lanes).unwrap();
        let planner = Planner {
            ledger: ledger.clone(),
            source: Arc::new(bucket.clone()),
            stores: store::stores(folder.path()),
            planning: Planning { owned_prefix, ..fixture::planning(10) },
            thumbnail_prefix: String::new(),
            max_bytes: 1_000,
            lanes: ListLanes { number, keys_in_one_lane: 5, min_keys_left: 4 },
            planned: Arc::new(Notify::new()),
        };
        Self { _folder: folder, ledger, job, planner, stop: CancellationToken::new() }
    }

    async fn plan(&self) -> Result<(), JobFailure> {
        self.planner.plan(&self.job, &self.stop).await
    }

    /// The planned keys in their order, also those that are planned twice.
    async fn planned(&self) -> Vec<String> {
        let id = self.job.id;
        let uris = move |db: &rusqlite::Connection| {
            let mut rows = db.prepare("SELECT uri FROM items WHERE job = ?1 ORDER BY uri")?;
            rows.query_map([id], |row| row.get::<_, ImageUri>(0))?.collect::<rusqlite::Result<Vec<_>>>()
        };
        self.ledger.read(uris).await.unwrap().iter().map(|uri| uri.key().to_owned()).collect()
    }

    async fn is_complete(&self) -> bool {
        let id: JobId = self.job.id;
        self.ledger.read(move |db| listing::progress(db, id)).await.unwrap().1
    }

    async fn log(&self) -> String {
        let id = self.job.id;
        let page = self.ledger.read(move |db| logs::page(db, id, None)).await.unwrap();
        page.lines.into_iter().map(|(_, line)| line + "\n").collect()
    }

    /// Records that the collection has these keys.
    async fn record(&self, keys: impl IntoIterator<Item = String>) {
        let row = |key: String| ObjectRow {
            uri: ImageUri::new("b", &key),
            etag: "e".to_owned(),
            size_bytes: 1,
            space: "s".to_owned(),
            stores: StoreSet::parse("embedded"),
        };
        fixture::record(&self.ledger, keys.into_iter().map(row).collect()).await;
    }
}

fn numbered(keys: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    keys.map(|key| format!("images/{key:06}.jpg"))
}

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

/// First the files of a folder, then those of its subfolders, as some file systems list them.
fn folders_last(one: &str, other: &str) -> std::cmp::Ordering {
    let key = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
    key(one).cmp(&key(other))
}

fn ignoring_case(one: &str, other: &str) -> std::cmp::Ordering {
    one.to_lowercase().cmp(&other.to_lowercase()).then(one.cmp(other))
}

fn utf16(one: &str, other: &str) -> std::cmp::Ordering {
    one.encode_utf16().cmp(other.encode_utf16())
}

fn descending(one: &str, other: &str) -> std::cmp::Ordering {
    other.cmp(one)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_list_the_keys_after_a_given_one_is_listed_in_one_lane() {
    let cases: [(Order, StartAfter, &str); 6] = [
        (str::cmp, StartAfter::Ignored, "start-after"),
        (descending, StartAfter::Filters, "byte order"),
        (str::cmp, StartAfter::Refused, "start-after"),
        (descending, StartAfter::InOrder, "byte order"),
        (descending, StartAfter::Refused, "byte order"),
        (descending, StartAfter::Ignored, "byte order"),
    ];
    for (order, start_after, reason) in cases {
        let bucket = FakeBucket::new(numbered(0..300), 10);
        (bucket.content().order, bucket.content().start_after) = (order, start_after);
        let setup = Setup::new(&bucket, "", 8, false).await;
        setup.plan().await.unwrap();
        assert_eq!(setup.planned().await, numbered(0..300).collect::<Vec<_>>());
        let log = setup.log().await;
        assert!(log.contains("one lane") && log.contains(reason) && log.contains("S3_LIST_LANES"), "{log}");
        let content = bucket.content();
        assert_eq!((content.max_running, content.pages), (1, 30));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_out_of_order_later_are_never_lost() {
    let keys = || {
        let folders = (0..40).flat_map(|folder| (0..12).map(move |key| format!("{folder:02}/{key:02}.jpg")));
        let beside = (0..40).map(|folder| format!("{folder:02}-x.jpg"));
        let letters = ["a", "B", "c", "D", "e", "F", "\u{FF21}", "😀", "\u{FF22}"];
        folders.chain(beside).chain(letters.into_iter().map(|name| format!("zz{name}")))
    };
    let expected: BTreeSet<String> = keys().collect();
    for order in [folders_last as Order, ignoring_case, utf16] {
        for (sync, lanes) in [(false, 1), (false, 8), (true, 8), (true, 1)] {
            let bucket = FakeBucket::new(keys(), 5);
            bucket.content().order = order;
            let setup = Setup::new(&bucket, "", lanes, sync).await;
            match setup.plan().await {
                Ok(()) => assert_eq!(setup.planned().await, expected.iter().cloned().collect::<Vec<_>>()),
                Err(JobFailure::UnorderedLanes { .. }) => assert!(!sync && lanes > 1 && !setup.is_complete().await),
                Err(JobFailure::Unordered { .. }) => assert!(sync && !setup.is_complete().await),
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_fails_fails_the_listing_and_the_next_run_continues() {
    for error in [SourceError::NoBucket("b".to_owned()), SourceError::Denied("b".to_owned())] {
        let bucket = FakeBucket::new(numbered(0..600), 10);
        let (failed, once) = (error.clone(), AtomicUsize::new(0));
        bucket.content().failure = Some(Box::new(move |after| {
            let fails = after > "images/000300" && once.fetch_add(1, AtomicOrdering::SeqCst) == 9;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_a_maximum_of_items_takes_the_first_ones_in_one_lane() {
    let bucket = FakeBucket::new(numbered(0..300), 10);
    let mut setup = Setup::new(&bucket, "", 8, false).await;
    setup.planner.planning.max_items = Some(55);
    setup.plan().await.unwrap();
    assert_eq!(setup.planned().await, numbered(0..55).collect::<Vec<_>>());
    assert_eq!(bucket.content().max_running, 1);
}

/// A store, which these tests do not use.
#[cfg(test)]
mod store {
    use std::path::Path;
    use std::sync::Arc;

    use crate::index::Stores;
    use crate::index::embedded::EmbeddedIndex;

    pub(super) fn stores(folder: &Path) -> Stores {
        Stores::new(vec![Arc::new(EmbeddedIndex::open(&folder.join("index")).unwrap())])
    }
}
