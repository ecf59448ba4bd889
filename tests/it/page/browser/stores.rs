//! Several stores: one that is not available, and two that are compared.

use serde_json::json;

use super::Browser;
use super::accessibility::{assert_no_violation, axe_source};
use crate::support::TestApp;
use crate::support::qdrant::QdrantServer;

/// A service that has the demo's images in the embedded store and in a Qdrant, which it retries soon after a failure.
async fn start_with_two_stores(qdrant: &QdrantServer) -> TestApp {
    let url = qdrant.url();
    let variables =
        [("VECTOR_DB_PROVIDER", "embedded,qdrant"), ("QDRANT_URL", &url), ("VECTOR_DB_CIRCUIT_BREAKER_TIMEOUT", "1")];
    let app = TestApp::start_with(&variables).await;
    app.seed_demo().await;
    assert_eq!(app.ingest().await.counts.done, 26);
    app
}

const SUMMARY: &str = "document.querySelector('.summary').innerText";

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_available_is_named_and_the_other_store_answers() {
    let qdrant = QdrantServer::start().await;
    let app = start_with_two_stores(&qdrant).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?q=a+cat&provider=all").await;
    browser.wait_until("document.querySelectorAll('.hit').length === 26").await;
    assert_eq!(browser.run("return document.querySelectorAll('.warning').length").await, json!(0));

    qdrant.stop().await;
    browser.click(".search button.primary").await;
    browser.wait_until("document.querySelector('.summary .warning')?.innerText.includes('qdrant')").await;
    browser.wait_until("document.querySelectorAll('.hit').length === 26").await;
    let warning = browser.text(".summary .warning").await;
    assert!(warning.ends_with("and is left out. These results are from the other stores."), "{warning}");
    browser.screenshot("store-down-all").await;

    browser.goto("/?q=a+cat&provider=qdrant").await;
    browser.wait_until(&format!("{SUMMARY}.includes('“qdrant” is not available')")).await;
    assert!(browser.text(".summary").await.contains("try again in a moment"));
    browser.screenshot("store-down-alone").await;
    // A comparison shows the store that is available.
    browser.goto("/?q=a+cat&compare=embedded,qdrant").await;
    browser.wait_until("document.querySelectorAll('.hit').length === 26").await;
    browser
        .wait_until("document.querySelector('.results .notice')?.innerText.includes('“qdrant” is not available')")
        .await;
    browser.screenshot("store-down-beside").await;

    browser.goto("/?view=status").await;
    let row = |store: &str| {
        format!("[...document.querySelectorAll('.status tr')].find((row) => row.innerText.startsWith('{store}'))")
    };
    browser
        .wait_until(&format!("{}.querySelector('.state.failed').innerText === 'not available'", row("qdrant")))
        .await;
    browser
        .wait_until(&format!("{}.querySelector('.state.succeeded').innerText === 'available'", row("embedded")))
        .await;
    browser.screenshot("store-down-status").await;

    // The suggested actions work: search the other store, and try again after the restart.
    browser.goto("/?q=a+cat&provider=qdrant").await;
    browser.press("Search in embedded").await;
    browser.wait_until("document.querySelectorAll('.hit').length === 26").await;
    browser.back().await;
    browser.wait_until(&format!("{SUMMARY}.includes('is not available')")).await;
    qdrant.restart().await;
    let back =
        "document.querySelectorAll('.hit').length === 26 || void [...document.querySelectorAll('.summary button')]
        .find((button) => button.innerText === 'Try again')?.click()";
    browser.wait_until(back).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_of_two_stores_shows_where_they_differ() {
    let qdrant = QdrantServer::start().await;
    let app = start_with_two_stores(&qdrant).await;
    // The first and the fifth result are missing in one store.
    let (_, reply) = app.get("/search/images?q=a+cat&limit=26").await;
    let id = |place: usize| reply["results"][place]["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(qdrant.delete_points("documents_images", &[id(0), id(4)]), 2);

    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?q=a+cat").await;
    browser.wait_for(".hit").await;
    let choose = "const choice = document.querySelector('select[name=provider]');
         choice.value = 'compare:embedded,qdrant';
         choice.dispatchEvent(new Event('change'));";
    browser.run(choose).await;
    browser.wait_until("document.querySelectorAll('.side-by-side section').length === 2").await;
    assert_eq!(browser.address().await, "/?q=a+cat&compare=embedded%2Cqdrant");
    let marks = "return [...document.querySelectorAll('.side-by-side section')].map((side) =>
         [...side.querySelectorAll('.mark')].slice(0, 6).map((mark) => mark.innerText))";
    let expected = json!([["only here", "▼1", "▼1", "▼1", "only here", "▼2"], ["▲1", "▲1", "▲1", "▲2", "▲2", "▲2"]]);
    assert_eq!(browser.run(marks).await, expected);
    let label =
        browser.wait_for(".side-by-side section:nth-child(2) .hit").await.attr("aria-label").await.unwrap().unwrap();
    assert!(label.ends_with("result 1, 1 rank higher than in embedded"), "{label}");
    assert!(browser.text("#timing").await.starts_with("Both have 24 of 26 images, 0 of them at the same rank."));

    let bars = "[...document.querySelectorAll('.hit .bar')].filter((bar) => bar.parentNode.clientWidth > 100)";
    let widths = format!("return new Set({bars}.map((bar) => bar.clientWidth)).size");
    assert_eq!(browser.run(&widths).await, json!(1), "bars have one width, whatever is beside them");

    let beside = "(() => { const [one, other] = [...document.querySelectorAll('.side-by-side section')].map((side) =>
         side.getBoundingClientRect()); return one.top === other.top && one.right <= other.left; })()";
    for (width, height) in [(360, 780), (1280, 900), (2560, 1440)] {
        browser.resize(width, height).await;
        browser.wait_until(beside).await;
        browser.wait_until("document.documentElement.scrollWidth === document.documentElement.clientWidth").await;
        let shown = "[...document.images].filter((img) => img.loading === 'eager').every((img) => img.complete)";
        browser.wait_until(shown).await;
        for scheme in ["light", "dark"] {
            browser.set_color_scheme(scheme).await;
            browser.screenshot(&format!("beside-{width}-{scheme}")).await;
        }
    }
    if let Some(axe) = axe_source() {
        for scheme in ["light", "dark"] {
            browser.set_color_scheme(scheme).await;
            assert_no_violation(&browser, &axe, &format!("comparison, {scheme}")).await;
            qdrant.stop().await;
            browser.click(".search button.primary").await;
            browser.wait_for(".results .notice").await;
            assert_no_violation(&browser, &axe, &format!("a store that is not available, {scheme}")).await;
            qdrant.restart().await;
            let back = "document.querySelectorAll('.side-by-side .hit').length > 26 || void
                document.querySelector('.results .notice button')?.click()";
            browser.wait_until(back).await;
        }
    }
    browser.close().await;
}
