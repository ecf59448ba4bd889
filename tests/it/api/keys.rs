//! Keys of `POST /keys` and of `GLIMPSE_KEYS_FILE`, and the audit log.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestApp, demo_image};

const ROOT: &str = "the-key-of-the-settings";

async fn send(app: &TestApp, key: &str, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let request = app.client.request(method, format!("{}{path}", app.url)).bearer_auth(key);
    let request = if let Some(body) = body { request.json(&body) } else { request };
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_neither_locks_out_nor_opens_anything() {
    let app = TestApp::start().await;
    let session: Value = app.get("/session").await.1;
    assert_eq!((&session["required"], &session["role"]), (&json!(false), &json!("admin")));
    for wrong in [
        json!({"name": "first", "role": "read"}),
        json!({"name": "first", "role": "admin", "expires_at": "2999-01-01T00:00:00Z"}),
    ] {
        let (status, reply) = app.post("/keys", wrong).await;
        assert_eq!((status.as_u16(), &reply["code"]), (422, &json!("invalid_role")));
    }
    assert_eq!(app.get("/jobs").await.0, 200, "the service is still open");

    let (status, first) = app.post("/keys", json!({"name": "first", "role": "admin"})).await;
    assert_eq!(status, 201);
    assert_eq!(first["note"], "from now on, every request needs a key");
    let key = first["key"].as_str().unwrap();
    assert!(key.starts_with("glimpse_"));
    assert_eq!(app.get("/jobs").await.0, 401);
    let (status, viewer) =
        send(&app, key, Method::POST, "/keys", Some(json!({"name": "viewer", "role": "read"}))).await;
    assert_eq!((status, &viewer["note"]), (201, &Value::Null));
    let (status, reply) = send(&app, key, Method::DELETE, "/keys/first", None).await;
    assert_eq!((status, &reply["code"]), (409, &json!("last_admin_key")));

    // It stays closed after a restart, and lists no secrets.
    let app = app.restart().await;
    assert_eq!(app.get("/jobs").await.0, 401);
    let (status, listed) = send(&app, key, Method::GET, "/keys", None).await;
    assert_eq!((status, listed["keys"].as_array().unwrap().len()), (200, 2));
    assert!(!listed.to_string().contains("glimpse_"), "{listed}");

    // A key of the settings is another way in.
    let app = app.restart_with(&[("GLIMPSE_API_KEY", ROOT)]).await;
    assert_eq!(send(&app, ROOT, Method::DELETE, "/keys/first", None).await.0, 200);
    assert_eq!(send(&app, key, Method::GET, "/jobs", None).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_are_refused_with_the_field() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", ROOT)]).await;
    for (body, code) in [
        (json!({"name": "a b", "role": "read"}), "invalid_name"),
        (json!({"name": "a", "role": "root"}), "invalid_role"),
        (json!({"name": "a", "role": "read", "expires_at": "soon"}), "invalid_expires_at"),
        (json!({"name": "a", "role": "read", "expires_at": "2020-01-01T00:00:00Z"}), "invalid_expires_at"),
        (json!({"name": "GLIMPSE_API_KEY", "role": "read"}), "key_exists"),
    ] {
        let (status, reply) = send(&app, ROOT, Method::POST, "/keys", Some(body.clone())).await;
        assert!([409, 422].contains(&status) && reply["code"] == code, "{body}: {reply}");
    }
    let (status, reply) = send(&app, ROOT, Method::DELETE, "/keys/GLIMPSE_API_KEY", None).await;
    assert_eq!((status, &reply["code"]), (409, &json!("key_of_settings")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_changes_the_keys() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, "ci read the-first-secret-of-ci\n").unwrap();
    let app = TestApp::start_with(&[("GLIMPSE_KEYS_FILE", file.to_str().unwrap())]).await;
    assert_eq!(app.get("/jobs").await.0, 401);
    assert_eq!(send(&app, "the-first-secret-of-ci", Method::GET, "/jobs", None).await.0, 200);
    std::fs::write(&file, "ci read the-second-secret-of-ci\n").unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while send(&app, "the-second-secret-of-ci", Method::GET, "/jobs", None).await.0 != 200 {
        assert!(Instant::now() < deadline, "the file was not read again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(send(&app, "the-first-secret-of-ci", Method::GET, "/jobs", None).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_has_who_changed_what() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", ROOT)]).await;
    let (_, made) = send(&app, ROOT, Method::POST, "/keys", Some(json!({"name": "ci", "role": "write"}))).await;
    let ci = made["key"].as_str().unwrap();
    let (status, job) = send(&app, ci, Method::POST, "/jobs/images", Some(json!({"s3_prefix": "images/"}))).await;
    assert_eq!(status, 202, "{job}");
    assert_eq!(send(&app, ci, Method::DELETE, "/collections/none", None).await.0, 403);
    assert_eq!(send(&app, ROOT, Method::DELETE, "/collections/none", None).await.0, 404);
    let (_, page) = send(&app, ROOT, Method::GET, "/audit?limit=2", None).await;
    let entries = page["entries"].as_array().unwrap();
    let shown: Vec<_> =
        entries.iter().map(|one| [&one["name"], &one["role"], &one["action"], &one["location"]]).collect();
    let location = json!(format!("/jobs/{}", job["job_id"].as_str().unwrap()));
    assert_eq!(
        shown,
        [
            [&json!("ci"), &json!("write"), &json!("POST /jobs/images"), &location],
            [&json!("GLIMPSE_API_KEY"), &json!("admin"), &json!("POST /keys"), &json!("/keys/ci")],
        ],
        "requests that were refused have changed nothing"
    );
    assert!(!page.to_string().contains(ci));
    let before = format!("/audit?before={}", page["next"]);
    assert_eq!(send(&app, ROOT, Method::GET, &before, None).await.1["entries"], json!([]));
    assert_eq!(send(&app, ci, Method::GET, "/audit", None).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_cannot_close_a_service_that_is_open_by_its_settings() {
    for setting in [("GLIMPSE_ALLOW_ANONYMOUS", "true"), ("GLIMPSE_PUBLIC_URL", "https://photos.example")] {
        let app = TestApp::start_with(&[setting]).await;
        let (status, reply) = app.post("/keys", json!({"name": "first", "role": "admin"})).await;
        assert_eq!((status.as_u16(), &reply["code"]), (409, &json!("key_needed_in_settings")), "{reply}");
        assert_eq!(app.get("/jobs").await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_ends_soon_after_its_key() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", ROOT)]).await;
    // The job waits for workers.
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    let (_, job) =
        send(&app, ROOT, Method::POST, "/jobs/images", Some(json!({"executor": "workers", "s3_prefix": "images/"})))
            .await;
    let path = format!("/jobs/{}", job["job_id"].as_str().unwrap());
    let mut streams = Vec::new();
    for name in ["revoked", "kept"] {
        let (_, made) = send(&app, ROOT, Method::POST, "/keys", Some(json!({"name": name, "role": "read"}))).await;
        let request = app.client.get(format!("{}{path}", app.url)).bearer_auth(made["key"].as_str().unwrap());
        let mut stream = request.header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(stream.status(), 200);
        let first = stream.chunk().await.unwrap().unwrap();
        assert!(first.starts_with(b"event: job"), "{first:?}");
        streams.push(stream);
    }
    let (kept, revoked) = (streams.pop().unwrap(), streams.pop().unwrap());
    assert_eq!(send(&app, ROOT, Method::DELETE, "/keys/revoked", None).await.0, 200);
    let rest =
        tokio::time::timeout(Duration::from_secs(30), revoked.text()).await.expect("the stream goes on").unwrap();
    assert!(rest.contains("event: broken_off") && rest.contains("\"code\":\"unauthorized\""), "{rest}");
    assert!(rest.contains("the API key of this stream has ended") && !rest.contains("misspelt"), "{rest}");
    assert_eq!(send(&app, ROOT, Method::DELETE, &path, None).await.0, 200);
    let rest = tokio::time::timeout(Duration::from_secs(30), kept.text()).await.expect("the job has ended").unwrap();
    assert!(rest.contains("STOPPED") && !rest.contains("broken_off"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_on_one_host_do_not_share_sessions() {
    let services = [
        TestApp::start_with(&[("GLIMPSE_API_KEY", ROOT)]).await,
        TestApp::start_with(&[("GLIMPSE_API_KEY", ROOT)]).await,
    ];
    let mut cookies = Vec::new();
    for app in &services {
        let sign_in = app.client.post(format!("{}/session", app.url)).header("cookie", "glimpse_session=former");
        let reply = sign_in.json(&json!({"key": ROOT})).send().await.unwrap();
        let set: Vec<_> =
            reply.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
        assert!(set.len() == 2 && set[1].starts_with("glimpse_session=;") && set[1].contains("Max-Age=0"), "{set:?}");
        cookies.push(set[0].split(';').next().unwrap().to_owned());
    }
    // A browser sends the cookies of both to each of them.
    for app in &services {
        let request = app.client.get(format!("{}/jobs", app.url)).header("cookie", cookies.join("; "));
        assert_eq!(request.send().await.unwrap().status(), 200, "{cookies:?}");
        let document = app.client.get(format!("{}/openapi.json", app.url)).bearer_auth(ROOT);
        let document: Value = document.send().await.unwrap().json().await.unwrap();
        let name = document["components"]["securitySchemes"]["session"]["name"].as_str().unwrap();
        assert!(cookies.iter().any(|cookie| cookie.starts_with(&format!("{name}="))), "{name}");
    }
}
