//! The service stops and starts again while the page stays open.

use std::time::Duration;

use serde_json::json;

use super::Browser;
use crate::support::services::cheap_clip::CheapClip;
use crate::support::{TestApp, demo_image, free_address};

/// A service with a slow embedding provider. It keeps its port when it is started again.
async fn start_slow(clip: &CheapClip, more: &[(&str, &str)]) -> TestApp {
    let addr = free_address();
    let own = [("GLIMPSE_ADDR", addr.as_str()), ("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", clip.url.as_str())];
    TestApp::start_with(&[&own, more].concat()).await
}

/// Uploads this number of different images.
async fn upload_images(app: &TestApp, count: u8) {
    let cat = demo_image("cat.jpg");
    for copy in 0..count {
        app.put(&format!("images/{copy}.jpg"), [cat.as_slice(), &[copy]].concat()).await;
    }
}

const SUMMARY: &str = "document.querySelector('.summary').innerText";
const JOB: &str = "document.querySelector('.job').innerText";
const INDEXED: &str = "Number([...document.querySelectorAll('.counts div')]
    .find((one) => one.innerText.startsWith('Indexed')).querySelector('dd').innerText)";

#[tokio::test(flavor = "multi_thread")]
async fn the_view_of_a_job_continues_after_a_restart_without_a_reload() {
    let clip = CheapClip::start(Duration::from_millis(40)).await;
    let app = start_slow(&clip, &[]).await;
    upload_images(&app, 200).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    browser.goto(&format!("/?view=jobs&id={id}")).await;
    browser.run("window.sameOldPage = true").await;
    browser.wait_until(&format!("document.querySelector('.job .state.running') && {INDEXED} > 0")).await;

    let away = app.stop_for_restart().await;
    browser.wait_until(&format!("{JOB}.includes('The service does not answer. The page reconnects')")).await;
    browser.screenshot("job-service-away").await;
    let app = away.start().await;
    browser.wait_until(&format!("!{JOB}.includes('does not answer')")).await;
    browser.wait_until(&format!("document.querySelector('.job .state.succeeded') && {INDEXED} === 200")).await;
    browser.wait_until("document.querySelector('.log').innerText.includes('SUCCEEDED: 200 done')").await;
    // The earlier lines of the log are shown once, and the page was not reloaded.
    let log = browser.text(".log").await;
    assert_eq!(log.matches("the job indexes s3://pipeline/images/").count(), 1, "{log}");
    assert_eq!(browser.run("return window.sameOldPage").await, json!(true));
    browser.screenshot("job-service-back").await;
    browser.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_without_the_service_shows_an_error_and_works_after_a_restart() {
    let clip = CheapClip::start(Duration::ZERO).await;
    let app = start_slow(&clip, &[]).await;
    upload_images(&app, 12).await;
    assert_eq!(app.ingest().await.counts.done, 12);
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/").await;
    browser.wait_until(&format!("{SUMMARY}.includes('12 images')")).await;
    browser.run("window.sameOldPage = true").await;

    let away = app.stop_for_restart().await;
    browser.type_into("#query-text", "a cat\u{e007}").await;
    browser.wait_until(&format!("{SUMMARY}.includes('The service does not answer. Check that it is running')")).await;
    browser.screenshot("search-service-away").await;
    // The other views show the same, and so does the search view on return.
    browser.click("nav [data-view=jobs]").await;
    browser.wait_until("document.querySelector('.job-list .notice')?.innerText.includes('does not answer')").await;
    browser.click("nav [data-view=status]").await;
    browser.wait_until("document.querySelector('.status .notice')?.innerText.includes('does not answer')").await;
    browser.click("nav [data-view=search]").await;
    browser.wait_until(&format!("document.querySelector('.summary') && {SUMMARY}.includes('does not answer')")).await;
    browser.type_into("#query-text", "a cat\u{e007}").await;
    browser.wait_until(&format!("location.search === '?q=a+cat' && {SUMMARY}.includes('does not answer')")).await;

    let app = away.start().await;
    browser.press("Try again").await;
    browser.wait_until("document.querySelectorAll('.hit').length === 12").await;
    // The collections are loaded again.
    browser.wait_until("document.querySelector('select[name=collection]').innerText.includes('documents (12)')").await;
    assert_eq!(browser.run("return window.sameOldPage").await, json!(true));
    browser.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_of_a_job_asks_for_the_key_after_a_restart() {
    let clip = CheapClip::start(Duration::from_millis(40)).await;
    let app = start_slow(&clip, &[("GLIMPSE_API_KEY", "open-sesame-for-tests")]).await;
    upload_images(&app, 200).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?view=jobs").await;
    browser.type_into("dialog[open] input[name=key]", "open-sesame-for-tests\u{e007}").await;
    browser.type_into("input[name=prefix]", "images/").await;
    browser.press("Start job").await;
    browser.wait_until("document.querySelector('.job .state.running')").await;
    let app = app.stop_for_restart().await.start().await;
    browser.type_into("dialog[open] input[name=key]", "open-sesame-for-tests\u{e007}").await;
    browser.wait_until(&format!("document.querySelector('.job .state.succeeded') && {INDEXED} === 200")).await;
    browser.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_work_while_a_job_runs() {
    let clip = CheapClip::start(Duration::from_millis(120)).await;
    let app = start_slow(&clip, &[]).await;
    upload_images(&app, 200).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?view=jobs").await;
    browser.type_into("input[name=prefix]", "images/").await;
    browser.press("Start job").await;
    browser.wait_until(&format!("document.querySelector('.job .state.running') && {INDEXED} > 0")).await;
    browser.screenshot("busy-job").await;
    browser.click("nav [data-view=search]").await;
    browser.type_into("#query-text", "a cat\u{e007}").await;
    browser.wait_until("document.querySelectorAll('.hit').length > 0").await;
    browser.screenshot("busy-search").await;
    let some = browser.run("return document.querySelectorAll('.hit').length").await.as_u64().unwrap();
    assert!(some < 200, "the job ended before the search");
    // The list of jobs refreshes by itself.
    browser.click("nav [data-view=jobs]").await;
    browser.wait_for(".job-list .state.running").await;
    browser.screenshot("busy-jobs").await;
    browser.wait_until("document.querySelector('.job-list .state.succeeded')").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_in_many_tabs_leave_connections_for_the_search() {
    let clip = CheapClip::start(Duration::from_millis(200)).await;
    let app = start_slow(&clip, &[]).await;
    upload_images(&app, 250).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    for _ in 0..4 {
        browser.goto(&format!("/?view=jobs&id={id}")).await;
        browser.wait_until(&format!("document.querySelector('.job .state.running') && {INDEXED} > 0")).await;
        browser.open_tab().await;
    }
    browser.goto("/?q=a+cat").await;
    browser.wait_until("document.querySelectorAll('.hit').length > 0").await;
    assert_eq!(app.job(&id).await.status, "RUNNING");
    browser.close().await;
}
