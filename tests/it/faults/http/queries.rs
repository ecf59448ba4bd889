//! Query strings, and the log of refused keys.

use reqwest::StatusCode;
use serde_json::json;

use crate::cli::commands::{RunningCommand, glimpse};
use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_utf8_is_400_on_every_route() {
    let app = TestApp::start().await;
    for path in [
        "/search/images?q=a%ff",
        "/search/images?q=a&meta.place=%C3",
        "/search/images?q=a&%ff=1",
        "/jobs?before=%80",
        "/jobs/%ff",
        "/jobs/nonsense/logs?offset=%ff",
        "/images/nonsense/thumbnail?collection=%ff",
        "/images/%ff/original",
        "/web/%ff",
        "/nowhere?a=%ff",
    ] {
        let (status, reply) = app.get(path).await;
        assert_eq!((status.as_u16(), reply["code"].as_str()), (400, Some("invalid_utf8")), "{path}: {reply}");
    }
    let (status, _) = app.delete("/collections/%ff").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    // Percent signs that do not start an escape are kept.
    assert_ne!(app.get("/search/images?q=100%").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_without_keep_forgets_nothing() {
    let app = TestApp::start().await;
    app.ingest_with(json!({})).await;
    let (status, reply) = app.post("/jobs/prune", json!({})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("keep"), "{reply}");
    let refused = glimpse(&[("GLIMPSE_URL", app.url.as_str())], &["jobs", "prune"]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--keep"));
    assert_eq!(app.get("/jobs").await.1["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(app.post("/jobs/prune", json!({"keep": 0})).await.1, json!({"removed": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_keys_are_in_the_log_with_the_peer_and_without_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let variables = [
        ("GLIMPSE_DATA_DIR", folder.path().to_str().unwrap()),
        ("GLIMPSE_ADDR", "127.0.0.1:0"),
        ("GLIMPSE_S3_ADDR", "127.0.0.1:0"),
        ("GLIMPSE_API_KEY", "open-sesame-for-tests"),
    ];
    let service = RunningCommand::start_with_log(&log, &variables, &["serve"], "service ");
    let client = reqwest::Client::builder().timeout(super::REQUEST_TIMEOUT).build().unwrap();
    for _ in 0..50 {
        let refused = client.get(format!("{}/jobs", service.url)).bearer_auth("guess-4711").send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    }
    let signed = client.post(format!("{}/session", service.url)).json(&json!({"key": "guess-4712"})).send().await;
    assert_eq!(signed.unwrap().status(), StatusCode::UNAUTHORIZED);
    service.stop();
    let log = std::fs::read_to_string(log).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("it has no valid key")).collect();
    assert!((1..=20).contains(&lines.len()), "{}: {log}", lines.len());
    assert!(lines[0].contains("127.0.0.1:") && lines[0].contains("/jobs"), "{}", lines[0]);
    assert!(!log.contains("guess-47"), "{log}");
}
