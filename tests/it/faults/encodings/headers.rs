//! Objects with headers that S3 does not send.

use serde_json::json;

use super::{image_facts, start_over, succeeded};
use crate::support::scripted_bucket::{Mode, ScriptedBucket};

#[tokio::test(flavor = "multi_thread")]
async fn an_unusual_header_does_not_fail_an_object() {
    let bucket = ScriptedBucket::start(Mode::Latin1Meta).await;
    bucket.change(|script| {
        let mut add = |key: &str, name: &str, value: &[u8]| {
            script.object(key).headers.push((name.to_owned(), value.to_vec()));
        };
        add("a.jpg", "expires", b"never");
        add("a.jpg", "last-modified", b"yesterday");
        add("a.jpg", "cache-control", b"max-age=\xff");
        add("a.jpg", "content-disposition", b"inline; filename=M\xfcller.jpg");
        add("a.jpg", "content-language", b"fran\xe7ais");
        add("a.jpg", "x-amz-tagging-count", b"many");
        add("a.jpg", "x-amz-missing-meta", b"some");
        add("a.jpg", "x-amz-delete-marker", b"perhaps");
        add("a.jpg", "x-amz-object-lock-retain-until-date", b"soon");
        add("b.jpg", "content-type", b"image/jp\xe9g");
        add("b.jpg", "x-amz-meta-twice", b"one");
        add("b.jpg", "x-amz-meta-twice", b"two");
        add("b.jpg", "x-amz-meta-title", b"=?ISO-8859-1?Q?Z=FCrich?=");
        add("b.jpg", "x-amz-meta-place", b"=?UTF-8?B?WsO8cmljaA==?=");
        add("d.jpg", "x-amz-meta-long", "\u{fc}".repeat(20_000).as_bytes());
        for number in 0..90 {
            add("e.jpg", &format!("x-amz-meta-n{number:02}"), b"\xe9");
        }
    });
    let app = start_over(&bucket, &[]).await;
    let job = app.ingest_with(json!({})).await;
    succeeded(&job);
    assert_eq!(job.counts.done, 4);
    for key in ["a.jpg", "b.jpg", "d.jpg"] {
        assert_eq!(image_facts(&app, key).await["meta"]["author"], "M\u{fc}ller", "{key}");
    }
    let meta = image_facts(&app, "b.jpg").await["meta"].clone();
    assert_eq!(
        (&meta["twice"], &meta["title"], &meta["place"]),
        (&json!("one, two"), &json!("Z\u{fc}rich"), &json!("Z\u{fc}rich"))
    );
    assert_eq!(image_facts(&app, "d.jpg").await["meta"]["long"].as_str().unwrap().len(), 2_048);
    assert_eq!(image_facts(&app, "e.jpg").await["meta"].as_object().unwrap().len(), 64);
}
