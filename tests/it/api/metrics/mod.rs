//! `GET /metrics` of the real binary: a process of its own, so that other tests do not change its counts.

mod scrape;
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use glimpse::domain::ImageUri;
use glimpse::telemetry::metrics::families;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use self::scrape::Scrape;
use self::service::{BUCKET, KEY, Service};
use crate::support::demo_image;
use crate::support::services::cheap_clip::CheapClip;

const METRICS_PAGE: &str = include_str!("../../../../docs/metrics.md");

/// Kind and labels of each metric in docs/metrics.md.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let rows = METRICS_PAGE.lines().skip_while(|line| !line.starts_with("| Metric | Type | Labels |")).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            assert!(cells.len() == 6 && !cells[4].is_empty(), "four cells: {line}");
            let labels = cells[3].split_whitespace().map(|label| label.trim_matches('`').to_owned()).collect();
            (cells[1].trim_matches('`').to_owned(), (cells[2].to_owned(), labels))
        })
        .collect()
}

#[test]
fn the_metrics_page_has_every_metric_with_its_kind_and_labels() {
    let expected = families::ALL.iter().map(|family| {
        let labels = family.labels.iter().map(|label| (*label).to_owned()).collect();
        (family.name.to_owned(), (format!("{:?}", family.kind).to_lowercase(), labels))
    });
    assert_eq!(documented(), expected.collect());
}

