//! Tests which objects count as vanished, for different pages of a listing.

use crate::domain::StoreSet;
use crate::ledger::fixture::{all_objects, collection, complete, plan, record};
use crate::ledger::leases::report::tests::{ledger_with_job, planning};
use crate::ledger::planning::vanished::*;
use crate::ledger::planning::{Planned, listing};
use crate::ledger::{Ledger, ObjectRow, jobs, planning};

/// Records objects that the collection has.
async fn record_objects(ledger: &Ledger, uris: &[&str]) {
    let known = |uri: &&str| ObjectRow {
        uri: ImageUri::parse(uri).unwrap(),
        etag: "e".into(),
        size_bytes: 1,
        space: "s".into(),
        stores: StoreSet::parse("embedded"),
    };
    record(ledger, uris.iter().map(known).collect()).await;
}

fn page(keys: &[&str]) -> Page {
    Page {
        listed_through: keys.last().map(|key| (*key).to_owned()),
        listed: keys.len() as u64,
        skipped: keys.len() as u64,
        others: keys.iter().map(|key| ImageUri::new("b", key)).collect(),
        ..Page::default()
    }
}

async fn vanished_keys(ledger: &Ledger, job: JobId) -> Vec<String> {
    ledger.read(move |db| list(db, job, 100)).await.unwrap().iter().map(|uri| uri.key().to_owned()).collect()
}

async fn progress(ledger: &Ledger, job: JobId) -> (Option<String>, bool) {
    ledger.read(move |db| listing::progress(db, job)).await.unwrap()
}

#[tokio::test]
async fn objects_outside_the_prefix_never_vanish_even_if_the_bucket_lists_such_keys() {
    let (_folder, ledger, job) = ledger_with_job().await;
    record_objects(&ledger, &["s3://b/A.jpg", "s3://b/Photos/1.jpg", "s3://b/a.jpg", "s3://b/b.jpg"]).await;
    let planning = || Planning { owned_prefix: Some("s3://b/Photos/".to_owned()), ..planning(10) };
    plan(&ledger, job, page(&["0.jpg"]), planning()).await;
    plan(&ledger, job, page(&["photos/1.jpg"]), planning()).await;
    complete(&ledger, job, planning(), true).await;
    assert_eq!(vanished_keys(&ledger, job).await, ["Photos/1.jpg"]);
}

#[tokio::test]
async fn only_objects_below_the_prefix_vanish_and_only_when_the_listing_has_passed_them() {
    let (_folder, ledger, job) = ledger_with_job().await;
    let other_objects = ["s3://a/im1.jpg", "s3://b/a.jpg", "s3://b/il.jpg", "s3://b/in.jpg", "s3://bb/im1.jpg"];
    let owned_objects =
        ["s3://b/im", "s3://b/im/1.jpg", "s3://b/im/2.jpg", "s3://b/im/ü.jpg", "s3://b/im2.jpg", "s3://b/im\u{10FFFF}"];
    record_objects(&ledger, &other_objects).await;
    record_objects(&ledger, &owned_objects).await;
    let planning = || Planning { owned_prefix: Some("s3://b/im".to_owned()), ..planning(10) };
    plan(&ledger, job, page(&["im/1.jpg", "im/1b.jpg"]), planning()).await;
    assert_eq!(vanished_keys(&ledger, job).await, ["im"], "before the first key of the listing");
    plan(&ledger, job, page(&["im/3.jpg"]), planning()).await;
    assert_eq!(vanished_keys(&ledger, job).await, ["im", "im/2.jpg"], "between two pages");
    assert_eq!(ledger.read_in_steps(losses(job)).await.unwrap(), Losses { owned: 3, vanished: 2 });
    complete(&ledger, job, planning(), true).await;
    assert_eq!(
        vanished_keys(&ledger, job).await,
        ["im", "im/2.jpg", "im/ü.jpg", "im2.jpg", "im\u{10FFFF}"],
        "after the last page"
    );

    let found = ledger.read_in_steps(losses(job)).await.unwrap();
    assert_eq!(found, Losses { owned: 6, vanished: 5 });
    assert!(found.exceed(83, 0) && !found.exceed(84, 0) && Losses { vanished: 1, ..found }.exceed(83, 4));
    for _ in 0..2 {
        let some = vec![ImageUri::new("b", "im"), ImageUri::new("b", "im2.jpg")];
        ledger.write(move |tx| remove(tx, job, &collection(), &some)).await.unwrap();
        assert_eq!(
            ledger.job(job).await.unwrap().unwrap().counts.deleted,
            2,
            "an object that is removed twice counts once"
        );
    }
    let left: Vec<_> = all_objects(&ledger).await;
    assert_eq!(left.len(), other_objects.len() + owned_objects.len() - 2);
}

