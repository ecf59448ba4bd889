//! Buckets that list their keys in another order than that of the bytes, or not after a given key.

use std::collections::BTreeSet;

use super::{Setup, numbered};
use crate::jobs::job_failure::JobFailure;
use crate::jobs::run::listing::lanes::fake_bucket::{FakeBucket, Order, StartAfter};

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