/// The collection is too small for a self-test, no mirror exists, and no queue and no collector is set.
const ABSENT: [&str; 7] = [
    "glimpse_recall_",
    "glimpse_events_",
    "glimpse_event_keys_total",
    "glimpse_mirror_",
    "glimpse_queue_",
    "glimpse_tls_",
    "glimpse_trace_",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_has_all_counts_and_no_text_from_clients() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[]).await;
    let cat = demo_image("cat.jpg");
    for (name, bytes) in [
        ("velvet-cat.jpg", cat.clone()),
        ("coffee.jpg", demo_image("coffee.jpg")),
        ("panda.jpg", demo_image("panda.jpg")),
        ("torn-heart.jpg", cat[..3000].to_vec()),
        ("notes.txt", b"no image".to_vec()),
    ] {
        service.bucket.put(BUCKET, &format!("images/{name}"), bytes.into(), "").await.unwrap();
    }
    let first = service.job(json!({"s3_prefix": "images/"})).await;
    let counts =
        |counts: &Value| ["skipped", "unchanged", "done", "failed", "deleted"].map(|outcome| counts[outcome].as_u64());
    assert_eq!(counts(&first), [1, 0, 3, 1, 0].map(Some));
    service.bucket.put(BUCKET, "images/same-again.jpg", cat.into(), "").await.unwrap();
    service.bucket.remove(&ImageUri::new(BUCKET, "images/panda.jpg")).await.unwrap();
    let second = service.job(json!({"s3_prefix": "images/", "sync": true, "max_delete_percent": 100})).await;
    assert_eq!(counts(&second), [1, 2, 1, 1, 1].map(Some));

    let mut thumbnail = String::new();
    for _ in 0..2 {
        let found: Value = service.get("/search/images?q=zebra%20crossing").await.json().await.unwrap();
        thumbnail = found["results"][0]["thumbnail"].as_str().unwrap().to_owned();
    }
    for _ in 0..2 {
        assert_eq!(service.get(&thumbnail).await.status(), StatusCode::OK);
        assert_eq!(service.get(&thumbnail.replace("thumbnail", "preview")).await.status(), StatusCode::OK);
    }
    assert_eq!(service.get("/made/up/path-of-mine").await.status(), StatusCode::NOT_FOUND);
    service.send(Method::from_bytes(b"BREW").unwrap(), "/jobs", None).await;
    let plain = service.client.get(format!("{}/metrics", service.process.url));
    assert_eq!(plain.send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "it needs the key");
    service.scrape().await;

    let scrape = service.scrape().await;
    let documented = documented();
    let is_exposed = |name: &str| !ABSENT.iter().any(|prefix| name.starts_with(prefix));
    let expected = documented.iter().filter(|(name, _)| is_exposed(name));
    let kinds = expected.map(|(name, (kind, _))| (name.clone(), kind.clone()));
    assert_eq!(scrape.kinds, kinds.collect(), "documented metrics and exposed metrics are the same");
    for (name, labels, value) in &scrape.series {
        let (kind, expected) = &documented[scrape.family(name)];
        let own: BTreeSet<_> = labels.keys().filter(|key| kind != "histogram" || *key != "le").cloned().collect();
        assert_eq!(&own, expected, "{name}");
        assert!(value.is_finite() && *value >= 0.0, "{name}{labels:?} is {value}");
    }
    for name in documented.keys().filter(|name| is_exposed(name)) {
        assert!(scrape.text.contains(&format!("# HELP {name} ")), "{name}");
    }
    let ids = Some(thumbnail.split('/').nth(2).unwrap());
    let made_up = ["velvet", "torn-heart", "same-again", "notes", "zebra", "made/up", "BREW", KEY, BUCKET];
    for secret in made_up.into_iter().chain(ids) {
        assert!(!scrape.text.contains(secret), "{secret} in {}", scrape.text);
    }

    for (outcome, count) in [("skipped", 2.0), ("unchanged", 2.0), ("done", 4.0), ("failed", 2.0), ("deleted", 1.0)] {
        scrape.assert_value("glimpse_items_total", &[("outcome", outcome)], count);
    }
    scrape.assert_value("glimpse_item_failures_total", &[("class", "truncated")], 2.0);
    scrape.assert_value("glimpse_item_failures_total", &[], 2.0);
    scrape.assert_value("glimpse_vectors_reused_total", &[("reason", "same_bytes")], 1.0);
    scrape.assert_value("glimpse_vectors_reused_total", &[("reason", "copied")], 0.0);
    for family in ["glimpse_jobs", "glimpse_jobs_finished_total"] {
        scrape.assert_value(family, &[("state", "succeeded")], 2.0);
        scrape.assert_value(family, &[], 2.0);
    }
    // Four images in the first job; the copy and the truncated one in the second.
    scrape.assert_value("glimpse_stage_duration_seconds_count", &[("stage", "fetch")], 6.0);
    scrape.assert_value("glimpse_stage_duration_seconds_bucket", &[("stage", "fetch"), ("le", "+Inf")], 6.0);
    let size = |name| f64::from(u32::try_from(demo_image(name).len()).unwrap());
    let by_jobs = 2.0 * size("cat.jpg") + size("coffee.jpg") + size("panda.jpg") + 2.0 * 3000.0;
    let fetched = scrape.value("glimpse_fetched_bytes_total", &[]).unwrap();
    let shown = ["cat.jpg", "coffee.jpg"].map(|name| (fetched - by_jobs - size(name)).abs() < 0.5);
    assert!(shown.contains(&true), "and one original was read for its preview: {fetched} - {by_jobs}");
    // Two thumbnails that the jobs kept; the preview is made by the first request.
    scrape.assert_value("glimpse_cache_requests_total", &[("cache", "thumbnail"), ("outcome", "hit")], 3.0);
    for (cache, outcome) in [("text", "hit"), ("text", "miss"), ("thumbnail", "miss")] {
        scrape.assert_value("glimpse_cache_requests_total", &[("cache", cache), ("outcome", outcome)], 1.0);
    }
    let requests = |route, method, status| [("route", route), ("method", method), ("status", status)];
    scrape.assert_value("glimpse_http_requests_total", &requests("/search/images", "GET", "2xx"), 2.0);
    scrape.assert_value("glimpse_http_requests_total", &requests("/images/{id}/thumbnail", "GET", "2xx"), 2.0);
    scrape.assert_value("glimpse_http_requests_total", &requests("unmatched", "GET", "4xx"), 1.0);
    scrape.assert_value("glimpse_http_requests_total", &requests("/jobs", "other", "4xx"), 1.0);
    scrape.assert_value("glimpse_http_requests_total", &requests("/metrics", "GET", "4xx"), 1.0);
    scrape.assert_value("glimpse_http_requests_total", &requests("/metrics", "GET", "2xx"), 1.0);
    scrape.assert_value(
        "glimpse_http_request_duration_seconds_count",
        &[("route", "/jobs/images"), ("method", "POST")],
        2.0,
    );
    scrape.assert_value("glimpse_breaker_state", &[("dependency", "s3")], 0.0);
    scrape.assert_value("glimpse_pipeline_memory_bytes", &[], 0.0);
    scrape.assert_value("glimpse_pipeline_memory_limit_bytes", &[], 512.0 * 1024.0 * 1024.0);
    scrape.assert_value("glimpse_search_permits_in_use", &[], 0.0);
    scrape.assert_value("glimpse_search_upload_bytes", &[], 0.0);
    scrape.assert_value("glimpse_embed_queue", &[], 0.0);
    scrape.assert_value("glimpse_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    let memory = |name| scrape.value(name, &[]).unwrap();
    let (now, peak) = (memory("process_resident_memory_bytes"), memory("glimpse_process_resident_memory_peak_bytes"));
    assert!(now > 10e6 && now <= peak, "{now} of {peak}");
    assert_eq!(service.process.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn outages_and_dead_workers_are_counted() {
    let clip = CheapClip::start(Duration::from_millis(100)).await;
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("IMAGE_EMBEDDING_PROVIDER", "clip"),
        ("CLIP_URL", clip.url.as_str()),
        ("CLIP_CIRCUIT_BREAKER_THRESHOLD", "2"),
        ("CLIP_CIRCUIT_BREAKER_TIMEOUT", "600"),
        ("GLIMPSE_LEASE_SECONDS", "1"),
        ("IMAGE_BATCH_SIZE", "16"),
    ];
    let service = Service::start(folder.path(), &variables).await;
    for copy in 0..32 {
        let (key, bytes) = (format!("images/{copy}.jpg"), [demo_image("coffee.jpg").as_slice(), &[copy]].concat());
        service.bucket.put(BUCKET, &key, bytes.into(), "").await.unwrap();
    }
    let job = service.submit(json!({"s3_prefix": "images/", "executor": "workers"})).await;
    let before = service.scrape().await;
    for name in ["glimpse_worker_leases_granted_total", "glimpse_worker_leases_expired_total"] {
        before.assert_value(name, &[], 0.0);
    }
    let left = |scrape: &Scrape, executor| scrape.value("glimpse_images_left", &[("executor", executor)]).unwrap();
    let listed = service.scrape_until(|scrape| left(scrape, "workers") >= 32.0).await;
    assert!((left(&listed, "workers") - 32.0).abs() < 0.5 && left(&listed, "local") < 0.5, "{}", listed.text);
    let worker = service.worker(&job, "one");
    let granted = |scrape: &Scrape| scrape.value("glimpse_worker_leases_granted_total", &[]);
    service.scrape_until(|scrape| granted(scrape) > Some(0.0)).await;
    drop(worker);
    let expired = |scrape: &Scrape| scrape.value("glimpse_worker_leases_expired_total", &[]);
    let after = service.scrape_until(|scrape| expired(scrape) > Some(0.0)).await;
    assert!(expired(&after) <= granted(&after), "{}", after.text);
    after.assert_value("glimpse_worker_deaths_total", &[("detected_by", "lease")], 1.0);
    after.assert_value("glimpse_worker_deaths_total", &[("detected_by", "supervisor")], 0.0);
    after.assert_value("glimpse_jobs", &[("state", "running")], 1.0);
    let stopped = service.send(Method::DELETE, &format!("/jobs/{}", job["job_id"].as_str().unwrap()), None).await;
    assert_eq!(stopped.status(), StatusCode::OK);
    service.scrape_until(|scrape| left(scrape, "workers") < 0.5).await;

    after.assert_value("glimpse_breaker_state", &[("dependency", "clip")], 0.0);
    drop(clip);
    for _ in 0..2 {
        // Not a text of the calibration, whose vectors are cached.
        let refused = service.get("/search/images?q=an%20outage").await;
        assert!(refused.status().is_server_error(), "{}", refused.status());
    }
    let scrape = service.scrape().await;
    scrape.assert_value("glimpse_breaker_state", &[("dependency", "clip")], 2.0);
    scrape.assert_value("glimpse_breaker_state", &[("dependency", "s3")], 0.0);
    scrape.assert_value("glimpse_breaker_opens_total", &[("dependency", "clip")], 1.0);
    assert!(scrape.value("glimpse_dependency_retries_total", &[("dependency", "clip")]) > Some(0.0), "{}", scrape.text);
    scrape.assert_value("glimpse_jobs_finished_total", &[("state", "stopped")], 1.0);
    scrape.assert_value("glimpse_cache_requests_total", &[("cache", "text"), ("outcome", "hit")], 0.0);
    assert_eq!(service.process.stop(), Some(0));
}