#[tokio::test]
async fn objects_after_the_end_of_an_incomplete_listing_do_not_vanish() {
    let (_folder, ledger, job) = ledger_with_job().await;
    record_objects(&ledger, &["s3://b/1.jpg", "s3://b/2.jpg"]).await;
    let planning = || Planning { owned_prefix: Some("s3://b/".to_owned()), ..planning(10) };
    plan(&ledger, job, page(&["1.jpg"]), planning()).await;
    complete(&ledger, job, planning(), false).await;
    assert!(vanished_keys(&ledger, job).await.is_empty());
}

#[tokio::test]
async fn a_folder_that_vanished_is_processed_in_steps_and_listed_keys_count_once() {
    let (_folder, ledger, job) = ledger_with_job().await;
    let total = 4 * MAX_VANISHED_PER_STEP;
    let uris: Vec<String> = (0..total).map(|key| format!("s3://b/{key:06}.jpg")).collect();
    record_objects(&ledger, &uris.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let planning = || Planning { owned_prefix: Some("s3://b/".to_owned()), ..planning(10) };
    let image = |key: &str| {
        let etag = Some("e".to_owned());
        crate::domain::ImageRef { uri: ImageUri::new("b", key), etag, size_bytes: 1, modified: None }
    };
    // The first object, the one in the middle, and new ones next to them; all others have vanished.
    let mut left = page(&["000000.jpg", "010000.jpg"]);
    left.images = ["004999.jpg.jpg", "005001.jpg.jpg", "010000b.jpg"].map(image).to_vec();
    (left.listed, left.listed_through) = (5, Some("010000b.jpg".to_owned()));
    let step = ledger.write(move |tx| planning::plan_some(tx, job, &planning(), left, &mut Planned::default()));
    let rest = step.await.unwrap();
    assert_eq!(
        progress(&ledger, job).await,
        (Some("005000.jpg".to_owned()), false),
        "the listing continues there after a crash"
    );
    let rest = rest.unwrap();
    assert!(rest.images[0].uri.key() == "005001.jpg.jpg" && rest.listed == 3, "{rest:?}");
    plan(&ledger, job, rest, planning()).await;
    assert_eq!(progress(&ledger, job).await, (Some("010000b.jpg".to_owned()), false));
    let mut step = planning::complete(job, planning(), true);
    assert!(ledger.write(move |tx| step(tx)).await.unwrap().is_continue());
    assert_eq!(progress(&ledger, job).await, (Some("015000.jpg".to_owned()), false));
    complete(&ledger, job, planning(), true).await;
    assert!(progress(&ledger, job).await.1);
    let counts = ledger.job(job).await.unwrap().unwrap().counts;
    assert_eq!((counts.listed, counts.skipped, counts.unchanged, counts.left()), (5, 2, 0, 3));
    let vanished = total - 2;
    assert_eq!(ledger.read_in_steps(losses(job)).await.unwrap(), Losses { owned: total, vanished });
    ledger.in_steps(jobs::clear(job)).await.unwrap();
    assert_eq!(ledger.read_in_steps(losses(job)).await.unwrap(), Losses { owned: total, vanished: 0 });
}

#[tokio::test]
async fn with_an_empty_bucket_a_dry_run_reports_every_object_as_deleted() {
    let (_folder, ledger, job) = ledger_with_job().await;
    let uris: Vec<String> = (10..40).map(|key| format!("s3://b/{key}.jpg")).collect();
    record_objects(&ledger, &uris.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let owned_prefix = Some("s3://b/".to_owned());
    let dry = Planning { owned_prefix, dry_run: Some(StoreSet::parse("embedded")), ..planning(10) };
    complete(&ledger, job, dry, true).await;
    let plan = ledger.job(job).await.unwrap().unwrap().plan.unwrap();
    assert_eq!((plan.deleted, plan.examples.deleted.len()), (30, 10));
    assert_eq!(plan.examples.deleted[0], "10.jpg");
    assert_eq!(ledger.read_in_steps(losses(job)).await.unwrap(), Losses { owned: 30, vanished: 0 });
}

#[test]
fn the_bucket_of_a_uri_is_its_first_part() {
    assert_eq!(bucket_of("s3://b/im/x"), "s3://b/");
    assert_eq!(bucket_of("s3://b/"), "s3://b/");
}
