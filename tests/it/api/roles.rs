//! What each role may do, over every operation of the OpenAPI document.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::operations::{Operation, assert_admitted, read_operations, status_and_code, unauthorized};
use crate::support::TestApp;

const ROOT: &str = "the-key-of-the-settings";
const EXPIRED: &str = "a-key-that-has-expired";
const API_PAGE: &str = include_str!("../../../docs/api.md");

fn rank(role: &str) -> usize {
    ["public", "read", "write", "admin"].iter().position(|one| *one == role).unwrap_or_else(|| panic!("{role}"))
}

/// Makes a key and returns its text.
async fn add_key(app: &TestApp, name: &str, role: &str) -> String {
    let request = app.client.post(format!("{}/keys", app.url)).bearer_auth(ROOT);
    let reply = request.json(&json!({"name": name, "role": role})).send().await.unwrap();
    assert_eq!(reply.status(), 201);
    reply.json::<Value>().await.unwrap()["key"].as_str().unwrap().to_owned()
}

fn operations() -> Vec<Operation> {
    read_operations(&serde_json::to_value(glimpse::api::document()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_admits_the_roles_that_the_document_names_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, format!("old admin {EXPIRED} 2020-01-01T00:00:00Z\n")).unwrap();
    let variables = [("GLIMPSE_API_KEY", ROOT), ("GLIMPSE_KEYS_FILE", file.to_str().unwrap())];
    let app = TestApp::start_with(&variables).await;
    let mut keys = Vec::new();
    for role in ["read", "write", "admin"] {
        keys.push((role, add_key(&app, role, role).await));
    }
    let revoked = add_key(&app, "revoked", "admin").await;
    let removal = app.client.delete(format!("{}/keys/revoked", app.url)).bearer_auth(ROOT);
    assert_eq!(removal.send().await.unwrap().status(), 200);

    let operations = operations();
    assert!(operations.len() > 50, "the document has only {} operations", operations.len());
    for operation in operations.iter().filter(|one| one.role != "token") {
        assert_eq!(operation.needs_key, operation.role != "public", "{}", operation.name());
        for (case, key) in [("no key", None), ("an expired key", Some(EXPIRED)), ("a revoked key", Some(&*revoked))] {
            let request = operation.request(&app);
            let request = if let Some(key) = key { request.bearer_auth(key) } else { request };
            let reply = status_and_code(request.send().await.unwrap()).await;
            let case = format!("{} with {case}", operation.name());
            if operation.role == "public" {
                assert_admitted(&case, &reply);
            } else {
                assert_eq!(reply, unauthorized(), "{case}");
            }
        }
        for (role, key) in &keys {
            let reply = status_and_code(operation.request(&app).bearer_auth(key).send().await.unwrap()).await;
            let case = format!("{} with the role {role}", operation.name());
            if rank(role) >= rank(&operation.role) {
                assert_admitted(&case, &reply);
            } else {
                assert_eq!(reply, (403, "role_too_low".to_owned()), "{case}");
            }
        }
    }
    for path in ["/docs/", "/docs/swagger-ui.css", "/openapi.json"] {
        let reply = app.client.get(format!("{}{path}", app.url)).bearer_auth(&keys[0].1).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
    }
    // Verification is for the role write, a repair for the role admin.
    let verify = app.client.post(format!("{}/collections/none/verify", app.url)).bearer_auth(&keys[1].1);
    let reply = status_and_code(verify.json(&json!({"repair": true})).send().await.unwrap()).await;
    assert_eq!(reply, (403, "role_too_low".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_the_role_of_its_key_and_ends_with_it() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", ROOT)]).await;
    let key = add_key(&app, "viewer", "read").await;
    let signed_in = app.client.post(format!("{}/session", app.url)).json(&json!({"key": key})).send().await.unwrap();
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(signed_in.json::<Value>().await.unwrap()["role"], "read");
    let send = |method: &str, path: &str| {
        let request = app.client.request(method.parse().unwrap(), format!("{}{path}", app.url));
        request.header("cookie", &cookie).send()
    };
    let session: Value = send("GET", "/session").await.unwrap().json().await.unwrap();
    assert_eq!(
        (&session["signed_in"], &session["role"], &session["name"]),
        (&json!(true), &json!("read"), &json!("viewer"))
    );
    assert_eq!(send("GET", "/jobs").await.unwrap().status(), 200);
    assert_eq!(send("POST", "/jobs/images").await.unwrap().status(), 403);
    let removal = app.client.delete(format!("{}/keys/viewer", app.url)).bearer_auth(ROOT);
    assert_eq!(removal.send().await.unwrap().status(), 200);
    assert_eq!(send("GET", "/jobs").await.unwrap().status(), 401);
    let session: Value = send("GET", "/session").await.unwrap().json().await.unwrap();
    assert_eq!((&session["signed_in"], &session["role"]), (&json!(false), &json!(null)));
}

#[test]
fn the_api_page_has_the_role_of_each_operation() {
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for operation in operations() {
        expected.entry(operation.role.clone()).or_default().push(operation.name());
    }
    let (_, section) = API_PAGE.split_once("| Role | Operations |\n").expect("docs/api.md has no table of roles");
    let rows = section.lines().skip(1).take_while(|line| line.starts_with('|'));
    let documented: BTreeMap<String, Vec<String>> = rows
        .map(|row| {
            let mut code = row.split('`').skip(1).step_by(2).map(str::to_owned);
            let role = code.next().unwrap();
            let mut operations: Vec<String> = code.collect();
            operations.sort();
            (role, operations)
        })
        .collect();
    for operations in expected.values_mut() {
        operations.sort();
    }
    assert_eq!(documented, expected);
}
