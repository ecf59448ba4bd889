//! Users that sign in with tokens of an identity provider.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::support::{TestApp, locked, serve};

const KEY: &str = "the-key-of-the-settings";
const ISSUER: &str = "https://sso.example/realms/home";

/// An identity provider that publishes its key.
struct Provider {
    url: String,
    key: EncodingKey,
    is_down: Arc<AtomicBool>,
    _serving: AbortOnDropHandle<()>,
}

fn new_key() -> EncodingKey {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
}

fn key_set(key: &EncodingKey) -> Value {
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(key, Algorithm::ES256).unwrap()).unwrap();
    jwk["kid"] = "1".into();
    json!({"keys": [jwk]})
}

fn sign(key: &EncodingKey, claims: &Value) -> String {
    encode(&Header { kid: Some("1".to_owned()), ..Header::new(Algorithm::ES256) }, claims, key).unwrap()
}

impl Provider {
    async fn start(is_down: bool) -> Self {
        let (key, is_down) = (new_key(), Arc::new(AtomicBool::new(is_down)));
        let (set, down) = (key_set(&key), is_down.clone());
        let reply = move || async move {
            if down.load(Ordering::SeqCst) { Err(StatusCode::BAD_GATEWAY) } else { Ok(axum::Json(set)) }
        };
        let (url, serving) = serve(Router::new().route("/keys", get(reply))).await;
        Self { url: format!("{url}/keys"), key, is_down, _serving: serving }
    }

    fn token(&self, user: &str, groups: &[&str]) -> String {
        let exp = get_current_timestamp() + 300;
        let claims =
            json!({"iss": ISSUER, "aud": "glimpse", "sub": user, "exp": exp, "realm_access": {"roles": groups}});
        sign(&self.key, &claims)
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        vec![
            ("GLIMPSE_JWKS_URL", &self.url),
            ("GLIMPSE_JWT_ISSUER", ISSUER),
            ("GLIMPSE_JWT_AUDIENCE", "glimpse"),
            ("GLIMPSE_JWT_ROLES_CLAIM", "realm_access.roles"),
            ("GLIMPSE_JWT_ROLES", "staff=read,editors=write,ops=admin"),
        ]
    }
}

async fn send(app: &TestApp, method: Method, path: &str, token: &str) -> reqwest::Response {
    app.client.request(method, format!("{}{path}", app.url)).bearer_auth(token).send().await.unwrap()
}

