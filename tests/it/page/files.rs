//! The page over HTTP: its files, their headers, and its requests before a user signs in. `browser` tests its use.

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn every_file_has_its_type_the_policy_and_an_etag() {
    let app = TestApp::start().await;
    let page = app.client.get(format!("{}/", app.url)).send().await.unwrap();
    assert_eq!(
        (page.status(), page.headers()["content-type"].to_str().unwrap()),
        (StatusCode::OK, "text/html; charset=utf-8")
    );
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'") && !policy.contains("unsafe")
    );
    let html = page.text().await.unwrap();
    let files: Vec<&str> =
        html.split('"').filter_map(|part| part.strip_prefix('.')).filter(|part| part.starts_with("/web/")).collect();
    assert!(files.len() >= 5, "{html}");
    for file in files {
        let reply = app.client.get(format!("{}{file}", app.url)).send().await.unwrap();
        assert_eq!(
            (reply.status(), reply.headers()["content-security-policy"].to_str().unwrap()),
            (StatusCode::OK, policy.as_str())
        );
        assert_eq!(reply.headers()["x-content-type-options"], "nosniff");
        let again = app.client.get(format!("{}{file}", app.url)).header("if-none-match", &reply.headers()["etag"]);
        assert_eq!(again.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
    }
    assert_eq!(app.get("/web/none.js").await.0, StatusCode::NOT_FOUND);
}

/// Sends the path unchanged (an HTTP client would resolve `..` first) and returns the whole reply.
async fn raw_get(app: &TestApp, path: &str) -> String {
    let mut stream = TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_leaves_the_folder_of_the_page_is_not_served() {
    let app = TestApp::start().await;
    // A file of a type that the page serves, outside its folder.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outside.js");
    std::fs::write(&file, "outside the folder").unwrap();
    let absolute = file.to_str().unwrap();
    let encoded = absolute.replace('/', "%2f");
    for path in [
        format!("/web{}{absolute}", "/..".repeat(30)),
        format!("/web{}{absolute}", "/%2e%2e".repeat(30)),
        format!("/web/{}{encoded}", "..%2f".repeat(30)),
        format!("/web/{}{encoded}", "%2e%2e%2f".repeat(30)),
        format!("/web/search/{}{encoded}", "..%2f".repeat(30)),
        format!("/web/{encoded}"),
        format!("/web/{absolute}"),
        format!("//web/..{absolute}"),
    ] {
        let reply = raw_get(&app, &path).await;
        assert!(reply.starts_with("HTTP/1.1 404 ") && !reply.contains("outside the folder"), "{path}: {reply}");
    }
    // An encoded path does reach the files.
    for path in ["/web/%6dain.js", "/web/search%2fview.js"] {
        assert!(raw_get(&app, path).await.starts_with("HTTP/1.1 200 "), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_sends_the_key_once_and_its_session_has_the_same_access() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", "open-sesame-for-tests")]).await;
    for open in ["/", "/web/main.js", "/session"] {
        assert_eq!(
            app.client.get(format!("{}{open}", app.url)).send().await.unwrap().status(),
            StatusCode::OK,
            "{open}"
        );
    }
    let expected = json!({"required": true, "signed_in": false, "role": null, "name": null, "sign_in": null});
    assert_eq!(app.get("/session").await.1, expected);
    assert_eq!(app.post("/session", json!({"key": "wrong"})).await.0, StatusCode::UNAUTHORIZED);
    let signed_in = app.send(Method::POST, "/session", Some(json!({"key": "open-sesame-for-tests"}))).await;
    assert_eq!(signed_in.status(), StatusCode::OK);
    let cookie = signed_in.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Strict") && cookie.contains("Max-Age="), "{cookie}");
    let session_cookie = cookie.split(';').next().unwrap().to_owned();
    let send_with_cookie = |method: Method, path: &str| {
        app.client.request(method, format!("{}{path}", app.url)).header("cookie", &session_cookie)
    };
    assert_eq!(send_with_cookie(Method::GET, "/status").send().await.unwrap().status(), StatusCode::OK);
    let session: Value = send_with_cookie(Method::GET, "/session").send().await.unwrap().json().await.unwrap();
    let name = "GLIMPSE_API_KEY";
    let expected = json!({"required": true, "signed_in": true, "role": "admin", "name": name, "sign_in": "key"});
    assert_eq!(session, expected);
    // A page of another site cannot change anything, with or without the cookie.
    let foreign =
        send_with_cookie(Method::DELETE, "/session").header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    assert_eq!(send_with_cookie(Method::DELETE, "/session").send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(send_with_cookie(Method::GET, "/status").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);

    let free = TestApp::start().await;
    let expected = json!({"required": false, "signed_in": false, "role": "admin", "name": null, "sign_in": null});
    assert_eq!(free.get("/session").await.1, expected);
    let (_, mut status) = free.get("/status").await;
    // On a busy machine the first verification of the model takes longer than a request waits.
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(2);
    while status["status"] != "ready" && std::time::Instant::now() < deadline {
        (_, status) = free.get("/status").await;
    }
    let shown = (&status["status"], &status["provider"]["name"], &status["stores"][0]["name"], &status["bucket"]);
    assert_eq!(shown, (&json!("ready"), &json!("local"), &json!("embedded"), &json!("pipeline")), "{status}");
    assert_eq!(status["provider"]["dimension"], 512);
}
