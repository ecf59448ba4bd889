//! Authentication, over every operation of the OpenAPI document.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::operations::{Operation, assert_admitted, read_operations, status_and_code, unauthorized};
use crate::support::TestApp;

const KEY: &str = "open-sesame-for-tests";
const FOREIGN_ORIGIN: &str = "https://evil.example";

/// The operations that need no key. An operation that is added here must be safe for everyone who can reach the service.
const OPEN: [&str; 5] = ["DELETE /session", "GET /healthz", "GET /readyz", "GET /session", "POST /session"];

/// The operation with tokens of its own, which an API key does not replace: `tests/it/mirrors/events.rs` tests them.
const OWN_TOKEN: &str = "POST /events/s3";

async fn start() -> (TestApp, Vec<Operation>) {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", KEY)]).await;
    let reply = app.client.get(format!("{}/openapi.json", app.url)).bearer_auth(KEY).send().await.unwrap();
    let mut operations = read_operations(&reply.json().await.unwrap());
    assert!(operations.iter().any(|one| one.name() == OWN_TOKEN));
    operations.retain(|one| one.name() != OWN_TOKEN);
    assert!(operations.len() > 20, "the document has only {} operations", operations.len());
    (app, operations)
}

/// Signs in and returns the cookie of the session.
async fn sign_in(app: &TestApp) -> String {
    let reply = app.client.post(format!("{}/session", app.url)).json(&json!({"key": KEY})).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    reply.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

fn cross_origin() -> (u16, String) {
    (403, "cross_origin".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_listed_operations_need_no_key() {
    let (app, operations) = start().await;
    let mut open: Vec<_> = operations.iter().filter(|one| !one.needs_key).map(Operation::name).collect();
    open.sort();
    assert_eq!(open, OPEN);
    // What is not in the document is not open either, except for the page and the routes of workers.
    for path in ["/docs", "/docs/", "/openapi.json", "/nowhere", "/jobs/", "//jobs", "/session/", "/healthz/x"] {
        let reply = app.client.get(format!("{}{path}", app.url)).send().await.unwrap();
        assert_eq!(status_and_code(reply).await, unauthorized(), "{path}");
    }
    for path in ["/", "/web/main.js"] {
        assert_eq!(
            app.client.get(format!("{}{path}", app.url)).send().await.unwrap().status(),
            StatusCode::OK,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_with_security_refuses_requests_without_a_valid_key() {
    let (app, operations) = start().await;
    for operation in &operations {
        let request = || operation.request(&app);
        let cases = [
            ("no key", request()),
            ("a wrong bearer", request().bearer_auth("open-sesam")),
            ("a wrong X-API-Key", request().header("x-api-key", "open-sesame-for-tests2")),
            ("the key with another scheme", request().header("authorization", format!("Basic {KEY}"))),
            (
                "a wrong cookie",
                request().header(
                    "cookie",
                    format!("glimpse_session_{}=0123456789abcdef", app.url.rsplit(':').next().unwrap()),
                ),
            ),
            ("an allowed origin", request().header("origin", &app.url)),
        ];
        for (case, request) in cases {
            let case = format!("{} with {case}", operation.name());
            let reply = request.send().await.unwrap();
            if operation.needs_key {
                assert_eq!(
                    reply.headers().get("www-authenticate").map(reqwest::header::HeaderValue::as_bytes),
                    Some(&b"Bearer"[..]),
                    "{case}"
                );
                assert_eq!(status_and_code(reply).await, unauthorized(), "{case}");
            } else {
                assert_admitted(&case, &status_and_code(reply).await);
            }
        }
        if operation.needs_key && operation.method == Method::GET {
            let path = request().build().unwrap().url().clone();
            assert_eq!(
                app.client.head(path).send().await.unwrap().status(),
                StatusCode::UNAUTHORIZED,
                "HEAD {}",
                operation.path
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_accepts_the_key_and_the_session_but_no_change_by_a_foreign_page() {
    let (app, operations) = start().await;
    for operation in &operations {
        let request = || operation.request(&app);
        // `DELETE /session` ends the session, so each request has its own.
        let cookie = sign_in(&app).await;
        let admitted = [
            ("the key as a bearer", request().bearer_auth(KEY)),
            ("the key as X-API-Key", request().header("x-api-key", KEY)),
            ("a session", request().header("cookie", cookie)),
        ];
        for (case, request) in admitted {
            let case = format!("{} with {case}", operation.name());
            let foreign = request.try_clone().unwrap().header("origin", FOREIGN_ORIGIN);
            let foreign = status_and_code(foreign.send().await.unwrap()).await;
            if operation.changes_something() {
                assert_eq!(foreign, cross_origin(), "{case} and a foreign origin");
            } else {
                assert_admitted(&case, &foreign);
            }
            assert_admitted(&case, &status_and_code(request.send().await.unwrap()).await);
        }
        if operation.changes_something() {
            let anonymous = request().header("origin", FOREIGN_ORIGIN).send().await.unwrap();
            assert_eq!(status_and_code(anonymous).await, cross_origin(), "{} without a key", operation.name());
        }
    }
}
