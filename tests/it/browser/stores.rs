//! Several stores in the page: one that is down, and two side by side.

use serde_json::json;

use super::Browser;
use super::everyone::{axe, no_violation};
use crate::support::TestApp;
use crate::support::qdrant::QdrantServer;

/// The demo's pictures in the embedded store and in a Qdrant that is soon asked again once it failed.
async fn both(qdrant: &QdrantServer) -> TestApp {
    let url = qdrant.url();
    let variables =
        [("VECTOR_DB_PROVIDER", "embedded,qdrant"), ("QDRANT_URL", &url), ("VECTOR_DB_CIRCUIT_BREAKER_TIMEOUT", "1")];
    let app = TestApp::with(&variables).await;
    app.seed_demo().await;
    assert_eq!(app.ingest().await.counts.done, 26);
    app
}

const ABOUT: &str = "document.querySelector('.about').innerText";

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_is_told_in_plain_words_and_the_other_answers() {
    let qdrant = QdrantServer::start().await;
    let app = both(&qdrant).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?q=a+cat&provider=all").await;
    browser.until("document.querySelectorAll('.hit').length === 26").await;
    assert_eq!(browser.run("return document.querySelectorAll('.warning').length").await, json!(0));

    qdrant.stop().await;
    browser.click(".search button.main").await;
    browser.until("document.querySelector('.about .warning')?.innerText.includes('qdrant')").await;
    browser.until("document.querySelectorAll('.hit').length === 26").await;
    let warning = browser.text(".about .warning").await;
    assert!(warning.ends_with("and is left out. What you see is from the others."), "{warning}");
    browser.picture("store-down-all").await;

    browser.goto("/?q=a+cat&provider=qdrant").await;
    browser.until(&format!("{ABOUT}.includes('“qdrant” does not answer just now')")).await;
    assert!(browser.text(".about").await.contains("try again in a moment"));
    browser.picture("store-down-alone").await;
    // Side by side, the one that is there is shown.
    browser.goto("/?q=a+cat&compare=embedded,qdrant").await;
    browser.until("document.querySelectorAll('.hit').length === 26").await;
    browser.until("document.querySelector('.results .note')?.innerText.includes('“qdrant” does not answer')").await;
    browser.picture("store-down-beside").await;

    browser.goto("/?view=status").await;
    let of = |store: &str| {
        format!("[...document.querySelectorAll('.status tr')].find((row) => row.innerText.startsWith('{store}'))")
    };
    browser.until(&format!("{}.querySelector('.state.failed').innerText === 'not there'", of("qdrant"))).await;
    browser.until(&format!("{}.querySelector('.state.succeeded').innerText === 'there'", of("embedded"))).await;
    browser.picture("store-down-status").await;

    // What the page offers to do next works: the other store, and the same one once it is back.
    browser.goto("/?q=a+cat&provider=qdrant").await;
    browser.press("Search in embedded").await;
    browser.until("document.querySelectorAll('.hit').length === 26").await;
    browser.back().await;
    browser.until(&format!("{ABOUT}.includes('does not answer just now')")).await;
    qdrant.restart().await;
    let back = "document.querySelectorAll('.hit').length === 26 || void [...document.querySelectorAll('.about button')]
        .find((button) => button.innerText === 'Try again')?.click()";
    browser.until(back).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stores_side_by_side_show_where_they_differ() {
    let qdrant = QdrantServer::start().await;
    let app = both(&qdrant).await;
    // The first and the fifth picture vanish from one of them.
    let (_, reply) = app.get("/search/images?q=a+cat&limit=26").await;
    let id = |place: usize| reply["results"][place]["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(qdrant.delete_points("documents_images", &[id(0), id(4)]), 2);

    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?q=a+cat").await;
    browser.see(".hit").await;
    let choose = "const choice = document.querySelector('select[name=provider]');
         choice.value = 'compare:embedded,qdrant';
         choice.dispatchEvent(new Event('change'));";
    browser.run(choose).await;
    browser.until("document.querySelectorAll('.beside section').length === 2").await;
    assert_eq!(browser.address().await, "/?q=a+cat&compare=embedded%2Cqdrant");
    let marks = "return [...document.querySelectorAll('.beside section')].map((side) =>
         [...side.querySelectorAll('.mark')].slice(0, 6).map((mark) => mark.innerText))";
    let expected = json!([["only here", "▼1", "▼1", "▼1", "only here", "▼2"], ["▲1", "▲1", "▲1", "▲2", "▲2", "▲2"]]);
    assert_eq!(browser.run(marks).await, expected);
    let label = browser.see(".beside section:nth-child(2) .hit").await.attr("aria-label").await.unwrap().unwrap();
    assert!(label.ends_with("result 1, 1 place higher than in embedded"), "{label}");
    assert!(browser.text("#took").await.starts_with("24 of 26 pictures are in both, 0 of them at the same place."));

    let beside = "(() => { const [one, other] = [...document.querySelectorAll('.beside section')].map((side) =>
         side.getBoundingClientRect()); return one.top === other.top && one.right <= other.left; })()";
    for (width, height) in [(360, 780), (1280, 900), (2560, 1440)] {
        browser.size(width, height).await;
        browser.until(beside).await;
        browser.until("document.documentElement.scrollWidth === document.documentElement.clientWidth").await;
        let shown = "[...document.images].filter((img) => img.loading === 'eager').every((img) => img.complete)";
        browser.until(shown).await;
        for scheme in ["light", "dark"] {
            browser.scheme(scheme).await;
            browser.picture(&format!("beside-{width}-{scheme}")).await;
        }
    }
    if let Some(axe) = axe() {
        for scheme in ["light", "dark"] {
            browser.scheme(scheme).await;
            no_violation(&browser, &axe, &format!("side by side, {scheme}")).await;
            qdrant.stop().await;
            browser.click(".search button.main").await;
            browser.see(".results .note").await;
            no_violation(&browser, &axe, &format!("a store that is down, {scheme}")).await;
            qdrant.restart().await;
            let back = "document.querySelectorAll('.beside .hit').length > 26 || void
                document.querySelector('.results .note button')?.click()";
            browser.until(back).await;
        }
    }
    browser.close().await;
}
