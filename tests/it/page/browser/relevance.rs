//! The line below the relevant results, and the fold of the less relevant ones.

use std::time::{Duration, Instant};

use image::{Rgba, RgbaImage};
use serde_json::{Value, json};

use super::Browser;
use super::accessibility::assert_accessible;
use crate::support::demo::demo_service;
use crate::support::{TestApp, encode_png, image_id};

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const TAB: &str = "\u{e004}";
const RIGHT: &str = "\u{e014}";
const DOWN: &str = "\u{e015}";

/// The results that the user can see.
const SHOWN: &str = "[...document.querySelectorAll('.hit')].filter((hit) => hit.checkVisibility())";

/// Waits until the service knows the relevance of results: it is calibrated in the background.
async fn wait_for_relevance(app: &TestApp) {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let (_, reply) = app.get("/search/images?q=a+cat&limit=1").await;
        if reply["results"][0]["relevance"].is_number() {
            return;
        }
        assert!(Instant::now() < deadline, "no relevance: {reply}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(super) async fn demo_with_relevance() -> TestApp {
    let app = demo_service().await;
    wait_for_relevance(&app).await;
    app
}

async fn count_shown(browser: &Browser) -> u64 {
    browser.run(&format!("return {SHOWN}.length")).await.as_u64().unwrap()
}

/// Whether the fold is open, as its button reports it.
async fn fold_state(browser: &Browser) -> Value {
    browser.run("return document.querySelector('.fold button').getAttribute('aria-expanded')").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_separates_the_relevant_results_and_the_keyboard_opens_the_others() {
    let app = demo_with_relevance().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?q=a+cat").await;
    browser.wait_for(".fold button[aria-expanded='false']").await;
    let shown = count_shown(&browser).await;
    assert!((1..26).contains(&shown), "{shown} results are relevant");
    let noun = if shown == 25 { "image" } else { "images" };
    assert_eq!(browser.text(".fold button").await, format!("{} less relevant {noun}", 26 - shown));
    assert_eq!(browser.run("return document.querySelector('.no-match').checkVisibility()").await, json!(false));
    let first = browser.wait_for(".hit").await.attr("aria-label").await.unwrap().unwrap();
    let relevance = browser.text(".hit .relevance").await;
    assert!(relevance.ends_with('%') && first.contains(&relevance), "{first} has {relevance}");
    browser.wait_until("Math.abs(parseInt(document.querySelector('.hit .relevance').innerText) - parseInt(document.querySelector('.hit .bar span').style.width)) <= 1").await;

    // The arrow keys and the viewer stay above the line.
    browser.run("document.querySelector('#query-text').focus()").await;
    browser.keys(DOWN).await;
    browser.wait_until("document.activeElement === document.querySelector('.hit')").await;
    for _ in 0..26 {
        browser.keys(RIGHT).await;
    }
    browser.wait_until(&format!("document.activeElement === {SHOWN}.at(-1)")).await;
    browser.keys(ENTER).await;
    browser.wait_until("document.querySelector('.viewer .facts')?.innerText.includes('Relevance')").await;
    let end = format!("{shown} of {shown}");
    browser.wait_until(&format!("document.querySelector('#announcer').innerText.endsWith('{end}')")).await;
    browser.keys(ESCAPE).await;
    browser.wait_until("!document.querySelector('dialog.viewer') && document.activeElement.className === 'hit'").await;

    // The tab key does not stop at the two buttons of the image.
    browser.keys(TAB).await;
    browser.wait_until("document.activeElement === document.querySelector('.fold button')").await;
    browser.keys(ENTER).await;
    browser.wait_until(&format!("{SHOWN}.length === 26")).await;
    assert_eq!(fold_state(&browser).await, json!("true"));
    browser.keys(TAB).await;
    browser.wait_until(&format!("document.activeElement === document.querySelectorAll('.hit')[{shown}]")).await;

    assert_accessible(&browser, "relevance").await;
    browser.click(".fold button").await;
    browser.wait_until(&format!("{SHOWN}.length === {shown}")).await;

    // Relevance says only which images are the same one.
    browser.goto(&format!("/?like={}", image_id("images/cat.jpg"))).await;
    browser.wait_until(&format!("{SHOWN}.length === 25")).await;
    assert_eq!(browser.run("return document.querySelector('.fold').checkVisibility()").await, json!(false));
    assert!(browser.text(".hit .relevance").await.ends_with('%'));
    assert!(!browser.text("#announcer").await.contains("No image matches"));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_no_image_matches_says_so_and_its_results_can_be_opened() {
    let app = demo_with_relevance().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/").await;
    browser.wait_until("document.querySelector('.summary').innerText.includes('26 images')").await;
    browser.type_into("#query-text", &format!("zzzzzz{ENTER}")).await;
    browser.wait_for(".fold button[aria-expanded='false']").await;
    assert_eq!(browser.text(".no-match").await, "No image matches this search well. The nearest ones are hidden.");
    assert!(browser.text("#announcer").await.starts_with("No image matches this search well."));
    assert_eq!(count_shown(&browser).await, 0);
    assert_accessible(&browser, "no-match").await;
    // Down leads from the search field to the button, as no image is shown.
    browser.run("document.querySelector('#query-text').focus()").await;
    browser.keys(DOWN).await;
    browser.wait_until("document.activeElement === document.querySelector('.fold button')").await;
    browser.keys(ENTER).await;
    browser.wait_until(&format!("{SHOWN}.length === 26")).await;
    assert!(browser.text(".no-match").await.ends_with("The nearest ones are below."));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn less_relevant_results_load_only_after_the_fold_is_opened() {
    let app = TestApp::start().await;
    for shade in 0..120 {
        let image = RgbaImage::from_pixel(90, 90, Rgba([shade, 60, 90, 255]));
        app.put(&format!("images/{shade}.png"), encode_png(image)).await;
    }
    assert_eq!(app.ingest().await.counts.done, 120);
    wait_for_relevance(&app).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?q=zzzzzz").await;
    browser.wait_for(".fold button[aria-expanded='false']").await;
    browser.run("scrollTo(0, document.body.scrollHeight)").await;
    // The time in which a page would load if the end of the results were in view.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(browser.run("return document.querySelectorAll('.hit').length").await, json!(50));
    assert_eq!(browser.text(".fold button").await, "Less relevant images");

    browser.click(".fold button").await;
    let all = format!("{SHOWN}.length === 120 || void scrollTo(0, document.body.scrollHeight)");
    browser.wait_until(&all).await;
    assert_eq!(fold_state(&browser).await, json!("true"));
    assert_eq!(browser.text(".fold button").await, "120 less relevant images");
    browser.close().await;
}
