//! Users that a trusted proxy has signed in, and wrong keys of one address.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::proxies::nginx::Nginx;

const SETTINGS: [(&str, &str); 4] = [
    ("GLIMPSE_TRUSTED_PROXIES", "127.0.0.0/8"),
    ("GLIMPSE_PROXY_USER_HEADER", "X-Forwarded-User"),
    ("GLIMPSE_PROXY_GROUPS_HEADER", "X-Forwarded-Groups"),
    ("GLIMPSE_PROXY_ROLES", "staff=read,editors=write"),
];

fn request(app: &TestApp, method: Method, path: &str, groups: &str) -> RequestBuilder {
    let request = app.client.request(method, format!("{}{path}", app.url));
    request.header("x-forwarded-user", "ann").header("x-forwarded-groups", groups)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_groups_of_a_user_are_roles() {
    let app = TestApp::start_with(&SETTINGS).await;
    assert_eq!(app.get("/jobs").await.0, 401, "without a user");
    let status = |method, path, groups| {
        let sent = request(&app, method, path, groups).send();
        async move { sent.await.unwrap().status().as_u16() }
    };
    assert_eq!(status(Method::GET, "/jobs", "staff").await, 200);
    assert_eq!(status(Method::DELETE, "/mirrors/none", "staff").await, 403);
    assert_eq!(status(Method::DELETE, "/mirrors/none", "guests, editors").await, 404);
    assert_eq!(status(Method::GET, "/jobs", "guests").await, 403);
    let session: Value = request(&app, Method::GET, "/session", "editors").send().await.unwrap().json().await.unwrap();
    let expected = json!({"required": true, "signed_in": true, "role": "write", "name": "ann", "sign_in": "proxy"});
    assert_eq!(session, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_other_addresses_are_ignored() {
    let others = SETTINGS.map(|(name, value)| (name, if value == "127.0.0.0/8" { "192.0.2.1" } else { value }));
    let app = TestApp::start_with(&others).await;
    assert_eq!(request(&app, Method::GET, "/jobs", "editors").send().await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_beside_a_user_are_slowed_down() {
    let app = TestApp::start_with(&SETTINGS).await;
    for (client, groups, expected) in [("198.51.100.7", "staff", 200), ("198.51.100.8", "guests", 403)] {
        let guess = |n: u32| {
            request(&app, Method::GET, "/jobs", groups).header("x-forwarded-for", client).header("x-api-key", n)
        };
        for n in 0..10 {
            assert_eq!(guess(n).send().await.unwrap().status(), expected);
        }
        assert_eq!(guess(10).send().await.unwrap().status(), 429, "{groups}");
        let without_key = request(&app, Method::GET, "/jobs", groups).header("x-forwarded-for", client).send();
        assert_eq!(without_key.await.unwrap().status(), expected, "the user is not locked out");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_of_one_client_are_slowed_down_without_locking_out_others() {
    let app = TestApp::start_with(&[&SETTINGS[..1], &[("GLIMPSE_API_KEY", "the-key-of-the-settings")]].concat()).await;
    let send = |client: &str, key: &str| {
        let request = app.client.get(format!("{}/jobs", app.url));
        let sent = request.header("x-forwarded-for", client).bearer_auth(key).send();
        async move { sent.await.unwrap() }
    };
    let made = app.client.post(format!("{}/keys", app.url)).bearer_auth("the-key-of-the-settings");
    let made = made.json(&json!({"name": "ci", "role": "read"})).send().await.unwrap();
    let random_key = made.json::<Value>().await.unwrap()["key"].as_str().unwrap().to_owned();
    for _ in 0..10 {
        assert_eq!(send("198.51.100.7", "guess").await.status(), 401);
    }
    let refused = send("198.51.100.7", "guess").await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    let sign_in = app.client.post(format!("{}/session", app.url)).header("x-forwarded-for", "198.51.100.7");
    assert_eq!(sign_in.json(&json!({"key": "guess"})).send().await.unwrap().status(), 429);
    assert_eq!(send("198.51.100.7", &random_key).await.status(), 200, "a random key cannot be guessed");
    assert_eq!(send("198.51.100.8", "the-key-of-the-settings").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_signs_users_in_and_replaces_the_headers_of_clients() {
    let app = TestApp::start_with(&SETTINGS).await;
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    std::fs::write(&users, "ann:{PLAIN}secret\nbob:{PLAIN}secret\n").unwrap();
    // The workers of nginx are processes of another user.
    for path in [folder.path(), &users] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let directives = format!(
        "auth_basic glimpse; auth_basic_user_file {}; set $groups staff; if ($remote_user = ann) {{ set $groups staff,editors; }}
         proxy_set_header X-Forwarded-User $remote_user; proxy_set_header X-Forwarded-Groups $groups;
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Authorization \"\"; proxy_set_header Host $http_host;",
        users.display()
    );
    let Some(proxy) = Nginx::start_with_location(&app.url, &directives) else { return };
    let client = reqwest::Client::builder().danger_accept_invalid_certs(true).no_proxy().build().unwrap();
    let send = |method: Method, path: &str, user: &str| {
        let request = client.request(method, format!("{}{path}", proxy.url)).basic_auth(user, Some("secret"));
        // What a client sends in these headers does not count.
        let forged = request.header("x-forwarded-user", "root").header("x-forwarded-groups", "ops,editors");
        let sent = forged.send();
        async move { sent.await.unwrap() }
    };
    assert_eq!(send(Method::GET, "/jobs", "eve").await.status(), 401, "by nginx");
    let session: Value = send(Method::GET, "/session", "ann").await.json().await.unwrap();
    assert_eq!((&session["name"], &session["role"]), (&json!("ann"), &json!("write")));
    assert_eq!(send(Method::DELETE, "/mirrors/none", "ann").await.status(), 404);
    assert_eq!(send(Method::GET, "/jobs", "bob").await.status(), 200);
    assert_eq!(send(Method::DELETE, "/mirrors/none", "bob").await.status(), 403);
}
