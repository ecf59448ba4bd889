//! Jobs: started, followed to their end, stopped, retried.

use std::time::Duration;

use serde_json::json;

use super::Browser;
use crate::support::services::cheap_clip::CheapClip;
use crate::support::{TestApp, demo_image};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_started_followed_to_its_end_and_its_failed_images_are_retried() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    app.put("images/cut.jpg", demo_image("cat.jpg")[..3000].to_vec()).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/").await;
    browser.wait_until("document.querySelector('.summary').innerText.includes('has no images yet')").await;
    browser.press("Index a bucket").await;
    browser.type_into("input[name=prefix]", "images/").await;
    browser.screenshot("jobs-empty").await;
    browser.press("Start job").await;
    browser.wait_until("document.querySelector('.job .state.succeeded')").await;
    browser.wait_until("document.querySelector('.failures')?.innerText.includes('truncated: 1')").await;
    browser.wait_until("document.querySelector('.log').innerText.includes('SUCCEEDED: 26 done')").await;
    browser
        .wait_until("document.querySelector('.throughput svg[role=img]')?.ariaLabel.includes('images/s on average')")
        .await;
    browser.wait_until("document.querySelectorAll('.stages meter').length === 4").await;
    browser.click(".failures summary").await;
    browser.screenshot("job").await;
    assert!(browser.text(".failures").await.contains("images/cut.jpg"));

    app.put("images/cut.jpg", demo_image("cat.jpg")).await;
    let before = browser.address().await;
    browser.press("Retry failed images").await;
    browser.wait_until(&format!("location.search !== {}", json!(before.trim_start_matches('/')))).await;
    browser.wait_until("document.querySelector('.job .state.succeeded') && document.querySelector('.log').innerText.includes('1 done, 0 failed')").await;
    browser.press("← All jobs").await;
    browser.wait_until("document.querySelectorAll('.job-list tbody tr').length === 2").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_stopped_after_a_confirmation() {
    let clip = CheapClip::start(Duration::from_millis(200)).await;
    let variables = [("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", clip.url.as_str())];
    let app = TestApp::start_with(&variables).await;
    for copy in 0..200 {
        app.put(
            &format!("images/{copy}.jpg"),
            demo_image("cat.jpg")[..].iter().copied().chain([copy]).collect::<Vec<u8>>(),
        )
        .await;
    }
    // The browser is opened first: the test may have to wait for it, and the job must still run then.
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    let id = app.submit(json!({"s3_prefix": "images/"})).await;
    browser.goto(&format!("/?view=jobs&id={id}")).await;
    browser.wait_until("document.querySelector('.job .state.running') && document.querySelector('.job').innerText.includes('images/s')").await;
    browser.screenshot("job-running").await;
    // A button keeps the focus while the counts change.
    browser.run("document.querySelector('.job .danger').focus(); window.before = document.querySelector('.counts').innerText").await;
    browser.wait_until("document.querySelector('.counts').innerText !== window.before").await;
    assert_eq!(browser.run("return document.activeElement.innerText").await, "Stop job");
    browser.press("Pause job").await;
    browser.wait_until("document.querySelector('.job .state.paused')").await;
    browser.wait_until("document.querySelector('.job').innerText.includes('Paused since')").await;
    browser.press("Resume job").await;
    browser.wait_until("document.querySelector('.job .state.running')").await;
    browser.press("Stop job").await;
    browser.press("Keep it running").await;
    browser
        .wait_until("!document.querySelector('dialog[open]') && document.querySelector('.job .state.running')")
        .await;
    browser.press("Stop job").await;
    browser.press("Stop this job").await;
    browser.wait_until("document.querySelector('.job .state.stopped')").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_is_shown_paused_resumed_and_run() {
    let app = TestApp::start().await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?view=jobs").await;
    browser
        .wait_until("document.querySelector('.job-list .notice') && document.querySelector('.mirrors').hidden")
        .await;
    let body = json!({"s3_prefix": "images/", "collection": "documents", "schedule": "0 3 * * *"});
    app.send(reqwest::Method::PUT, "/mirrors/photos", Some(body)).await;
    browser.wait_until("document.querySelector('.mirrors tbody')?.innerText.includes('succeeded')").await;
    browser.screenshot("mirrors").await;
    browser.press("Pause").await;
    browser.wait_until("document.querySelector('.mirrors .state.paused')").await;
    browser.press("Resume").await;
    browser.wait_until("document.querySelector('.mirrors .state.active')").await;
    browser.press("Run now").await;
    browser.wait_until("document.querySelectorAll('.job-list tbody tr').length === 2").await;
    browser.close().await;
}
