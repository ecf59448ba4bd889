//! Bodies that are too large, too slow, or of another type.

use reqwest::StatusCode;
use serde_json::Value;

use super::{connect, read_until};
use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn json_over_the_limit_is_too_large_and_says_the_limit() {
    let app = TestApp::start().await;
    let large = format!("{{\"s3_prefix\": \"{}\"}}", "a".repeat(70_000));
    for path in ["/jobs/images", "/jobs/prune", "/session", "/ray/jobs/images", "/collections/documents/verify"] {
        let request = app.client.post(format!("{}{path}", app.url)).header("content-type", "application/json");
        let response = request.body(large.clone()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        let reply: Value = response.json().await.unwrap();
        assert_eq!(reply["code"], "too_large", "{path}: {reply}");
        assert!(reply["message"].as_str().unwrap().contains("65536"), "{path}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_type_is_415() {
    let app = TestApp::start().await;
    let post = || app.client.post(format!("{}/search/images", app.url)).body("{}");
    for kind in [Some("image/jpeg"), Some("multipart/mixed; boundary=x"), None] {
        let request = kind.map_or_else(post, |kind| post().header("content-type", kind));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind:?}");
        assert_eq!(response.json::<Value>().await.unwrap()["code"], "not_multipart", "{kind:?}");
    }
    let no_boundary = post().header("content-type", "multipart/form-data").send().await.unwrap();
    assert_eq!(no_boundary.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_arrive_is_408() {
    let app = TestApp::start_with(&[("GLIMPSE_REQUEST_TIMEOUT", "1")]).await;
    let json = "content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let form = "content-type: multipart/form-data; boundary=b\r\ncontent-length: 1000\r\n\r\n--b\r\n";
    for (path, rest) in [
        ("/jobs/images", json),
        ("/session", json),
        ("/jobs/prune", json),
        ("/collections/documents/verify", json),
        ("/search/images", form),
    ] {
        let mut slow = connect(&app.url, &format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{rest}")).await;
        let reply = read_until(&mut slow, "request_id").await;
        assert!(reply.starts_with("HTTP/1.1 408") && reply.contains("body_timed_out"), "{path}: {reply}");
    }
}
