//! Event streams that end with the sign-in of their sender.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{TestApp, demo_image};

const ROOT: &str = "the-key-of-the-settings";

async fn as_root(app: &TestApp, method: Method, path: &str, body: Option<Value>) -> Value {
    let request = app.client.request(method, format!("{}{path}", app.url)).bearer_auth(ROOT);
    let request = if let Some(body) = body { request.json(&body) } else { request };
    request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
}

/// Signs in with a key, as a browser does. Returns the cookie.
async fn sign_in(client: &Client, app: &TestApp, key: &Value) -> String {
    let reply = client.post(format!("{}/session", app.url)).json(&json!({"key": key})).send().await.unwrap();
    let cookie = reply.headers()["set-cookie"].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_event_names_what_has_ended() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", ROOT)]).await;
    // The job waits for workers.
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    let job = json!({"executor": "workers", "s3_prefix": "images/"});
    let job = as_root(&app, Method::POST, "/jobs/images", Some(job)).await;
    let path = format!("{}/jobs/{}", app.url, job["job_id"].as_str().unwrap());
    let add_key = async |name: &str| {
        as_root(&app, Method::POST, "/keys", Some(json!({"name": name, "role": "read"}))).await["key"].clone()
    };
    let key = add_key("of-requests").await;
    let by_key = app.client.get(&path).bearer_auth(key.as_str().unwrap());
    let sessions = [
        sign_in(&app.client, &app, &add_key("of-session").await).await,
        sign_in(&app.client, &app, &json!(ROOT)).await,
    ];
    let [of_key, signed_out] = sessions.each_ref().map(|cookie| app.client.get(&path).header("cookie", cookie));
    let open = async |request: RequestBuilder| {
        let mut stream = request.header("accept", "text/event-stream").send().await.unwrap();
        let first = stream.chunk().await.unwrap().unwrap();
        assert!(first.starts_with(b"event: job"), "{first:?}");
        stream
    };
    let streams = [open(by_key).await, open(of_key).await, open(signed_out).await];
    as_root(&app, Method::DELETE, "/keys/of-requests", None).await;
    as_root(&app, Method::DELETE, "/keys/of-session", None).await;
    let session = || app.client.delete(format!("{}/session", app.url)).header("cookie", &sessions[1]);
    assert!(session().send().await.unwrap().status().is_success());
    let messages = [
        "the API key of this stream has ended: it has expired, or it was removed",
        "the session has ended with its API key, which has expired or was removed",
        "the session has ended: the user has signed out",
    ];
    for (stream, message) in streams.into_iter().zip(messages) {
        let rest = tokio::time::timeout(Duration::from_secs(30), stream.text()).await.expect("it goes on").unwrap();
        assert!(rest.contains("event: broken_off") && rest.contains(message), "{message}: {rest}");
    }
    // A request with the cookie of that session gets the same reason.
    let refused = app.client.get(&path).header("cookie", &sessions[1]).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    let refused: Value = refused.json().await.unwrap();
    assert!(refused["message"].as_str().unwrap().starts_with(messages[2]), "{refused}");
}
