use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::Browser;
use crate::support::{TestApp, demo_image};

/// Drops demo images onto the page, and a file that is not an image. `files` are the names of demo images.
async fn drop_files(browser: &Browser, files: &[&str], with_text: bool) {
    let encoded: Vec<(String, String)> =
        files.iter().map(|name| ((*name).to_owned(), STANDARD.encode(demo_image(name)))).collect();
    let script = format!(
        "const files = new DataTransfer();
         for (const [name, base64] of {}) {{
           const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
           files.items.add(new File([bytes], name, {{ type: 'image/jpeg' }}));
         }}
         if ({with_text}) files.items.add(new File(['text'], 'notes.txt', {{ type: 'text/plain' }}));
         const event = new Event('drop', {{ bubbles: true, cancelable: true }});
         Object.defineProperty(event, 'dataTransfer', {{ value: files }});
         document.body.dispatchEvent(event);",
        json!(encoded)
    );
    browser.run(&script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_files_are_added_to_the_bucket() {
    let app = TestApp::start().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/").await;
    browser.wait_until("document.querySelector('.summary').innerText.includes('has no images yet')").await;
    drop_files(&browser, &["cat.jpg", "panda.jpg"], true).await;
    browser.wait_until("document.querySelector('.uploads p').innerText.includes('3 files')").await;
    browser.click(".uploads [type=submit]").await;
    browser.wait_until("document.querySelector('.uploads [role=status]')?.innerText.includes('Added 2 images')").await;
    browser.wait_until("document.querySelector('.uploads li').innerText.startsWith('notes.txt: ')").await;
    // The new images are shown without a reload.
    browser.wait_until("document.querySelectorAll('.hit').length === 2").await;

    // One image is searched with, as before; then it can be added too.
    drop_files(&browser, &["coffee.jpg"], false).await;
    browser.wait_until("document.querySelector('.chip')?.innerText.includes('coffee.jpg')").await;
    browser.wait_for(".uploads [type=submit]").await;
    browser.run("document.querySelector('.uploads [name=folder]').value = 'drinks'").await;
    browser.click(".uploads [type=submit]").await;
    browser.wait_until("document.querySelector('.uploads [role=status]')?.innerText.includes('Added 1 image')").await;
    browser.wait_until("document.querySelector('.hit')?.title.endsWith('drinks/coffee.jpg')").await;

    // An object is not replaced without a question.
    browser.goto("/").await;
    browser.wait_for(".hit").await;
    drop_files(&browser, &["cat.jpg", "rocket.jpg"], false).await;
    browser.click(".uploads [type=submit]").await;
    browser
        .wait_until("document.querySelector('.uploads').innerText.includes('The bucket has “cat.jpg” in this folder')")
        .await;
    assert!(browser.text(".uploads [role=status]").await.contains("Added 1 image"));
    browser.press("Replace").await;
    browser.wait_until("document.querySelector('.uploads [role=status]')?.innerText.includes('Added 1 image') && !document.querySelector('.uploads .danger')").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_uploads_a_drop_only_searches() {
    let app = TestApp::start_with(&[("GLIMPSE_UPLOADS", "off")]).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    app.ingest().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/").await;
    browser.wait_for(".hit").await;
    drop_files(&browser, &["cat.jpg", "panda.jpg"], false).await;
    browser.wait_until("document.querySelector('.chip')?.innerText.includes('cat.jpg')").await;
    assert_eq!(browser.run("return document.querySelector('.uploads').hidden").await, json!(true));
    browser.close().await;
}
