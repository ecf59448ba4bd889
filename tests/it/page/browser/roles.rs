//! The page shows only what the role of the user may do.

use serde_json::{Value, json};

use super::Browser;
use crate::support::TestApp;

const ROOT: &str = "the-key-of-the-settings";

/// Makes a key, and signs in with it.
async fn sign_in(app: &TestApp, browser: &Browser, role: &str) {
    let made = app.client.post(format!("{}/keys", app.url)).bearer_auth(ROOT);
    let made = made.json(&json!({"name": role, "role": role})).send().await.unwrap();
    let key = made.json::<Value>().await.unwrap()["key"].as_str().unwrap().to_owned();
    browser.goto("/").await;
    browser.type_into("dialog[open] input[name=key]", &format!("{key}\u{e007}")).await;
    browser.wait_until("document.querySelector('.summary')?.innerText.includes('26 images')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn controls_that_the_role_may_not_use_are_absent() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", ROOT)]).await;
    app.seed_demo().await;
    let submitted = app.client.post(format!("{}/jobs/images", app.url)).bearer_auth(ROOT);
    let job: Value = submitted.json(&json!({"s3_prefix": "images/"})).send().await.unwrap().json().await.unwrap();
    let path = format!("{}/jobs/{}", app.url, job["job_id"].as_str().unwrap());
    loop {
        let job: Value = app.client.get(&path).bearer_auth(ROOT).send().await.unwrap().json().await.unwrap();
        if job["status"] == "SUCCEEDED" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    for (role, may_write, may_admin) in [("read", false, false), ("write", true, false), ("admin", true, true)] {
        sign_in(&app, &browser, role).await;
        let has = |text: &str| format!("return document.body.innerText.includes({})", json!(text));
        browser.goto("/?view=jobs").await;
        browser.wait_until("document.querySelectorAll('.job-list tbody tr').length === 1").await;
        assert_eq!(browser.run(&has("Start job")).await, json!(may_write), "{role}");
        browser.goto("/?view=generations&collection=documents").await;
        browser.wait_until("document.querySelector('.status table')").await;
        assert_eq!(browser.run(&has("Start rebuild")).await, json!(may_admin), "{role}");
        browser.screenshot(&format!("role-{role}")).await;
        browser.press("Sign out").await;
        browser.wait_for("dialog[open] input[name=key]").await;
    }
    browser.close().await;
}
