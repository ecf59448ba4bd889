//! Tests of the authenticator.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::post;
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::api::auth::authenticate;
use crate::domain::{Role, Secret};
use crate::keys::KeysParts;
use crate::ledger::Ledger;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// An authenticator over a ledger in a temporary folder.
async fn authenticator(settings: ApiSettings) -> (TempDir, Authenticator) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let environment = settings.keys();
    let parts = KeysParts { ledger: ledger.clone(), environment, file: None, user_role: None, is_local: true };
    let keys = Keys::open(parts).await.unwrap();
    (
        folder,
        Authenticator::new(&settings, keys, Audit::new(ledger), Tokens::default(), CookieName::new(None, 8080, false)),
    )
}

fn authorize(authenticator: &Authenticator, method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let (uri, extensions) = (path.parse().unwrap(), Extensions::new());
    authenticator.authorize(&RequestHead { method, uri: &uri, headers, extensions: &extensions }).is_ok()
}

#[tokio::test]
async fn only_a_valid_key_is_accepted() {
    let settings = ApiSettings { glimpse_api_key: Secret::new("one, two"), ..ApiSettings::default() };
    let (_folder, authenticator) = authenticator(settings).await;
    let get = |headers: &HeaderMap| authorize(&authenticator, &Method::GET, "/nowhere", headers);
    assert!(get(&headers(&[("authorization", "Bearer one")])));
    assert!(get(&headers(&[("authorization", "bearer two")])));
    assert!(get(&headers(&[("x-api-key", "two")])));
    for wrong in [&[][..], &[("x-api-key", "onetwo")], &[("x-api-key", "")], &[("authorization", "Basic one")]] {
        assert!(!get(&headers(wrong)), "{wrong:?}");
    }
    for open in ["/", "/web/main.js", "/events/s3", "/internal/jobs/1/leases"] {
        assert!(authorize(&authenticator, &Method::GET, open, &HeaderMap::new()), "{open}");
    }
}

#[tokio::test]
async fn requests_of_other_sites_that_change_something_are_refused() {
    let (_folder, authenticator) = authenticator(ApiSettings {
        glimpse_cors_origins: "https://ok.example".to_owned().try_into().unwrap(),
        ..ApiSettings::default()
    })
    .await;
    let host = ("host", "localhost:8080");
    let post = |origin| authorize(&authenticator, &Method::POST, "/jobs/images", &headers(&[host, ("origin", origin)]));
    assert!(post("http://localhost:8080") && post("https://ok.example"));
    assert!(!post("https://evil.example") && !post("null") && !post("http://localhost:9"));
    let foreign = headers(&[host, ("origin", "https://evil.example")]);
    assert!(authorize(&authenticator, &Method::GET, "/jobs", &foreign), "reading is left to CORS");
}

#[tokio::test]
async fn other_names_that_resolve_to_loopback_are_refused() {
    let (_folder, authenticator) = authenticator(ApiSettings::default()).await;
    let is_authorized = |host| authorize(&authenticator, &Method::GET, "/jobs", &headers(&[("host", host)]));
    for good in ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "127.1.2.3"] {
        assert!(is_authorized(good), "{good}");
    }
    for bad in ["evil.example:8080", "localhost.evil.example", "10.0.0.1", ""] {
        assert!(!is_authorized(bad), "{bad}");
    }
}

