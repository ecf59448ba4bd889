//! Tests of the keys at which ranges are divided.

use crate::jobs::run::listing::lanes::fake_bucket::{FakeBucket, StartAfter};
use crate::jobs::run::listing::lanes::search::*;
use crate::source::SourceError;

fn rest(position: &str, end: Option<&str>) -> Rest {
    let position = position.to_owned();
    Rest { after: position.clone(), position, end: end.map(str::to_owned), limit: None }
}

async fn find(bucket: &FakeBucket, prefix: &str, rest: &Rest, width: usize) -> Result<Found, JobFailure> {
    let mut alphabet = Alphabet::new(prefix);
    alphabet.add(&rest.position);
    find_keys(Probes { source: bucket, bucket: "b", prefix }, rest, &alphabet, width).await
}

#[tokio::test]
async fn keys_are_found_that_spread_the_rest_over_the_lanes() {
    let keys: Vec<String> = (0..10_000).map(|key| format!("a/long/shared/folder/{key:08}.jpg")).collect();
    let bucket = FakeBucket::new(keys.clone(), 10);
    for prefix in ["", "a/", "a/long/shared/folder/"] {
        for width in [1, 3, 7] {
            let rest = rest(&keys[100], None);
            let first = find(&bucket, prefix, &rest, width).await.unwrap();
            let largest = first.keys.last().map(|key| keys.binary_search(key).unwrap());
            assert!(largest >= Some(1_000), "{prefix} {width}: {first:?}");
            assert!(first.limit.as_deref() >= Some("a/long/shared/folder/0001"), "{first:?}");
            // Now something is known about the end.
            let rest = Rest { limit: first.limit, ..rest };
            let found = find(&bucket, prefix, &rest, width).await.unwrap();
            assert!(found.keys.iter().all(|key| keys.binary_search(key).is_ok()), "they exist: {found:?}");
            assert!(found.keys.len() > width / 2 && found.keys.is_sorted(), "{prefix} {width}: {found:?}");
            let largest = found.keys.last().map(|key| keys.binary_search(key).unwrap());
            assert!(largest >= Some(4_000), "{prefix} {width}: {found:?}");
        }
    }
    let probes = bucket.content().probes;
    assert!(probes < 9 * (5 * 7 + 7), "{probes}");
}

#[tokio::test]
async fn keys_are_found_only_inside_the_range() {
    let bucket = FakeBucket::new((0..1_000).map(|key| format!("{key:04}")), 10);
    for (position, end) in [("0100", "0900"), ("0100", "0199"), ("0100", "0103"), ("0009", "0011")] {
        let found = find(&bucket, "", &rest(position, Some(end)), 4).await.unwrap();
        assert!(!found.keys.is_empty(), "{position} {end}");
        assert!(
            found.keys.iter().all(|key| key.as_str() > position && key.as_str() < end),
            "{position} {end}: {found:?}"
        );
    }
    for (position, end) in [("0100", Some("0101")), ("0999", None), ("0500", Some("0500"))] {
        assert_eq!(find(&bucket, "", &rest(position, end), 4).await.unwrap(), Found::default(), "{position} {end:?}");
    }
}

#[tokio::test]
async fn every_key_can_be_the_position() {
    let keys =
        ["a", "a\u{10FFFF}", "a\u{10FFFF}b", "é", "\u{D7FF}", "\u{E000}", "\u{10FFFF}", "\u{10FFFF}\u{10FFFF}", "\n"];
    let bucket = FakeBucket::new(keys.map(str::to_owned), 10);
    for position in keys {
        let later = keys.iter().filter(|key| **key > position).count();
        let found = find(&bucket, "", &rest(position, None), 3).await.unwrap();
        assert!(
            found.keys.len() <= later && found.keys.iter().all(|key| key.as_str() > position),
            "{position}: {found:?}"
        );
    }
}

#[tokio::test]
async fn a_service_that_ignores_the_start_or_fails_is_noticed() {
    let bucket = FakeBucket::new((0..1_000).map(|key| format!("{key:04}")), 10);
    bucket.content().start_after = StartAfter::Ignored;
    let failure = find(&bucket, "", &rest("0100", None), 4).await.unwrap_err();
    assert!(matches!(failure, JobFailure::Unordered { .. }), "{failure}");
    bucket.content().start_after = StartAfter::Refused;
    let failure = find(&bucket, "", &rest("0100", None), 4).await.unwrap_err();
    assert!(matches!(failure, JobFailure::Listing(SourceError::Refused { .. })), "{failure}");
}
