//! The service goes away and comes back, while the page stays open.

use std::time::Duration;

use serde_json::json;

use super::Browser;
use crate::support::cheap_clip::CheapClip;
use crate::support::{TestApp, demo_image};

/// A service that keeps its port when it is started again, with a provider that takes its time.
async fn slow(clip: &CheapClip, more: &[(&str, &str)]) -> TestApp {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let own = [("GLIMPSE_ADDR", free.as_str()), ("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", clip.url.as_str())];
    TestApp::with(&[&own, more].concat()).await
}

/// So many pictures, each another.
async fn fill(app: &TestApp, count: u8) {
    let cat = demo_image("cat.jpg");
    for copy in 0..count {
        app.put(&format!("images/{copy}.jpg"), [cat.as_slice(), &[copy]].concat()).await;
    }
}

const ABOUT: &str = "document.querySelector('.about').innerText";
const JOB: &str = "document.querySelector('.job').innerText";
const INDEXED: &str = "Number([...document.querySelectorAll('.counts div')]
    .find((one) => one.innerText.startsWith('Indexed')).querySelector('dd').innerText)";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_watched_goes_on_after_a_restart_without_a_reload() {
    let clip = CheapClip::start(Duration::from_millis(40)).await;
    let app = slow(&clip, &[]).await;
    fill(&app, 200).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    browser.goto(&format!("/?view=jobs&id={id}")).await;
    browser.run("window.sameOldPage = true").await;
    browser.until(&format!("document.querySelector('.job .state.running') && {INDEXED} > 0")).await;

    let away = app.stop_but_remember().await;
    browser.until(&format!("{JOB}.includes('The service does not answer just now')")).await;
    browser.picture("job-service-away").await;
    let app = away.start().await;
    browser.until(&format!("!{JOB}.includes('does not answer')")).await;
    browser.until(&format!("document.querySelector('.job .state.succeeded') && {INDEXED} === 200")).await;
    browser.until("document.querySelector('.log').innerText.includes('SUCCEEDED: 200 done')").await;
    // What the job said before is there once, and the page is the one that was opened.
    let said = browser.text(".log").await;
    assert_eq!(said.matches("lists s3://pipeline/images/").count(), 1, "{said}");
    assert_eq!(browser.run("return window.sameOldPage").await, json!(true));
    browser.picture("job-service-back").await;
    browser.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_while_the_service_is_away_says_so_and_works_after() {
    let clip = CheapClip::start(Duration::ZERO).await;
    let app = slow(&clip, &[]).await;
    fill(&app, 12).await;
    assert_eq!(app.ingest().await.counts.done, 12);
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/").await;
    browser.until(&format!("{ABOUT}.includes('12 pictures')")).await;
    browser.run("window.sameOldPage = true").await;

    let away = app.stop_but_remember().await;
    browser.write("#words", "a cat\u{e007}").await;
    browser.until(&format!("{ABOUT}.includes('The service does not answer. Check that it runs')")).await;
    browser.picture("search-service-away").await;
    // The other views are there and say the same, and so does the search when one comes back to it.
    browser.click("nav [data-view=jobs]").await;
    browser.until("document.querySelector('.job-list .note')?.innerText.includes('does not answer')").await;
    browser.click("nav [data-view=status]").await;
    browser.until("document.querySelector('.status .note')?.innerText.includes('does not answer')").await;
    browser.click("nav [data-view=search]").await;
    browser.until(&format!("document.querySelector('.about') && {ABOUT}.includes('does not answer')")).await;
    browser.write("#words", "a cat\u{e007}").await;
    browser.until(&format!("location.search === '?q=a+cat' && {ABOUT}.includes('does not answer')")).await;

    let app = away.start().await;
    browser.press("Try again").await;
    browser.until("document.querySelectorAll('.hit').length === 12").await;
    // What there is to choose from is known again, too.
    browser.until("document.querySelector('select[name=collection]').innerText.includes('documents (12)')").await;
    assert_eq!(browser.run("return window.sameOldPage").await, json!(true));
    browser.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_with_the_service_is_asked_for_anew_where_a_job_is_watched() {
    let clip = CheapClip::start(Duration::from_millis(40)).await;
    let app = slow(&clip, &[("GLIMPSE_API_KEY", "open-sesame")]).await;
    fill(&app, 200).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?view=jobs").await;
    browser.write("dialog[open] input[name=key]", "open-sesame\u{e007}").await;
    browser.write("input[name=prefix]", "images/").await;
    browser.press("Start").await;
    browser.until("document.querySelector('.job .state.running')").await;
    let app = app.stop_but_remember().await.start().await;
    browser.write("dialog[open] input[name=key]", "open-sesame\u{e007}").await;
    browser.until(&format!("document.querySelector('.job .state.succeeded') && {INDEXED} === 200")).await;
    browser.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_searches_while_a_job_runs_that_was_begun_in_the_page() {
    let clip = CheapClip::start(Duration::from_millis(40)).await;
    let app = slow(&clip, &[]).await;
    fill(&app, 200).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?view=jobs").await;
    browser.write("input[name=prefix]", "images/").await;
    browser.press("Start").await;
    browser.until(&format!("document.querySelector('.job .state.running') && {INDEXED} > 0")).await;
    browser.picture("busy-job").await;
    browser.click("nav [data-view=search]").await;
    browser.write("#words", "a cat\u{e007}").await;
    browser.until("document.querySelectorAll('.hit').length > 0").await;
    browser.picture("busy-search").await;
    let some = browser.run("return document.querySelectorAll('.hit').length").await.as_u64().unwrap();
    assert!(some < 200, "the job was over before the search");
    // The list follows it to its end by itself.
    browser.click("nav [data-view=jobs]").await;
    browser.see(".job-list .state.running").await;
    browser.picture("busy-jobs").await;
    browser.until("document.querySelector('.job-list .state.succeeded')").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_are_watched_in_many_tabs_leave_the_search_its_connections() {
    let clip = CheapClip::start(Duration::from_millis(200)).await;
    let app = slow(&clip, &[]).await;
    fill(&app, 250).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    for _ in 0..4 {
        browser.goto(&format!("/?view=jobs&id={id}")).await;
        browser.until(&format!("document.querySelector('.job .state.running') && {INDEXED} > 0")).await;
        browser.tab().await;
    }
    browser.goto("/?q=a+cat").await;
    browser.until("document.querySelectorAll('.hit').length > 0").await;
    assert_eq!(app.job(&id).await.status, "RUNNING");
    browser.close().await;
}
