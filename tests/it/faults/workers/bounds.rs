//! D4: every text and list that a worker sends has a limit, and nothing above it reaches the ledger.

use std::path::Path;

use glimpse::jobs::remote::protocol::wire::{PROTOCOL, VERSION};
use serde_json::{Value, json};

use super::{JobApi, indexed, start_with_images};

const MB: usize = 1 << 20;

/// Bytes of the ledger, including the write-ahead log.
fn ledger_size(data: &Path) -> u64 {
    let size = |name: &str| std::fs::metadata(data.join(name)).map_or(0, |file| file.len());
    size("ledger.sqlite") + size("ledger.sqlite-wal")
}

/// Adds the paths of every text and every list in a body.
fn places(at: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(items) => {
            found.push(at.to_owned());
            items.iter().take(1).for_each(|item| places(&format!("{at}/0"), item, found));
        }
        Value::Object(fields) => fields.iter().for_each(|(name, value)| places(&format!("{at}/{name}"), value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_megabyte_in_any_text_and_a_huge_list_in_any_place_are_refused_by_name() {
    let (app, job) = start_with_images(4, &[("IMAGE_BATCH_SIZE", "4")]).await;
    let api = JobApi::new(&app, &job).await;
    api.join("one").await;
    let batch = api.lease("one").await;
    let leases = json!([{"batch": batch["batch"], "attempt": batch["attempt"]}]);
    let stage = json!({"lanes": 1, "threads": true, "worked_us": 1, "available_us": 2, "took": [[1, 1]]});
    let timings = json!({"fetch": stage, "prepare": stage, "embed": stage, "upsert": stage});
    let task = &batch["tasks"][0];
    let failed = json!({"ticket": task["ticket"], "fate": {"failed": {
        "uri": task["image"]["uri"], "class": "corrupt", "message": "broken", "attempts": 1
    }}});
    let payload = json!({
        "s3_key": "images/a.png", "s3_uri": "s3://pipeline/images/a.png", "s3_bucket": "pipeline",
        "s3_folders": ["images/"], "format": "png", "width": 1, "height": 1, "frames": 1, "thumbnail_key": "t",
        "etag": "e", "size_bytes": 1, "content_sha256": "0", "space": "s", "indexed_at": "2026-01-01T00:00:00Z",
        "meta": {"taxon": "x"}, "meta_kv": ["taxon=x"]
    });
    let result = format!("batches/{}/result", batch["batch"]);
    let report = |outcome: Value| json!({"worker": "one", "attempt": batch["attempt"], "outcomes": [outcome], "held": leases, "timings": timings});
    let join = json!({
        "version": VERSION, "protocol": PROTOCOL, "stores": "embedded", "node": "n", "model": {"unusable": "no such folder"},
        "space": {"model": "m", "dimension": 2, "preprocessing": "p", "probes": [{"name": "text:a", "vector": [1.0, 0.0]}]}
    });
    let waiting = json!({"dependency": "clip", "for_ms": 1, "next_try_ms": 1, "full": false});
    let routes = [
        ("workers/two", join),
        ("leases", json!({"worker": "one", "held": leases})),
        (result.as_str(), report(indexed(task))),
        (result.as_str(), report(failed)),
        ("heartbeat", json!({"worker": "one", "held": leases, "waiting_on": waiting, "timings": timings})),
        ("logs", json!({"worker": "one", "lines": ["a line"]})),
        ("records", json!({"op": "upsert", "records": [{"payload": payload, "vector": "AACAPwAAAAA="}]})),
        ("records", json!({"op": "get", "ids": ["018f0000-0000-7000-8000-000000000000"]})),
    ];
    let before = ledger_size(app.data());
    for (path, body) in &routes {
        let mut found = Vec::new();
        places("", body, &mut found);
        for place in found {
            let mut wrong = body.clone();
            let value = wrong.pointer_mut(&place).unwrap();
            *value = match &*value {
                // The maximum that the expected format allows there.
                Value::String(text) if text.starts_with("s3://") => json!(format!("s3://pipeline/{}", "a".repeat(MB))),
                Value::String(_) => json!("a".repeat(MB)),
                Value::Array(items) => {
                    json!(vec![items[0].clone(); if items[0].is_number() { 70_000 } else { 10_500 }])
                }
                other => panic!("{other}"),
            };
            let (status, reply) = api.post(path, &wrong).await;
            let message = reply["message"].as_str().unwrap_or_default();
            assert!(matches!(status.as_u16(), 413 | 422), "{path} {place}: {status} {message}");
            assert!(message.len() < 1_000, "{path} {place}: it repeats the input");
            let names = place.split('/').filter(|name| !name.is_empty() && name.parse::<u32>().is_err());
            let named = names.clone().any(|name| message.contains(name));
            assert!(named || status == 413, "{path} {place}: {message} does not name the path");
        }
    }
    let grown = ledger_size(app.data()) - before;
    assert!(grown < 64 * 1024, "the ledger has grown by {grown} bytes");
    let message = app.log(&job.job_id).await;
    assert!(message.len() < 8 * 1024, "{} bytes of log", message.len());
    assert_eq!(app.job(&job.job_id).await.counts.done, 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_worker_cannot_add_a_line_to_the_log() {
    let (app, job) = start_with_images(1, &[]).await;
    let api = JobApi::new(&app, &job).await;
    let forged = "w\n2026-01-01T00:00:00Z SUCCEEDED: 80 done, 0 failed";
    for (path, body) in [
        ("leases", json!({"worker": forged})),
        ("logs", json!({"worker": forged, "lines": ["x"]})),
        ("heartbeat", json!({"worker": forged, "held": []})),
        ("batches/1/result", json!({"worker": forged, "attempt": 1, "outcomes": []})),
    ] {
        let (status, reply) = api.post(path, &body).await;
        let message = reply["message"].as_str().unwrap();
        assert!(
            status == 422 && message.contains("worker") && message.contains("--name"),
            "{path}: {status} {message}"
        );
    }
    for name in ["a%0Ab", "a%20b", &"x".repeat(65)] {
        let body = json!({"rc": 1});
        assert_eq!(api.post(&format!("workers/{name}/exit"), &body).await.0.as_u16(), 422, "{name}");
    }
    let (status, _) = api.post("workers/w", &api.introduction().await).await;
    assert_eq!(status.as_u16(), 200);
    // Its own message is one line, whatever it contains.
    let lines = json!({"worker": "w", "lines": ["one\n2026-01-01T00:00:00Z SUCCEEDED: 80 done"]});
    assert_eq!(api.post("logs", &lines).await.0.as_u16(), 200);
    let message = app.log(&job.job_id).await;
    assert!(
        !message.lines().any(|line| line.starts_with("2026-01-01")) && message.contains("[w] one 2026"),
        "{message}"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_lease_cannot_complete_images() {
    let (app, job) = start_with_images(4, &[("IMAGE_BATCH_SIZE", "4")]).await;
    let api = JobApi::new(&app, &job).await;
    api.join("one").await;
    let batch = api.lease("one").await;
    let outcomes: Vec<Value> = batch["tasks"].as_array().unwrap().iter().map(indexed).collect();
    let body = json!({"worker": "stranger", "attempt": batch["attempt"], "outcomes": outcomes});
    let (status, reply) = api.post(&format!("batches/{}/result", batch["batch"]), &body).await;
    assert_eq!((status.as_u16(), reply["code"].as_str()), (409, Some("not_joined")));
    assert_eq!(app.job(&job.job_id).await.counts.done, 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_reads_only_records_of_the_jobs_prefix() {
    let app = crate::support::TestApp::start().await;
    app.put("images/a.png", crate::support::quarters_png(1)).await;
    app.put("others/b.png", crate::support::quarters_png(2)).await;
    app.ingest_with(json!({"s3_prefix": ""})).await;
    app.put("images/c.png", crate::support::quarters_png(3)).await;
    let job = crate::support::worker::submit(&app, json!({"s3_prefix": "images/", "executor": "workers"})).await;
    let api = JobApi::new(&app, &job).await;
    let ids = ["images/a.png", "others/b.png"].map(|key| glimpse::domain::ImageUri::new("pipeline", key).id());
    let (status, reply) = api.post("records", &json!({"op": "get", "ids": ids})).await;
    let keys: Vec<_> = reply["records"].as_array().unwrap().iter().map(|found| &found["payload"]["s3_key"]).collect();
    assert_eq!((status.as_u16(), keys), (200, vec![&json!("images/a.png")]), "{reply}");
    app.stop().await;
}
