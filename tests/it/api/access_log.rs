//! The access log.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_one_line_without_its_query() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let variables = [("GLIMPSE_ACCESS_LOG", file.to_str().unwrap()), ("GLIMPSE_API_KEY", "the-key-of-the-settings")];
    let app = TestApp::start_with(&variables).await;
    let get = |path: &str| app.client.get(format!("{}{path}", app.url)).bearer_auth("the-key-of-the-settings").send();
    let reply = get("/jobs?limit=7").await.unwrap();
    let id = reply.headers()["x-request-id"].to_str().unwrap().to_owned();
    let bytes = reply.bytes().await.unwrap().len();
    assert_eq!(get("/nowhere/secret-path").await.unwrap().status(), 404);
    assert_eq!(app.get("/jobs").await.0, 401);
    let made = app.client.post(format!("{}/keys", app.url)).bearer_auth("the-key-of-the-settings");
    let made = made.json(&json!({"name": "viewer", "role": "read"})).send().await.unwrap();
    let viewer = made.json::<Value>().await.unwrap()["key"].as_str().unwrap().to_owned();
    let refused = app.client.get(format!("{}/keys", app.url)).bearer_auth(&viewer).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    let deadline = Instant::now() + Duration::from_mins(1);
    let lines = loop {
        let text = std::fs::read_to_string(&file).unwrap();
        if text.lines().count() == 5 && text.ends_with('\n') {
            break text;
        }
        assert!(Instant::now() < deadline, "the log has only {text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(!lines.contains("limit=7") && !lines.contains("secret-path") && !lines.contains("the-key"), "{lines}");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first = &lines[0];
    assert!(first["ms"].is_u64() && first["time"].is_string());
    for (field, expected) in [
        ("request_id", json!(id)),
        ("method", json!("GET")),
        ("route", json!("/jobs")),
        ("status", json!(200)),
        ("role", json!("admin")),
        ("name", json!("GLIMPSE_API_KEY")),
        ("bytes", json!(bytes)),
    ] {
        assert_eq!(first[field], expected, "{field}");
    }
    assert_eq!((&lines[1]["status"], &lines[1]["route"]), (&json!(404), &json!(null)));
    assert_eq!((&lines[2]["status"], &lines[2]["name"]), (&json!(401), &json!(null)));
    assert_eq!(
        (&lines[4]["status"], &lines[4]["name"], &lines[4]["role"]),
        (&json!(403), &json!("viewer"), &json!("read"))
    );
}