#[tokio::test]
async fn a_session_of_an_open_service_is_not_valid_once_there_is_a_key() {
    let (_folder, authenticator) = authenticator(ApiSettings::default()).await;
    let (key, identity) = authenticator.sign_in("anything", ClientAddress(None)).unwrap();
    assert_eq!(identity, Identity::anonymous());
    let cookie = format!("glimpse_session_8080={}", authenticator.sessions.begin(key).unwrap());
    let session = headers(&[("host", "localhost"), ("cookie", &cookie)]);
    assert!(authorize(&authenticator, &Method::GET, "/jobs", &session));
    let (key, _) = authenticator.keys.add("root", Role::Admin, None, true).await.unwrap();
    assert!(!authorize(&authenticator, &Method::GET, "/jobs", &session));

    // A session ends with its key, and has its role.
    authenticator.keys.add("viewer", Role::Read, None, true).await.unwrap();
    let (digest, identity) = authenticator.sign_in(key.reveal(), ClientAddress(None)).unwrap();
    assert_eq!(identity.role, Role::Admin);
    let cookie = format!("glimpse_session_8080={}", authenticator.sessions.begin(digest).unwrap());
    let session = headers(&[("host", "localhost"), ("cookie", &cookie)]);
    assert!(authorize(&authenticator, &Method::GET, "/jobs", &session));
    authenticator.keys.add("other", Role::Admin, None, true).await.unwrap();
    authenticator.keys.remove("root").await.unwrap();
    assert!(!authorize(&authenticator, &Method::GET, "/jobs", &session));
}

#[tokio::test]
async fn guesses_are_limited_on_public_routes_and_beside_a_session() {
    let settings = ApiSettings { glimpse_api_key: Secret::new("root-key"), ..ApiSettings::default() };
    let (_folder, authenticator) = authenticator(settings).await;
    let mut extensions = Extensions::new();
    extensions.insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 80))));
    let sender = |path: &str, headers: &HeaderMap| {
        let (uri, method) = (path.parse().unwrap(), &Method::GET);
        let head = RequestHead { method, uri: &uri, headers, extensions: &extensions };
        authenticator.authorize(&head)
    };
    let guess = headers(&[("host", "localhost"), ("x-api-key", "guess")]);
    let right = headers(&[("host", "localhost"), ("x-api-key", "root-key")]);
    assert!(sender("/", &right).unwrap().is_some());
    for _ in 0..5 {
        assert!(sender("/", &guess).unwrap().is_none());
    }
    let cookie = format!("glimpse_session_8080={}", authenticator.sessions.begin(digest("root-key")).unwrap());
    let with_session = headers(&[("host", "localhost"), ("x-api-key", "guess"), ("cookie", &cookie)]);
    for _ in 0..5 {
        assert!(sender("/jobs", &with_session).unwrap().is_some());
    }
    // Now no key of this address is checked for a while.
    assert!(sender("/", &right).unwrap().is_none());
    assert_eq!(sender("/jobs", &right).unwrap_err().error.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn what_a_disconnected_client_may_have_changed_is_in_the_audit_log() {
    let (_folder, authenticator) = authenticator(ApiSettings::default()).await;
    let audit = authenticator.audit.clone();
    let fails = || async { StatusCode::BAD_GATEWAY };
    let refuses = || async { StatusCode::CONFLICT };
    let routes = Router::new()
        .route("/jobs/images", post(std::future::pending::<()>))
        .route("/jobs/prune", post(fails))
        .route("/mirrors/{name}/run", post(refuses))
        .layer(from_fn_with_state(Arc::new(authenticator), authenticate));
    let send = |path: &str| {
        let request = Request::post(path).header("host", "localhost").body(axum::body::Body::empty()).unwrap();
        routes.clone().oneshot(request)
    };
    let left = tokio::time::timeout(std::time::Duration::from_millis(500), send("/jobs/images")).await;
    assert!(left.is_err(), "the client has left");
    assert_eq!(send("/jobs/prune").await.unwrap().status(), StatusCode::BAD_GATEWAY);
    assert_eq!(send("/mirrors/photos/run").await.unwrap().status(), StatusCode::CONFLICT);
    let recorded = loop {
        let page = audit.page(None, 10).await.unwrap();
        if page.len() >= 2 {
            break page;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    let mut recorded: Vec<_> = recorded.into_iter().map(|(_, entry)| (entry.path, entry.status)).collect();
    recorded.sort();
    assert_eq!(recorded, [("/jobs/images".to_owned(), 499), ("/jobs/prune".to_owned(), 502)]);
}
