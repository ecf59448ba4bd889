//! Jobs in the page: begun, watched to their end, stopped, tried again.

use std::time::Duration;

use serde_json::json;

use super::Browser;
use crate::support::cheap_clip::CheapClip;
use crate::support::{TestApp, demo_image};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_begun_watched_to_its_end_and_its_failures_are_tried_again() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    app.put("images/cut.jpg", demo_image("cat.jpg")[..3000].to_vec()).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/").await;
    browser.until("document.querySelector('.about').innerText.includes('Nothing is indexed')").await;
    browser.press("Index a bucket").await;
    browser.write("input[name=prefix]", "images/").await;
    browser.picture("jobs-empty").await;
    browser.press("Start").await;
    browser.until("document.querySelector('.job .state.succeeded')").await;
    browser.until("document.querySelector('.failures')?.innerText.includes('truncated: 1')").await;
    browser.until("document.querySelector('.log').innerText.includes('SUCCEEDED: 26 done')").await;
    browser.click(".failures summary").await;
    browser.picture("job").await;
    assert!(browser.text(".failures").await.contains("images/cut.jpg"));

    app.put("images/cut.jpg", demo_image("cat.jpg")).await;
    let before = browser.address().await;
    browser.press("Try the failed ones again").await;
    browser.until(&format!("location.search !== {}", json!(before.trim_start_matches('/')))).await;
    browser.until("document.querySelector('.job .state.succeeded') && document.querySelector('.log').innerText.includes('1 done, 0 failed')").await;
    browser.press("← All jobs").await;
    browser.until("document.querySelectorAll('.job-list tbody tr').length === 2").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_stopped_after_a_question_and_a_page_comes_back_to_it_after_a_restart() {
    let clip = CheapClip::start(Duration::from_millis(200)).await;
    let variables = [("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", clip.url.as_str())];
    let app = TestApp::with(&variables).await;
    for copy in 0..200 {
        app.put(
            &format!("images/{copy}.jpg"),
            demo_image("cat.jpg")[..].iter().copied().chain([copy]).collect::<Vec<u8>>(),
        )
        .await;
    }
    // The browser first: one test after the other has it, and the job must still run when it is there.
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    browser.goto(&format!("/?view=jobs&id={id}")).await;
    browser.until("document.querySelector('.job .state.running') && document.querySelector('.job').innerText.includes('images/s')").await;
    browser.picture("job-running").await;
    // Figures change; whoever is about to press a button does not lose it.
    browser.run("document.querySelector('.job .danger').focus(); window.before = document.querySelector('.counts').innerText").await;
    browser.until("document.querySelector('.counts').innerText !== window.before").await;
    assert_eq!(browser.run("return document.activeElement.innerText").await, "Stop");
    browser.press("Stop").await;
    browser.press("Cancel").await;
    browser.until("!document.querySelector('dialog[open]') && document.querySelector('.job .state.running')").await;
    browser.press("Stop").await;
    browser.press("Stop the job").await;
    browser.until("document.querySelector('.job .state.stopped')").await;
    browser.close().await;
}
