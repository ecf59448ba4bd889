//! Screen sizes, colour schemes, the keyboard, accessibility rules (axe-core), and signing in.

use serde_json::{Value, json};

use super::Browser;
use crate::support::TestApp;
use crate::support::demo::demo_service;
use crate::support::environment::{skip, variable};

const VIEWS: [(&str, &str, &str); 5] = [
    ("home", "/", ".hit"),
    ("results", "/?q=an+animal", ".hit"),
    ("jobs", "/?view=jobs", ".job-list table"),
    ("status", "/?view=status", ".status table"),
    ("error", "/?q=a&collection=nowhere", ".notice"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_view_fits_every_screen_size_in_both_color_schemes() {
    let app = demo_service().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    for (width, height) in [(360, 780), (1280, 900), (2560, 1440)] {
        browser.resize(width, height).await;
        for scheme in ["light", "dark"] {
            browser.set_color_scheme(scheme).await;
            for (name, path, wanted) in VIEWS {
                browser.goto(path).await;
                browser.wait_for(wanted).await;
                let over = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
                assert_eq!(
                    browser.run(&format!("return {over}")).await,
                    json!(0),
                    "{name} at {width} pixels is wider than the screen"
                );
                let shown =
                    "[...document.images].filter((img) => img.loading === 'eager').every((img) => img.complete)";
                browser.wait_until(shown).await;
                browser.screenshot(&format!("{name}-{width}-{scheme}")).await;
            }
        }
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shortcuts_and_arrow_keys_move_the_focus() {
    let app = demo_service().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?q=a+cat").await;
    browser.wait_for(".hit").await;
    browser.open_folds().await;
    browser.keys("/").await;
    browser.wait_until("document.activeElement.id === 'query-text'").await;
    browser.run("document.activeElement.blur()").await;
    browser.keys("?").await;
    browser.wait_for("dialog[open] dl.shortcuts").await;
    browser.screenshot("shortcuts").await;
    browser.keys("\u{e00c}").await;
    browser.wait_until("!document.querySelector('dialog[open]')").await;
    // Down moves to the row below, and up moves back.
    browser.run("document.querySelector('.hit').focus()").await;
    browser.keys("\u{e015}").await;
    browser.wait_until("document.activeElement.getBoundingClientRect().top > document.querySelector('.hit').getBoundingClientRect().bottom").await;
    browser.keys("\u{e013}").await;
    browser.wait_until("Math.abs(document.activeElement.getBoundingClientRect().top - document.querySelector('.hit').getBoundingClientRect().top) < 2").await;
    browser.close().await;
}

/// The source of axe-core; `GLIMPSE_AXE` is the path of its `axe.min.js`.
pub(super) fn axe_source() -> Option<String> {
    let axe = variable("GLIMPSE_AXE").and_then(|path| std::fs::read_to_string(path).ok());
    if axe.is_none() {
        skip("axe", "set GLIMPSE_AXE to axe.min.js of axe-core");
    }
    axe
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_no_violation_in_any_view() {
    let Some(axe) = axe_source() else { return };
    let app = demo_service().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    for scheme in ["light", "dark"] {
        browser.set_color_scheme(scheme).await;
        for (name, path, wanted) in VIEWS {
            browser.goto(path).await;
            browser.wait_for(wanted).await;
            assert_no_violation(&browser, &axe, &format!("{name}, {scheme}")).await;
        }
        browser.goto("/?q=a+cat").await;
        browser.click(".hit").await;
        browser.wait_until("document.querySelector('.viewer .facts')?.innerText.includes('SHA-256')").await;
        assert_no_violation(&browser, &axe, &format!("image, {scheme}")).await;
    }
    browser.close().await;
}

/// Asserts in both sizes and colour schemes that what the browser shows fits its width and, with axe-core, that it breaks
/// no rule. `view` is the name of the screenshots.
pub(super) async fn assert_accessible(browser: &Browser, view: &str) {
    let axe = axe_source();
    for (width, height) in [(360, 780), (1280, 900)] {
        browser.resize(width, height).await;
        browser.wait_until("document.documentElement.scrollWidth === document.documentElement.clientWidth").await;
        for scheme in ["light", "dark"] {
            browser.set_color_scheme(scheme).await;
            let name = format!("{view}-{width}-{scheme}");
            browser.screenshot(&name).await;
            if let Some(axe) = &axe {
                assert_no_violation(browser, axe, &name).await;
            }
        }
    }
}

pub(super) async fn assert_no_violation(browser: &Browser, axe: &str, view: &str) {
    browser.run(axe).await;
    let found = browser.run_async("axe.run().then(arguments[arguments.length - 1])").await;
    let violations: Vec<String> = found["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let nodes: Vec<&Value> = one["nodes"].as_array().unwrap().iter().map(|node| &node["html"]).collect();
            format!("{}: {nodes:?}", one["help"])
        })
        .collect();
    assert!(violations.is_empty(), "{view}: {violations:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_asks_for_the_key_once_and_again_after_signing_out() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", "open-sesame-for-tests")]).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/").await;
    browser.type_into("dialog[open] input[name=key]", "wrong\u{e007}").await;
    browser
        .wait_until("document.querySelector('dialog[open] .error').innerText.includes('does not accept this API key')")
        .await;
    browser.screenshot("sign-in").await;
    browser.run("document.querySelector('dialog[open] input[name=key]').value = ''").await;
    browser.type_into("dialog[open] input[name=key]", "open-sesame-for-tests\u{e007}").await;
    browser.wait_until("document.querySelector('.summary')?.innerText.includes('has no images yet')").await;
    assert_eq!(browser.run("return document.cookie").await, json!(""), "scripts cannot read the session cookie");
    browser.reload().await;
    browser.wait_until("document.querySelector('.summary')?.innerText.includes('has no images yet')").await;
    browser.press("Sign out").await;
    browser.wait_for("dialog[open] input[name=key]").await;
    browser.close().await;
}
