//! For everyone: the keyboard, small and large screens, light and dark, screen readers, and the key of the door.

use serde_json::{Value, json};

use super::Browser;
use crate::support::TestApp;

async fn demo() -> TestApp {
    let app = TestApp::start().await;
    app.seed_demo().await;
    app.ingest().await;
    app
}

const VIEWS: [(&str, &str, &str); 5] = [
    ("home", "/", ".about p"),
    ("results", "/?q=an+animal", ".hit"),
    ("jobs", "/?view=jobs", ".job-list table"),
    ("status", "/?view=status", ".status table"),
    ("trouble", "/?q=a&collection=nowhere", ".note"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_view_fits_every_screen_in_light_and_dark() {
    let app = demo().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    for (width, height) in [(360, 780), (1280, 900), (2560, 1440)] {
        browser.size(width, height).await;
        for scheme in ["light", "dark"] {
            browser.scheme(scheme).await;
            for (name, path, wanted) in VIEWS {
                browser.goto(path).await;
                browser.see(wanted).await;
                let over = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
                assert_eq!(
                    browser.run(&format!("return {over}")).await,
                    json!(0),
                    "{name} at {width}: wider than the screen"
                );
                let shown =
                    "[...document.images].filter((img) => img.loading === 'eager').every((img) => img.complete)";
                browser.until(shown).await;
                browser.picture(&format!("{name}-{width}-{scheme}")).await;
            }
        }
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_reach_everything() {
    let app = demo().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?q=a+cat").await;
    browser.see(".hit").await;
    browser.keys("/").await;
    browser.until("document.activeElement.id === 'words'").await;
    browser.run("document.activeElement.blur()").await;
    browser.keys("?").await;
    browser.see("dialog[open] dl.keys").await;
    browser.picture("keys").await;
    browser.keys("\u{e00c}").await;
    browser.until("!document.querySelector('dialog[open]')").await;
    // Down is the row below, and up comes back.
    browser.run("document.querySelector('.hit').focus()").await;
    browser.keys("\u{e015}").await;
    browser.until("document.activeElement.getBoundingClientRect().top > document.querySelector('.hit').getBoundingClientRect().bottom").await;
    browser.keys("\u{e013}").await;
    browser.until("Math.abs(document.activeElement.getBoundingClientRect().top - document.querySelector('.hit').getBoundingClientRect().top) < 2").await;
    browser.close().await;
}

/// `GLIMPSE_AXE`: the path of `axe.min.js`, of the npm package `axe-core`.
pub(super) fn axe() -> Option<String> {
    use std::io::Write;
    let axe = std::env::var_os("GLIMPSE_AXE").and_then(|path| std::fs::read_to_string(path).ok());
    if axe.is_none() {
        std::io::stderr().write_all(b"skipped: set GLIMPSE_AXE to axe.min.js of axe-core\n").unwrap();
    }
    axe
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checker_of_accessibility_has_nothing_to_say() {
    let Some(axe) = axe() else { return };
    let app = demo().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    for scheme in ["light", "dark"] {
        browser.scheme(scheme).await;
        for (name, path, wanted) in VIEWS {
            browser.goto(path).await;
            browser.see(wanted).await;
            no_violation(&browser, &axe, &format!("{name}, {scheme}")).await;
        }
        browser.goto("/?q=a+cat").await;
        browser.click(".hit").await;
        browser.until("document.querySelector('.viewer .facts')?.innerText.includes('SHA-256')").await;
        no_violation(&browser, &axe, &format!("picture, {scheme}")).await;
    }
    browser.close().await;
}

pub(super) async fn no_violation(browser: &Browser, axe: &str, view: &str) {
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
async fn the_key_is_asked_for_once_and_signing_out_ends_it() {
    let app = TestApp::with(&[("GLIMPSE_API_KEY", "open-sesame")]).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/").await;
    browser.write("dialog[open] input[name=key]", "wrong\u{e007}").await;
    browser.until("document.querySelector('dialog[open] .wrong').innerText.includes('not known')").await;
    browser.picture("sign-in").await;
    browser.run("document.querySelector('dialog[open] input[name=key]').value = ''").await;
    browser.write("dialog[open] input[name=key]", "open-sesame\u{e007}").await;
    browser.until("document.querySelector('.about')?.innerText.includes('Nothing is indexed')").await;
    assert_eq!(browser.run("return document.cookie").await, json!(""), "out of reach of scripts");
    browser.reload().await;
    browser.until("document.querySelector('.about')?.innerText.includes('Nothing is indexed')").await;
    browser.press("Sign out").await;
    browser.see("dialog[open] input[name=key]").await;
    browser.close().await;
}
