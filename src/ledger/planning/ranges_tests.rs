//! Tests of the ranges of a listing.

use crate::domain::{ImageUri, JobId, StoreSet};
use crate::ledger::fixture::{self, collection, plan, record};
use crate::ledger::leases::report::tests::{ledger_with_job, planning};
use crate::ledger::planning::ranges::*;
use crate::ledger::planning::{Page, Planning, complete_range, listing, vanished};
use crate::ledger::{Ledger, ObjectRow, jobs};

#[expect(clippy::unnecessary_wraps, reason = "a range begins or ends at a key, or is open")]
fn key(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A page whose keys are not images.
fn page(range: Option<&str>, keys: &[&str]) -> Page {
    Page {
        listed_through: keys.last().and_then(|last| key(last)),
        listed: keys.len() as u64,
        skipped: keys.len() as u64,
        others: keys.iter().map(|key| ImageUri::new("b", key)).collect(),
        range: range.map(str::to_owned),
        ..Page::default()
    }
}

async fn ranges(ledger: &Ledger, job: JobId) -> Vec<KeyRange> {
    ledger.read(move |db| list(db, job)).await.unwrap()
}

async fn split_at(ledger: &Ledger, job: JobId, after: &'static str, keys: &'static [&str]) -> usize {
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    ledger.write(move |tx| split(tx, job, after, &keys)).await.unwrap().len()
}

async fn complete(ledger: &Ledger, job: JobId, after: &str, planning: Planning) {
    ledger.in_steps(complete_range(job, planning, after.to_owned())).await.unwrap();
}

async fn is_complete(ledger: &Ledger, job: JobId) -> bool {
    ledger.read(move |db| listing::progress(db, job)).await.unwrap().1
}

#[tokio::test]
async fn a_range_is_split_only_between_its_position_and_its_end() {
    let (_folder, ledger, job) = ledger_with_job().await;
    plan(&ledger, job, page(None, &["a", "b"]), planning(10)).await;
    for _ in 0..2 {
        ledger.write(move |tx| begin(tx, job)).await.unwrap();
    }
    let range = |after: &str, through: Option<&str>| KeyRange {
        after: after.to_owned(),
        through: through.map(str::to_owned),
        listed_through: None,
    };
    assert_eq!(ranges(&ledger, job).await, [range("b", None)]);
    assert_eq!(split_at(&ledger, job, "b", &["m", "t"]).await, 2);
    let expected = [range("b", Some("m")), range("m", Some("t")), range("t", None)];
    assert_eq!(ranges(&ledger, job).await, expected);
    plan(&ledger, job, page(Some("m"), &["n", "o"]), planning(10)).await;
    for (after, keys) in [
        ("b", &["b"][..]),
        ("b", &["m"]),
        ("b", &["z"]),
        ("b", &["d", "c"]),
        ("b", &["c", "c"]),
        ("b", &["c", "m"]),
        ("b", &[]),
        ("m", &["o"]),
        ("m", &["n", "p"]),
        ("x", &["y"]),
    ] {
        assert_eq!(split_at(&ledger, job, after, keys).await, 0, "{after}: {keys:?}");
    }
    let listed = KeyRange { listed_through: key("o"), ..range("m", Some("t")) };
    assert_eq!(ranges(&ledger, job).await, [range("b", Some("m")), listed, range("t", None)]);
    assert_eq!(split_at(&ledger, job, "t", &["\u{10FFFF}"]).await, 1);
    ledger.in_steps(jobs::clear(job)).await.unwrap();
    assert_eq!(ranges(&ledger, job).await, []);
}

#[tokio::test]
async fn a_listing_is_complete_with_its_last_range() {
    let (_folder, ledger, job) = ledger_with_job().await;
    ledger.write(move |tx| begin(tx, job)).await.unwrap();
    assert_eq!(split_at(&ledger, job, "", &["f", "p"]).await, 2);
    for (after, left) in [("p", 2), ("", 1), ("f", 0)] {
        assert!(!is_complete(&ledger, job).await);
        for _ in 0..2 {
            complete(&ledger, job, after, planning(10)).await;
        }
        assert_eq!(ranges(&ledger, job).await.len(), left);
    }
    assert!(is_complete(&ledger, job).await);
}

#[tokio::test]
async fn each_range_finds_its_own_vanished_objects_whatever_their_order_is() {
    let (_folder, ledger, job) = ledger_with_job().await;
    let total = 12_000;
    let uris = (0..total).map(|key| ImageUri::new("b", &format!("im/{key:06}")));
    let others = ["im", "in", "im/", "im/x"].map(|key| ImageUri::new("b", key));
    let row = |uri| {
        let stores = StoreSet::parse("embedded");
        ObjectRow { uri, etag: "e".to_owned(), size_bytes: 1, space: "s".to_owned(), stores }
    };
    record(&ledger, uris.chain(others).map(row).collect()).await;
    let planning = || Planning { owned_prefix: Some("s3://b/im/".to_owned()), ..planning(10) };
    plan(&ledger, job, page(None, &["im/000001"]), planning()).await;
    ledger.write(move |tx| begin(tx, job)).await.unwrap();
    // More objects than fit into one step vanished from the second range.
    assert_eq!(split_at(&ledger, job, "im/000001", &["im/000100", "im/011000"]).await, 2);
    plan(&ledger, job, page(Some("im/011000"), &["im/011001", "im/011999"]), planning()).await;
    complete(&ledger, job, "im/011000", planning()).await;
    plan(&ledger, job, page(Some("im/000100"), &["im/000101"]), planning()).await;
    complete(&ledger, job, "im/000100", planning()).await;
    plan(&ledger, job, page(Some("im/000001"), &["im/000050", "im/000100"]), planning()).await;
    complete(&ledger, job, "im/000001", planning()).await;
    assert!(is_complete(&ledger, job).await);
    let kept = ["im/000001", "im/000050", "im/000100", "im/000101", "im/011001", "im/011999"];
    // Two more than the numbered ones: `im/` and `im/x`.
    let losses = ledger.read_in_steps(vanished::losses(job)).await.unwrap();
    assert_eq!(losses, vanished::Losses { owned: total + 2, vanished: total + 2 - kept.len() as u64 });
    let list = ledger.read(move |db| vanished::list(db, job, 20_000)).await.unwrap();
    assert!(list.iter().all(|uri| !kept.contains(&uri.key()) && uri.key().starts_with("im/")));
    assert_eq!(fixture::all_objects(&ledger).await.len() as u64, total + 4);
    let first = vec![list[0].clone()];
    ledger.write(move |tx| vanished::remove(tx, job, &collection(), &first)).await.unwrap();
    assert_eq!(fixture::all_objects(&ledger).await.len() as u64, total + 3);
}
