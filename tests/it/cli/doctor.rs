//! `glimpse doctor`: what it finds, and what it says to do.

use std::process::Output;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Html;
use axum::routing::post;

use super::commands::{RunningCommand, glimpse, stderr, stdout};
use crate::support::{free_address, serve};

/// The lines of a doctor report by the name of their check.
fn findings(output: &Output) -> std::collections::BTreeMap<String, String> {
    let text = stdout(output);
    let lines = text.lines().filter(|line| line.starts_with("ok ") || line.starts_with("FAIL "));
    lines.map(|line| (line.split_whitespace().nth(1).unwrap().to_owned(), line.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_passes_with_default_settings_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let addr = free_address();
    let variables = [("GLIMPSE_DATA_DIR", data.to_str().unwrap()), ("GLIMPSE_ADDR", addr.as_str())];
    let report = glimpse(&variables, &["doctor"]).await;
    assert_eq!(report.status.code(), Some(0), "{}{}", stdout(&report), stderr(&report));
    let found = findings(&report);
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        ["bucket", "disk", "folder", "index", "provider", "service", "settings"]
    );
    assert!(found.values().all(|line| line.starts_with("ok ") && line.ends_with(" ms)")), "{found:?}");
    assert!(found["provider"].contains("glimpse-mini-1/512/crop-260-bicubic from images and text"), "{found:?}");
    assert!(!data.exists());

    let started = std::time::Instant::now();
    let quick = glimpse(&variables, &["doctor", "--quick"]).await;
    assert!(quick.status.code() == Some(1) && stdout(&quick).contains("to do: start it"), "{}", stdout(&quick));
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_how_to_fix_a_failure_and_prints_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let (data, s3) = (folder.path().to_str().unwrap(), format!("http://{}", free_address()));
    let secrets =
        [("S3_ACCESS_KEY_ID", "me"), ("S3_SECRET_ACCESS_KEY", "hush1"), ("GLIMPSE_API_KEY", "hush2-hush2-hush2")];
    let addr = free_address();
    let variables =
        [&secrets[..], &[("GLIMPSE_DATA_DIR", data), ("S3_ENDPOINT", s3.as_str()), ("GLIMPSE_ADDR", &addr)]];
    let report = glimpse(&variables.concat(), &["doctor"]).await;
    let found = findings(&report);
    assert_eq!(report.status.code(), Some(1));
    assert!(
        found["bucket"].starts_with("FAIL") && stdout(&report).contains("to do: check S3_ENDPOINT"),
        "{}",
        stdout(&report)
    );
    assert!(found["bucket"].contains("onnection refused") && !found["bucket"].contains("DispatchFailure"), "{found:?}");
    assert_eq!(found.values().filter(|line| line.starts_with("FAIL")).count(), 1, "{found:?}");
    assert!(
        !format!("{}{}", stdout(&report), stderr(&report)).contains("hush"),
        "{}{}",
        stdout(&report),
        stderr(&report)
    );

    for arguments in [&["doctor"][..], &["doctor", "--quick"]] {
        let wrong = glimpse(&[("IMAGE_EMBED_BATCH_SIZE", "many")], arguments).await;
        assert_eq!(wrong.status.code(), Some(1));
        let found = findings(&wrong);
        assert!(found.len() == 1 && found["settings"].contains("IMAGE_EMBED_BATCH_SIZE"), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_checks_a_running_service_and_its_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (data, addr, s3) = (folder.path().to_str().unwrap(), free_address(), free_address());
    let variables = [("GLIMPSE_DATA_DIR", data), ("GLIMPSE_ADDR", addr.as_str()), ("GLIMPSE_S3_ADDR", s3.as_str())];
    let service = RunningCommand::start(&variables, &["serve"], "service ");
    let seeded = glimpse(&variables, &["seed", "--count", "2", "--prefix", "images"]).await;
    assert_eq!(seeded.status.code(), Some(0), "{}", stderr(&seeded));
    let indexed = glimpse(&[("GLIMPSE_URL", service.url.as_str())], &["ingest", "--prefix", "images/"]).await;
    assert_eq!(indexed.status.code(), Some(0), "{}", stderr(&indexed));
    let listed = glimpse(&[("GLIMPSE_ADDR", addr.as_str())], &["jobs", "list"]).await;
    assert!(listed.status.success(), "the command finds the service by GLIMPSE_ADDR: {}", stderr(&listed));
    let quick = glimpse(&variables, &["doctor", "--quick"]).await;
    assert!(quick.status.success() && stdout(&quick).lines().count() == 1, "{}", stdout(&quick));
    let report = glimpse(&variables, &["doctor"]).await;
    let found = findings(&report);
    assert_eq!(report.status.code(), Some(0), "{}", stdout(&report));
    assert!(found["bucket"].contains("its first key is images/") && found["service"].contains("ready at"), "{found:?}");

    assert_eq!(service.stop(), Some(0));
    let report = findings(&glimpse(&variables, &["doctor"]).await);
    assert!(report["index"].contains("1 collections, 2 images"), "{report:?}");
    let moved = glimpse(&[&variables[..], &[("IMAGE_RESIZE", "pad")]].concat(), &["doctor"]).await;
    let found = findings(&moved);
    assert_eq!(moved.status.code(), Some(0), "the collection goes on with its own model");
    let line = &found["index"];
    assert!(line.contains("/crop-260-bicubic`") && line.contains("/pad-260-bicubic-000000`"), "{line}");
    assert!(line.contains("IMAGE_RESIZE") && line.contains("glimpse collections rebuild documents"), "{line}");
    let unused = stdout(&glimpse(&[&variables[..], &[("CLIP_URL", "http://clip:8000")]].concat(), &["doctor"]).await);
    assert!(unused.contains("warn  settings  CLIP_URL is set but has no effect"), "{unused}");
    let nothing = glimpse(&[&variables[..], &[("CLIP_MODEL", "nope")]].concat(), &["doctor"]).await;
    let line = &findings(&nothing)["provider"];
    assert!(line.contains("CLIP_MODEL") && !line.contains("refused the request"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_sends_a_message_without_spans_to_the_collector() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let addr = free_address();
    let receive = |headers: HeaderMap, body: Bytes| async move {
        assert!(body.is_empty() && headers["content-type"] == "application/x-protobuf");
        if headers["api-key"] == "right" { Ok(()) } else { Err((StatusCode::FORBIDDEN, "the key is hush-hush")) }
    };
    let other = || async { Html("<html>") };
    let routes = Router::new().route("/otlp/v1/traces", post(receive)).route("/web/v1/traces", post(other));
    let (url, _serving) = serve(routes).await;
    let check = async |endpoint: &str, headers: &str| {
        let variables = [
            ("GLIMPSE_DATA_DIR", data.to_str().unwrap()),
            ("GLIMPSE_ADDR", &*addr),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("OTEL_EXPORTER_OTLP_HEADERS", headers),
        ];
        let report = glimpse(&variables, &["doctor"]).await;
        (report.status.code(), findings(&report)["traces"].clone(), stdout(&report))
    };
    let collector = format!("{url}/otlp");
    let (code, line, all) = check(&collector, "api-key=right").await;
    assert_eq!(code, Some(0), "{all}");
    assert!(line.starts_with(&format!("ok    traces    {collector} accepts spans")), "{line}");
    let (code, line, all) = check(&collector, "api-key=hush-hush").await;
    assert!(code == Some(1) && line.starts_with("FAIL  traces    OTEL_EXPORTER_OTLP_ENDPOINT is http"), "{all}");
    assert!(line.contains("403 Forbidden: the key is (redacted)") && !all.contains("hush"), "{all}");
    assert!(all.contains("to do: start the collector, or correct OTEL_EXPORTER_OTLP_ENDPOINT"), "{all}");
    let (code, line, all) = check(&format!("http://{}", free_address()), "").await;
    assert!(code == Some(1) && line.contains("onnection refused"), "{all}");
    let (code, line, all) = check(&format!("{url}/web"), "").await;
    assert!(code == Some(0) && line.starts_with("ok ") && all.contains("is not a message of OTLP"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_reads_the_keys_of_the_identity_provider() {
    let folder = tempfile::tempdir().unwrap();
    let (data, jwks) = (folder.path().join("data"), format!("http://{}/keys", free_address()));
    let addr = free_address();
    let variables = [
        ("GLIMPSE_DATA_DIR", data.to_str().unwrap()),
        ("GLIMPSE_ADDR", addr.as_str()),
        ("GLIMPSE_API_KEY", "a-key-of-the-test-with-32-characters"),
        ("GLIMPSE_JWKS_URL", jwks.as_str()),
        ("GLIMPSE_JWT_ISSUER", "https://sso.example"),
        ("GLIMPSE_JWT_AUDIENCE", "glimpse"),
        ("GLIMPSE_JWT_ROLES", "*=read"),
    ];
    let report = glimpse(&variables, &["doctor"]).await;
    let found = findings(&report);
    assert_eq!(report.status.code(), Some(1));
    assert!(found["tokens"].starts_with("FAIL") && found["tokens"].contains("GLIMPSE_JWKS_URL is `"), "{found:?}");
}
