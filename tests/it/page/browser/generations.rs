//! The generations of a collection: a rebuild is started, compared, switched to and rolled back.

use serde_json::json;

use super::Browser;
use super::accessibility::{assert_no_violation, axe_source};
use crate::support::TestApp;

/// The text of a cell of a generation's row.
fn cell(generation: u32, column: u32) -> String {
    format!(
        "document.querySelector('.status tbody tr:nth-child({generation}) td:nth-child({column})')?.innerText.trim()"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_rebuilt_compared_switched_and_rolled_back() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    assert_eq!(app.ingest().await.counts.done, 26);
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?view=generations&collection=documents").await;
    browser.wait_until(&format!("{} === 'current'", cell(1, 2))).await;
    browser.type_into("input[name=resize]", "stretch").await;
    browser.click(".job-form button.primary").await;
    browser.wait_until("document.querySelector('.error').innerText.startsWith('resize: is `stretch`')").await;
    browser.run("document.querySelector('input[name=resize]').value = ''").await;
    browser.type_into("input[name=resize]", "pad").await;
    browser.click(".job-form button.primary").await;
    browser.wait_until(&format!("{} === 'ready' && {} === '26'", cell(2, 2), cell(2, 6))).await;
    assert_eq!(browser.run("return document.querySelector('.error').innerText").await, json!(""));
    browser.wait_until("document.body.innerText.includes('of the ten best results are the same')").await;
    browser.screenshot("generations").await;
    if let Some(axe) = axe_source() {
        assert_no_violation(&browser, &axe, "generations").await;
    }

    browser.resize(390, 844).await;
    let fits = "[...document.querySelectorAll('.scroll')].every((one) => one.scrollWidth <= one.clientWidth)
         && document.querySelectorAll('.status td button').length === 2";
    browser.wait_until(fits).await;
    browser.screenshot("generations-narrow").await;
    if let Some(axe) = axe_source() {
        assert_no_violation(&browser, &axe, "generations, narrow").await;
    }
    browser.resize(1280, 900).await;

    browser.click(".status tbody tr:nth-child(2) button").await;
    let switched = format!("{} === 'current' && {}.startsWith('previous until ')", cell(2, 2), cell(1, 2));
    browser.wait_until(&switched).await;
    browser.click(".status tbody tr:nth-child(1) button").await;
    browser.wait_until(&format!("{} === 'ready' && {} === 'current'", cell(2, 2), cell(1, 2))).await;

    // The error of an action stays until the states of the generations change.
    browser.type_into("input[name=resize]", "ded").await;
    browser.click(".job-form button.primary").await;
    browser.wait_until("document.querySelector('.error').innerText.startsWith('resize: is `padded`')").await;
    let (status, reply) = app.post("/collections/documents/switch", json!({})).await;
    assert!(status.is_success(), "{reply}");
    let cleared = format!("{} === 'current' && document.querySelector('.error').innerText === ''", cell(2, 2));
    browser.wait_until(&cleared).await;

    browser.goto("/?q=a+cat&collection=documents&compare=generation+1%2Cgeneration+2").await;
    browser.wait_until("document.querySelectorAll('.hit').length >= 20").await;
    browser.screenshot("generations-beside").await;
    browser.goto("/?view=jobs").await;
    browser.wait_until("document.querySelector('.job-list tr td')?.innerText === 'pipeline/'").await;
    let marked = "return [...document.querySelectorAll('.job-list tbody td:nth-child(2)')].map((one) => one.innerText)";
    assert_eq!(browser.run(marked).await, json!(["documents rebuild: generation 2", "documents"]));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_collection_cannot_be_rebuilt() {
    let app = TestApp::start().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?view=generations&collection=unknown").await;
    browser
        .wait_until("document.querySelector('.notice')?.innerText.startsWith('This collection does not exist.')")
        .await;
    assert_eq!(browser.run("return document.body.innerText.includes('Start rebuild')").await, json!(false));
    browser.close().await;
}
