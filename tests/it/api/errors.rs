//! Wrong requests get an error with the right status, code and message.

use std::time::{Duration, Instant};

use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{TestApp, demo_image};

/// Sends a request and returns status, code and message as one line.
async fn error_line(app: &TestApp, method: Method, path: &str, body: Option<Value>) -> String {
    let body_text = body.as_ref().map(|body| format!(" {body}")).unwrap_or_default();
    let name = method.to_string();
    let response = app.send(method, path, body).await;
    let status = response.status();
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let reply: Value = response.json().await.unwrap();
    assert_eq!(reply["request_id"], id, "{reply}");
    assert_eq!(reply["error"], status.canonical_reason().unwrap());
    format!(
        "{name} {path}{body_text}\n  {} {}: {}",
        status.as_u16(),
        reply["code"].as_str().unwrap(),
        reply["message"].as_str().unwrap()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_request_gets_a_clear_error() {
    let app = TestApp::start().await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    app.ingest().await;
    let mut replies = Vec::new();
    let long = format!("/search/images?q={}", "a".repeat(1001));
    for path in [
        "/nowhere",
        "/jobs/nonsense",
        "/jobs/00000000-0000-7000-8000-000000000000",
        "/jobs/nonsense/logs",
        "/jobs/nonsense/failures",
        "/jobs?limit=0",
        "/jobs?limit=many",
        "/jobs?limit=1&limit=2",
        "/jobs?before=x",
        "/jobs/00000000-0000-7000-8000-000000000000/logs?offset=-1",
        "/jobs/00000000-0000-7000-8000-000000000000/failures?after=x",
        "/images/nonsense",
        "/images/00000000-0000-5000-8000-000000000000",
        "/images/00000000-0000-5000-8000-000000000000?collection=none",
        "/search/images",
        "/search/images?q=%20",
        "/search/images?q=a&limit=0",
        "/search/images?q=a&limit=101",
        "/search/images?q=a&limit=ten",
        "/search/images?q=a&offset=10000",
        "/search/images?q=a&provider=qdrant",
        "/search/images?q=a&provider=pinecone",
        "/search/images?q=a&collection=none",
        "/search/images?q=a&collection=a/b",
        "/search/images?q=a&format=psd",
        "/search/images?q=a&s3_prefix=images",
        "/search/images?q=a&indexed_after=yesterday",
        "/search/images?q=a&min_width=-1",
        "/search/images?q=a&min_width=4294967296",
        "/search/images?q=a&min_score=2",
        "/search/images?q=a&min_score=high",
        "/search/images?q=a&meta.=1",
        "/search/images?q=a&meta.a=6..4",
        "/search/images?q=a&format=gif&format=!svg",
        "/search/images?q=a&q=b",
        "/search/images?like=nonsense",
        "/search/images?like=s3://pipeline/images/cat.jpg",
        "/healthz?x=1",
        "/readyz?x=1",
        "/metrics?x=1",
        "/session?x=1",
        "/images/nonsense?x=1",
        "/images/nonsense/original",
    ] {
        replies.push(error_line(&app, Method::GET, path, None).await);
    }
    let long = error_line(&app, Method::GET, &long, None).await;
    assert!(long.contains("422 invalid_q") && long.contains("not 1001"), "{long}");
    for body in [
        json!({"s3_bucket": "secrets"}),
        json!({"s3_bucket": ""}),
        json!({"collection": "a b"}),
        json!({"s3_prefix": 7}),
        json!({"prefix": "images/"}),
        json!({"s3_prefx": "images/"}),
        json!({"image_max_items": -1}),
        json!({"image_max_items": 1, "sync": true}),
        json!({"max_failures": "101%"}),
        json!({"max_failures": true}),
        json!({"sync": true, "max_delete_percent": 101}),
        json!({"sync": true, "max_delete_percent": 256}),
        json!([]),
        json!(7),
    ] {
        replies.push(error_line(&app, Method::POST, "/jobs/images", Some(body)).await);
    }
    for (method, path) in [
        (Method::PUT, "/jobs/images"),
        (Method::POST, "/healthz"),
        (Method::DELETE, "/jobs/nonsense"),
        (Method::DELETE, "/collections/none"),
        (Method::DELETE, "/collections/a%20b"),
        (Method::DELETE, "/images/nonsense"),
    ] {
        replies.push(error_line(&app, method, path, None).await);
    }
    replies.push(error_line(&app, Method::POST, "/jobs/prune", Some(json!({}))).await);
    replies.push(error_line(&app, Method::POST, "/session", Some(json!({"kee": "x"}))).await);
    let path = "/collections/documents/verify";
    replies.push(error_line(&app, Method::POST, path, Some(json!({"sample": "all"}))).await);
    replies.push(error_line(&app, Method::POST, path, Some(json!({"sample": 1_000_001}))).await);
    for reply in &replies {
        for foreign in
            ["invalid digit", "float literal", "target type", "deserialize", "expected ", "untagged", " type: "]
        {
            assert!(!reply.contains(foreign), "the text of a library: {reply}");
        }
    }
    insta::assert_snapshot!(replies.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_bodies_get_a_clear_error() {
    let app = TestApp::start_with(&[("IMAGE_MAX_SIZE_MB", "1")]).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    app.ingest().await;
    let post = |path: &str| app.client.post(format!("{}{path}", app.url));
    let line = async |response: reqwest::Response| {
        let status = response.status();
        let reply: Value = response.json().await.unwrap();
        (status.as_u16(), reply["code"].as_str().unwrap().to_owned(), reply["message"].as_str().unwrap().to_owned())
    };
    let code = async |response: reqwest::Response| {
        let (status, code, _) = line(response).await;
        (status, code)
    };
    let json = "application/json";
    let broken = post("/jobs/images").header("content-type", json).body("{\n1}").send().await.unwrap();
    let message = "the body is not valid JSON: the error is in line 2, column 1";
    assert_eq!(line(broken).await, (400, "malformed_body".to_owned(), message.to_owned()));
    let plain = post("/jobs/images").header("content-type", "text/plain").body("{}").send().await.unwrap();
    let message = "the content type of the body must be `application/json`, not `text/plain`";
    assert_eq!(line(plain).await, (415, "not_json".to_owned(), message.to_owned()));
    let twice = post("/jobs/images").header("content-type", json).body(r#"{"sync": true, "sync": true}"#);
    let message = "sync: is given more than once; send it once";
    assert_eq!(line(twice.send().await.unwrap()).await, (422, "invalid_body".to_owned(), message.to_owned()));
    let no_form = post("/search/images").header("content-type", "image/jpeg").body("{}").send().await.unwrap();
    assert_eq!(code(no_form).await, (415, "not_multipart".to_owned()));
    let no_file = reqwest::multipart::Form::new().text("q", "a cat");
    let no_file = post("/search/images").multipart(no_file).send().await.unwrap();
    assert_eq!(code(no_file).await, (400, "malformed_body".to_owned()));
    for (name, advice) in [("fil", "did you mean `file`?"), ("image", "the fields of this route are: file, q")] {
        let other = reqwest::multipart::Form::new().text(name, "x");
        let other = post("/search/images").multipart(other).send().await.unwrap();
        let message = format!("the field `{name}` is not known; {advice}");
        assert_eq!(line(other).await, (422, "invalid_body".to_owned(), message));
    }
    let cut = post("/search/images").header("content-type", "multipart/form-data; boundary=b").body("--b\r\nx");
    let message = "the form is incomplete, or is not valid multipart/form-data";
    assert_eq!(line(cut.send().await.unwrap()).await, (400, "malformed_body".to_owned(), message.to_owned()));

    let cat = demo_image("cat.jpg");
    let file_code = async |bytes: Vec<u8>| code(app.search_file(bytes, "").await).await;
    assert_eq!(file_code(b"no image".to_vec()).await, (415, "unsupported_format".to_owned()));
    assert_eq!(file_code(Vec::new()).await, (415, "unsupported_format".to_owned()));
    assert_eq!(file_code(cat[..cat.len() / 2].to_vec()).await, (422, "truncated".to_owned()));
    assert_eq!(file_code([cat.clone(), vec![0; 1 << 20]].concat()).await, (413, "too_large".to_owned()));
    assert_eq!(file_code(vec![0; 4 << 20]).await, (413, "too_large".to_owned()));
    let wrong_limit = app.search_file(cat, "?limit=1000").await;
    assert_eq!(code(wrong_limit).await, (422, "invalid_limit".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_the_key_or_from_other_origins_are_refused() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", "open-sesame-for-tests")]).await;
    assert_eq!(app.get("/jobs").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(app.get("/openapi.json").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(app.get("/nowhere").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(app.get("/healthz").await.0, StatusCode::OK);
    assert_eq!(app.get("/readyz").await.0, StatusCode::OK);
    let with_key =
        app.client.get(format!("{}/jobs", app.url)).bearer_auth("open-sesame-for-tests").send().await.unwrap();
    assert_eq!(with_key.status(), StatusCode::OK);

    let open = TestApp::start().await;
    let foreign = open.client.post(format!("{}/jobs/images", open.url)).header("origin", "https://evil.example");
    assert_eq!(foreign.json(&json!({})).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let wrong_host = open.client.get(format!("{}/jobs", open.url)).header("host", "evil.example").send().await.unwrap();
    assert_eq!(wrong_host.status(), StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_viewer_makes_no_request_to_other_hosts() {
    let app = TestApp::start().await;
    let page = app.client.get(format!("{}/docs/", app.url)).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let html = page.text().await.unwrap();
    assert!(html.contains("swagger-ui-bundle.js"), "{html}");
    assert!(!html.contains("https://"), "asks another host: {html}");
    let (status, document) = app.get("/openapi.json").await;
    assert_eq!((status, document["info"]["title"].as_str().unwrap()), (StatusCode::OK, "Glimpse"));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_above_the_shared_limit_get_429_with_retry_after() {
    let app = TestApp::start().await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    app.ingest().await;
    // Uploads that never end, after 128 MB together.
    let megabyte = bytes::Bytes::from(vec![0; 1024 * 1024]);
    let endless = move |megabytes| {
        let sent = vec![megabyte.clone(); megabytes].into_iter().map(Ok);
        futures::stream::iter(sent).chain(futures::stream::pending())
    };
    let started = [49, 49, 30].map(|megabytes| {
        let (client, url, endless) = (app.client.clone(), app.url.clone(), endless.clone());
        tokio::spawn(async move {
            // One of them can be refused itself, while a late search holds the rest of the bytes.
            loop {
                of_unknown_size(&client, &url, endless(megabytes)).send().await.ok();
            }
        })
    });
    // A file that is not an image is refused at once, so it does not keep the others waiting for the bytes that it has.
    let late = search_until(&app, "no image".into(), StatusCode::TOO_MANY_REQUESTS).await;
    assert!(late.headers().contains_key("retry-after"));
    for request in started {
        request.abort();
    }
    // There is room again when they are gone.
    search_until(&app, demo_image("cat.jpg").into(), StatusCode::OK).await;
}

/// A search by an image without a content length.
fn of_unknown_size(
    client: &reqwest::Client,
    url: &str,
    bytes: impl futures::Stream<Item = Result<bytes::Bytes, std::io::Error>> + Send + 'static,
) -> reqwest::RequestBuilder {
    let part = reqwest::multipart::Part::stream(reqwest::Body::wrap_stream(bytes)).file_name("slow.jpg");
    let form = reqwest::multipart::Form::new().part("file", part);
    client.post(format!("{url}/search/images")).multipart(form)
}

/// Searches by such a file until the reply has this status.
async fn search_until(app: &TestApp, file: bytes::Bytes, status: StatusCode) -> reqwest::Response {
    let deadline = Instant::now() + Duration::from_mins(1);
    while Instant::now() < deadline {
        let file = futures::stream::iter([Ok(file.clone())]);
        let response = of_unknown_size(&app.client, &app.url, file).send().await.unwrap();
        if response.status() == status {
            return response;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never {status}");
}