async fn code(reply: reqwest::Response) -> (u16, Value) {
    let status = reply.status().as_u16();
    (status, reply.json::<Value>().await.unwrap()["code"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_groups_in_a_token_are_roles() {
    let provider = Provider::start(false).await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let path = log.path().to_str().unwrap().to_owned();
    let app =
        TestApp::start_with(&[&provider.variables()[..], &[("GLIMPSE_ACCESS_LOG", path.as_str())]].concat()).await;
    assert_eq!(app.get("/jobs").await.0, 401, "tokens are a sign-in, so requests without one are refused");
    let status = async |method: Method, path: &str, groups: &[&str]| {
        send(&app, method, path, &provider.token("ann", groups)).await.status().as_u16()
    };
    for (groups, read, write, admin) in [
        (&["staff"][..], 200, 403, 403),
        (&["other", "editors"][..], 200, 404, 403),
        (&["staff", "ops"][..], 200, 404, 404),
        (&["guests"][..], 403, 403, 403),
    ] {
        assert_eq!(status(Method::GET, "/jobs", groups).await, read, "{groups:?}");
        assert_eq!(status(Method::DELETE, "/mirrors/none", groups).await, write, "{groups:?}");
        assert_eq!(status(Method::DELETE, "/collections/none", groups).await, admin, "{groups:?}");
    }
    assert_eq!(status(Method::GET, "/healthz", &["guests"]).await, 200);
    let session = send(&app, Method::GET, "/session", &provider.token("ann", &["editors"])).await;
    let expected = json!({"required": true, "signed_in": true, "role": "write", "name": "ann", "sign_in": "token"});
    assert_eq!(session.json::<Value>().await.unwrap(), expected);
    let no_role = send(&app, Method::GET, "/jobs", &provider.token("bob", &[])).await;
    assert_eq!(code(no_role).await, (403, json!("no_role")));

    let mirror = app.client.put(format!("{}/mirrors/all", app.url)).bearer_auth(provider.token("eve", &["editors"]));
    let put = mirror.json(&json!({"s3_prefix": "images/"})).send().await.unwrap();
    assert!(put.status().is_success(), "{}", put.text().await.unwrap());
    let audit: Value = send(&app, Method::GET, "/audit", &provider.token("root", &["ops"])).await.json().await.unwrap();
    let entry = &audit["entries"][0];
    assert!(entry["name"] == "eve" && entry["sign_in"] == "token", "{audit}");
    let misleading = send(&app, Method::GET, "/jobs", &provider.token("eve\u{7}", &["ops"])).await;
    assert_eq!(misleading.status(), 401, "a name that is not one line is refused");
    app.stop().await;
    let lines = std::fs::read_to_string(log.path()).unwrap();
    assert!(lines.contains("\"name\":\"ann\",\"sign_in\":\"token\"") && !lines.contains("eyJ"), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_keys_are_used_beside_each_other() {
    let provider = Provider::start(false).await;
    let app = TestApp::start_with(&[&provider.variables()[..], &[("GLIMPSE_API_KEY", KEY)]].concat()).await;
    assert_eq!(send(&app, Method::GET, "/jobs", KEY).await.status(), 200);
    assert_eq!(send(&app, Method::GET, "/jobs", "another-key").await.status(), 401);
    assert_eq!(send(&app, Method::GET, "/jobs", &provider.token("ann", &["staff"])).await.status(), 200);
    let audit = async |key: &str| {
        let request = app.client.get(format!("{}/audit", app.url)).bearer_auth(provider.token("ann", &["staff"]));
        request.header("x-api-key", key).send().await.unwrap().status()
    };
    assert_eq!(audit(KEY).await, 200, "a valid key comes before a token");
    assert_eq!(audit("another-key").await, 403, "and a wrong one does not");
    let forged =
        sign(&new_key(), &json!({"iss": ISSUER, "aud": "glimpse", "sub": "ann", "exp": get_current_timestamp() + 300}));
    let refused = send(&app, Method::GET, "/jobs", &forged).await;
    assert_eq!(refused.headers()["www-authenticate"], "Bearer");
    let refused: Value = refused.json().await.unwrap();
    assert!(refused["message"].as_str().unwrap().contains("its signature is wrong"), "{refused}");
    // A public operation is answered with a wrong token, too.
    assert_eq!(send(&app, Method::GET, "/session", &forged).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_of_one_client_are_slowed_down_without_locking_out_others() {
    let provider = Provider::start(false).await;
    let app =
        TestApp::start_with(&[&provider.variables()[..], &[("GLIMPSE_TRUSTED_PROXIES", "127.0.0.0/8")]].concat()).await;
    let send = |token: &str| {
        let request = app.client.get(format!("{}/jobs", app.url));
        let sent = request.header("x-forwarded-for", "198.51.100.7").bearer_auth(token).send();
        async move { sent.await.unwrap() }
    };
    let wrong = provider.token("ann", &["staff"]) + "x";
    for _ in 0..10 {
        assert_eq!(send(&wrong).await.status(), 401);
    }
    let refused = send(&wrong).await;
    assert!(refused.status() == 429 && refused.headers().contains_key("retry-after"));
    assert_eq!(send(&provider.token("ann", &["staff"])).await.status(), 200, "a signature cannot be guessed");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_keys_of_the_provider_tokens_wait_and_keys_do_not() {
    let provider = Provider::start(true).await;
    let app = TestApp::start_with(&[&provider.variables()[..], &[("GLIMPSE_API_KEY", KEY)]].concat()).await;
    let token = provider.token("ann", &["staff"]);
    let refused = send(&app, Method::GET, "/jobs", &token).await;
    assert_eq!(refused.headers()["retry-after"], "60");
    assert_eq!(code(refused).await, (503, json!("sign_in_unavailable")));
    assert_eq!(send(&app, Method::GET, "/jobs", KEY).await.status(), 200);
    let (status, ready) = app.get("/readyz").await;
    let note = "the keys of the identity provider cannot be read (GLIMPSE_JWKS_URL): tokens are refused until they can be \
                read; the log has the reason";
    assert_eq!((status.as_u16(), &ready["notes"]), (200, &json!([note])), "{ready}");
    let status: Value = send(&app, Method::GET, "/status", KEY).await.json().await.unwrap();
    assert_eq!(status["notes"], json!([note]), "{status}");
    provider.is_down.store(false, Ordering::SeqCst);
    let app = app.restart().await;
    assert_eq!(send(&app, Method::GET, "/jobs", &token).await.status(), 200);
    assert_eq!(app.get("/readyz").await.1["notes"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_a_file_are_read_again() {
    let keys = Mutex::new(new_key());
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = || std::fs::write(file.path(), key_set(&locked(&keys)).to_string()).unwrap();
    write();
    let path = file.path().to_str().unwrap();
    let settings = [
        ("GLIMPSE_JWKS_FILE", path),
        ("GLIMPSE_JWT_ISSUER", ISSUER),
        ("GLIMPSE_JWT_AUDIENCE", "other, glimpse"),
        ("GLIMPSE_JWT_ROLES", "*=read"),
    ];
    let app = TestApp::start_with(&settings).await;
    let status = async || {
        let claims = json!({"iss": ISSUER, "aud": ["glimpse"], "sub": "ann", "exp": get_current_timestamp() + 300});
        let token = sign(&locked(&keys), &claims);
        send(&app, Method::GET, "/jobs", &token).await.status().as_u16()
    };
    assert_eq!(status().await, 200);
    *locked(&keys) = new_key();
    assert_eq!(status().await, 401);
    write();
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while status().await != 200 {
        assert!(std::time::Instant::now() < deadline, "the new key is not used");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
}
