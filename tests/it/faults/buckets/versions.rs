//! How changed objects are recognised in buckets with unusual ETags.

use serde_json::json;

use super::plain::{service, succeeded};
use crate::support::scripted_bucket::{Etags, Mode, Script, ScriptedBucket};

/// Indexes, finds nothing changed, and then finds one object that was overwritten with the same number of bytes.
async fn assert_change_is_noticed(mut script: Script, header: bool, overwrite: impl Fn(&mut Script)) {
    if header {
        for object in &mut script.objects {
            object.last_modified = Some("Thu, 01 Jan 2026 00:00:00 GMT".to_owned());
        }
    }
    let label = format!("{:?}, {header}", script.etags);
    let bucket = ScriptedBucket::start_with(script).await;
    let app = service(&bucket).await;
    assert_eq!(succeeded(&app, json!({})).await.counts.done, 4, "{label}");
    let same = succeeded(&app, json!({})).await;
    assert_eq!((same.counts.unchanged, bucket.all_gets()), (4, 4), "{label}");
    bucket.change(overwrite);
    let changed = succeeded(&app, json!({})).await;
    assert_eq!((changed.counts.unchanged, changed.counts.done, bucket.gets("b.jpg")), (3, 1, 2), "{label}");
    assert_eq!(succeeded(&app, json!({})).await.counts.unchanged, 4, "{label}");
}

fn from_last_modified(script: &mut Script) {
    "2026-01-01T00:00:09.000Z".clone_into(&mut script.object("b.jpg").modified);
    let header = &mut script.object("b.jpg").last_modified;
    *header = header.take().map(|_| "Thu, 01 Jan 2026 00:00:09 GMT".to_owned());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_usable_etag_a_change_is_noticed_by_time_and_size() {
    for etags in [Etags::Empty, Etags::QuotedEmpty, Etags::AbsentInListing, Etags::Absent] {
        for header in [true, false] {
            assert_change_is_noticed(Script { etags, ..Script::four() }, header, from_last_modified).await;
        }
    }
    // The ETag that a MinIO server gives to files that were copied into its folder.
    let mut script = Script::four();
    for object in &mut script.objects {
        "00000000000000000000000000000000-1".clone_into(&mut object.etag);
    }
    assert_change_is_noticed(script, true, from_last_modified).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etag_is_the_same_in_every_notation() {
    for etags in [Etags::Weak, Etags::Unquoted, Etags::Quoted] {
        let overwrite = |script: &mut Script| "2".clone_into(&mut script.object("b.jpg").etag);
        assert_change_is_noticed(Script { etags, ..Script::four() }, true, overwrite).await;
    }
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    let app = service(&bucket).await;
    succeeded(&app, json!({})).await;
    bucket.change(|script| {
        script.etags = Etags::Weak;
        script.objects.iter_mut().for_each(|object| "2026-02-02T00:00:00.000Z".clone_into(&mut object.modified));
    });
    assert_eq!(succeeded(&app, json!({})).await.counts.unchanged, 4, "with an ETag the time is ignored");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etag_that_differs_between_listing_and_reading_changes_nothing() {
    for header in [true, false] {
        let overwrite = |script: &mut Script| "2".clone_into(&mut script.object("b.jpg").etag);
        assert_change_is_noticed(Script { etags: Etags::OtherInReply, ..Script::four() }, header, overwrite).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_etag_counts_as_missing() {
    for mode in [Mode::EmptyEtag, Mode::NoEtag] {
        let bucket = ScriptedBucket::start(mode).await;
        let app = service(&bucket).await;
        succeeded(&app, json!({})).await;
        bucket.change(from_last_modified);
        assert_eq!(succeeded(&app, json!({})).await.counts.done, 1, "{mode:?}");
    }
}
