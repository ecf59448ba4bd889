//! The operations of the OpenAPI document. The document is made from the router, so a new route is tested without a change of the
//! tests.

use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

use crate::support::TestApp;

/// One operation.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) needs_key: bool,
    /// `x-role`
    pub(super) role: String,
}

impl Operation {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// A request for something that does not exist, without a body. It changes nothing.
    pub(super) fn request(&self, app: &TestApp) -> RequestBuilder {
        let path = self
            .path
            .replace("{id}", "00000000-0000-7000-8000-000000000000")
            .replace("{name}", "none")
            .replace("{key}", "none")
            .replace("{number}", "2");
        assert!(!path.contains('{'), "the matrix has no value for a parameter of {path}");
        app.client.request(self.method.clone(), format!("{}{path}", app.url))
    }

    pub(super) fn changes_something(&self) -> bool {
        self.method != Method::GET
    }
}

/// Returns every operation of the document.
pub(super) fn read_operations(document: &Value) -> Vec<Operation> {
    let default_security = &document["security"];
    assert!(needs_key(default_security), "by default operations need a key: {default_security}");
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let needs_key = needs_key(operation.get("security").unwrap_or(default_security));
            let role =
                operation["x-role"].as_str().unwrap_or_else(|| panic!("{method} {path} has no x-role")).to_owned();
            operations.push(Operation { method, path: path.clone(), needs_key, role });
        }
    }
    operations
}

/// Whether none of the alternatives of a security requirement is empty.
fn needs_key(security: &Value) -> bool {
    let alternatives = security.as_array().unwrap();
    !alternatives.is_empty() && alternatives.iter().all(|one| !one.as_object().unwrap().is_empty())
}

pub(super) async fn status_and_code(reply: Response) -> (u16, String) {
    let status = reply.status().as_u16();
    let code = reply.json::<Value>().await.ok().and_then(|body| Some(body["code"].as_str()?.to_owned()));
    (status, code.unwrap_or_default())
}

pub(super) fn unauthorized() -> (u16, String) {
    (401, "unauthorized".to_owned())
}

/// Fails if the request did not reach the handler of its route.
pub(super) fn assert_admitted(case: &str, (status, code): &(u16, String)) {
    assert!(![401, 403, 405].contains(status) && code != "unknown_route", "{case}: {status} {code}");
}
