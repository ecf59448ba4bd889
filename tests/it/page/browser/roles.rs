//! The page shows only what the role of the user may do.

use serde_json::{Value, json};

use super::Browser;
use crate::support::TestApp;
use crate::support::proxies::nginx::Nginx;

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
    let mirror = app.client.put(format!("{}/mirrors/photos", app.url)).bearer_auth(ROOT);
    let put = mirror.json(&json!({"s3_prefix": "none/"})).send().await.unwrap();
    assert!(put.status().is_success(), "{}", put.text().await.unwrap());
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    for (role, may_write, may_admin) in [("read", false, false), ("write", true, false), ("admin", true, true)] {
        sign_in(&app, &browser, role).await;
        let has = |text: &str| format!("return document.body.innerText.includes({})", json!(text));
        browser.goto("/?view=jobs").await;
        browser.wait_until("document.querySelectorAll('.mirrors tbody tr').length >= 1").await;
        let has_actions = "return document.querySelector('.mirrors thead').innerText.includes('Actions')";
        assert_eq!(browser.run(has_actions).await, json!(may_write), "{role}");
        let cells = "const rows = document.querySelectorAll('.mirrors tr'); return rows[0].cells.length === rows[1].cells.length";
        assert_eq!(browser.run(cells).await, json!(true), "{role}");
        browser.screenshot(&format!("role-{role}-jobs")).await;
        browser.wait_until("document.querySelectorAll('.job-list tbody tr').length === 2").await;
        assert_eq!(browser.run(&has("Start job")).await, json!(may_write), "{role}");
        browser.goto("/?view=generations&collection=documents").await;
        browser.wait_until("document.querySelector('.status table')").await;
        assert_eq!(browser.run(&has("Start rebuild")).await, json!(may_admin), "{role}");
        assert_eq!(browser.run(&has("Actions")).await, json!(may_admin), "{role}");
        browser.screenshot(&format!("role-{role}")).await;
        browser.press("Sign out").await;
        browser.wait_for("dialog[open] input[name=key]").await;
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_a_role_reads_what_that_means() {
    let settings = [
        ("GLIMPSE_API_KEY", ROOT),
        ("GLIMPSE_TRUSTED_PROXIES", "127.0.0.0/8"),
        ("GLIMPSE_PROXY_USER_HEADER", "X-Forwarded-User"),
        ("GLIMPSE_PROXY_GROUPS_HEADER", "X-Forwarded-Groups"),
        ("GLIMPSE_PROXY_ROLES", "staff=read"),
    ];
    let app = TestApp::start_with(&settings).await;
    let directives = "proxy_set_header X-Forwarded-User ann; proxy_set_header X-Forwarded-Groups guests; proxy_set_header Host $http_host;";
    let Some(proxy) = Nginx::start_with_location(&app.url, directives) else { return };
    let Some(browser) = Browser::open_at(&proxy.url, 1280, 900).await else { return };
    browser.goto("/").await;
    browser.wait_until("document.querySelector('main h1')?.innerText === 'You have no role here'").await;
    let text = browser.run("return document.querySelector('main').innerText").await;
    let text = text.as_str().unwrap();
    assert!(text.contains("Ask its operator") && text.contains("`ann` has no role"), "{text}");
    assert_eq!(browser.run("return document.querySelector('dialog[open]') === null").await, json!(true));
    browser.screenshot("no-role").await;
    browser.press("Use an API key").await;
    browser.type_into("dialog[open] input[name=key]", &format!("{ROOT}\u{e007}")).await;
    browser.wait_for("#sign-out:not([hidden])").await;
    browser.close().await;
}
