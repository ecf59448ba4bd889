//! Keys that are not UTF-8, or that XML cannot represent.

use serde_json::json;

use super::plain::{service, succeeded};
use crate::support::demo_image;
use crate::support::scripted_bucket::{Mode, Object, Script, ScriptedBucket};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_utf8_is_skipped_and_named_and_the_others_are_indexed() {
    for encodes in [true, false] {
        let bucket = ScriptedBucket::start(Mode::Latin1Key).await;
        bucket.change(|script| script.encodes = encodes);
        let app = service(&bucket).await;
        let job = succeeded(&app, json!({})).await;
        assert_eq!((job.counts.listed, job.counts.skipped, job.counts.done, job.counts.failed), (5, 1, 4, 0));
        assert!(job.message.as_ref().unwrap().contains("1 entry of the listing cannot be read"), "{job:?}");
        let lines = app.log(&job.job_id).await;
        assert!(lines.contains("caf\u{FFFD}.jpg"), "{lines}");

        bucket.change(|script| drop(script.objects.remove(0)));
        let mirror = json!({"sync": true, "max_delete_percent": 100});
        let plan = app.ingest_with(json!({"sync": true, "dry_run": true})).await.plan.unwrap();
        assert_eq!(plan.deleted, 0);
        let job = succeeded(&app, mirror.clone()).await;
        assert_eq!((job.counts.unchanged, job.counts.deleted), (3, 0));
        assert!(job.message.unwrap().contains("sync removes no record in this run"));
        bucket.change(|script| script.objects.retain(|object| object.key.is_ascii()));
        assert_eq!(succeeded(&app, mirror).await.counts.deleted, 1, "without such a key it does");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_removes_nothing_after_a_page_with_fewer_entries_than_its_key_count() {
    let bucket = ScriptedBucket::start(Mode::Plain).await;
    bucket.change(|script| script.missing_entries = Some(0));
    let app = service(&bucket).await;
    let job = succeeded(&app, json!({})).await;
    assert!(job.counts.done > 1 && job.counts.skipped == 0, "{job:?}");
    let mirror = json!({"sync": true, "max_delete_percent": 100});
    bucket.change(|script| {
        drop(script.objects.remove(0));
        script.missing_entries = Some(1);
        script.page = 100;
    });
    let job = succeeded(&app, mirror.clone()).await;
    assert_eq!((job.counts.deleted, job.counts.skipped), (0, 1));
    assert!(job.message.unwrap().contains("sync removes no record in this run"));
    bucket.change(|script| script.missing_entries = Some(0));
    assert_eq!(succeeded(&app, mirror).await.counts.deleted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_utf8_key_is_indexed() {
    let image = demo_image("cat.jpg");
    let keys = ["bom\u{FEFF}.jpg", "end\u{FFFD}.jpg", "nonchar\u{FDD0}.jpg", "\u{FDD0}\u{FDEF}.jpg", "\u{1FFFE}.jpg"];
    for encodes in [true, false] {
        let objects = keys.iter().map(|key| Object::new(key, image.clone())).collect();
        let bucket = ScriptedBucket::start_with(Script { objects, encodes, ..Script::default() }).await;
        let job = succeeded(&service(&bucket).await, json!({})).await;
        assert_eq!((job.counts.listed, job.counts.skipped, job.counts.done), (5, 0, 5), "{encodes}: {job:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_cdata_sections_are_read() {
    let image = demo_image("cat.jpg");
    let objects = ["a&b.jpg", "c<d>.jpg", "e.jpg"].map(|key| Object::new(key, image.clone())).to_vec();
    let bucket = ScriptedBucket::start_with(Script { objects, encodes: false, cdata: true, ..Script::default() }).await;
    let job = succeeded(&service(&bucket).await, json!({"sync": true})).await;
    assert_eq!((job.counts.listed, job.counts.skipped, job.counts.done), (3, 0, 3), "{job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_with_control_characters_do_not_stop_a_job() {
    let image = demo_image("cat.jpg");
    let keys: [&[u8]; 5] = [b"a\x01b.jpg", b"line\nbreak.jpg", b"nul\x00.jpg", b"tab\t.jpg", b"plain.jpg"];
    for encodes in [true, false] {
        let objects = keys.iter().map(|key| Object::new(key, image.clone())).collect();
        let bucket = ScriptedBucket::start_with(Script { objects, encodes, page: 10, ..Script::default() }).await;
        let app = service(&bucket).await;
        let job = succeeded(&app, json!({})).await;
        let counts = job.counts;
        assert!(counts.done >= 1 && counts.done + counts.skipped + counts.failed == 5, "{encodes}: {counts:?}");
        if encodes {
            assert_eq!(
                (counts.skipped, counts.failed),
                (0, 0),
                "they can be read as they are: {:?}",
                app.failures(&job.job_id).await
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_keys_that_are_not_utf8_do_not_flood_the_log() {
    let mut script = Script { page: 100, ..Script::four() };
    let image = script.objects[0].bytes.clone();
    script
        .objects
        .extend((0..150_u8).map(|at| Object::new([&[b'z', 0xE9, at][..], &[b'x'; 900]].concat(), image.clone())));
    let bucket = ScriptedBucket::start_with(script).await;
    let app = service(&bucket).await;
    let job = succeeded(&app, json!({})).await;
    assert_eq!((job.counts.skipped, job.counts.done), (150, 4));
    let lines = app.log(&job.job_id).await;
    assert!(lines.contains("150 entries of the listing cannot be read") && lines.len() < 20_000, "{}", lines.len());
}
