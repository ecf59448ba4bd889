//! Searches by text and by image, the viewer, and the back button.

use serde_json::json;

use super::Browser;
use crate::support::{TestApp, demo_image, root};

async fn demo() -> TestApp {
    let app = TestApp::start().await;
    app.seed_demo().await;
    app.ingest().await;
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn text_finds_images_an_image_finds_similar_ones_and_the_address_restores_both() {
    let app = demo().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/").await;
    browser.wait_until("document.querySelector('.summary').innerText.includes('26 images')").await;
    browser.type_into("#query-text", "a cup of coffee\u{e007}").await;
    browser.wait_for(".hit").await;
    assert_eq!(browser.address().await, "/?q=a+cup+of+coffee");
    assert!(browser.wait_for(".hit").await.attr("title").await.unwrap().unwrap().ends_with("coffee.jpg"));
    assert!(browser.text("#timing").await.contains("in the store"));
    browser.open_folds().await;
    browser
        .wait_until(
            "[...document.querySelectorAll('.hit img')].slice(0, 14).every((img) => img.complete && img.naturalWidth)",
        )
        .await;
    // Rows are full.
    let widest =
        "Math.max(...[...document.querySelectorAll('.grid li')].map((li) => li.getBoundingClientRect().right))";
    browser
        .wait_until(&format!("Math.abs({widest} - document.querySelector('.grid').getBoundingClientRect().right) < 2"))
        .await;
    browser.screenshot("search").await;

    // With the keyboard: next image, previous image, open.
    browser.run("document.querySelector('.hit').focus()").await;
    browser.keys("\u{e014}").await;
    browser.wait_until("document.activeElement === document.querySelectorAll('.hit')[1]").await;
    browser.keys("\u{e012}\u{e007}").await;
    browser.wait_for("dialog.viewer[open]").await;
    browser.wait_until("document.querySelector('.large').naturalWidth > 500").await;
    browser.wait_until("document.querySelector('.viewer .facts').innerText.includes('SHA-256')").await;
    browser.screenshot("image").await;
    browser.keys("\u{e014}").await;
    browser.wait_until("!document.querySelector('.viewer .key').innerText.includes('coffee')").await;
    browser.keys("\u{e012}").await;
    browser.wait_until("document.querySelector('.viewer .key').innerText.includes('coffee')").await;
    browser.press("Similar images").await;
    browser.wait_until("location.search.startsWith('?like=')").await;
    browser.wait_for(".chip").await;
    browser.wait_until("document.querySelectorAll('.hit').length === 25").await;

    browser.back().await;
    browser.wait_until("document.querySelectorAll('.hit').length === 26").await;
    assert_eq!(browser.address().await, "/?q=a+cup+of+coffee");
    browser.reload().await;
    browser.wait_for(".hit").await;
    assert_eq!(browser.run("return document.querySelector('#query-text').value").await, json!("a cup of coffee"));
    // Esc closes the image, and the focus returns to the grid.
    browser.open_folds().await;
    browser.click(".hit").await;
    browser.wait_for("dialog.viewer[open]").await;
    browser.keys("\u{e00c}").await;
    browser.wait_until("!document.querySelector('dialog.viewer') && document.activeElement.className === 'hit'").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_chosen_dropped_or_pasted_and_another_file_is_refused() {
    let app = demo().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/").await;
    let first_is = |name: &str| format!("document.querySelector('.hit')?.title.endsWith('{name}')");
    browser.type_into("input[type=file]", root().join("demo/moose.jpg").to_str().unwrap()).await;
    browser.wait_until(&first_is("moose.jpg")).await;
    browser.wait_until("document.querySelector('.chip').innerText.includes('moose.jpg')").await;
    browser.click(".chip .remove").await;
    browser.wait_until("!document.querySelector('.chip') && document.activeElement.id === 'query-text'").await;

    let id = |name: &str| glimpse::domain::ImageUri::new("pipeline", &format!("images/{name}")).id();
    for (event, carrier, name) in [("drop", "dataTransfer", "panda.jpg"), ("paste", "clipboardData", "rocket.jpg")] {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             fetch('/images/{}/original').then((reply) => reply.blob()).then((blob) => {{
               const files = new DataTransfer();
               files.items.add(new File([blob], '{name}', {{ type: 'image/jpeg' }}));
               const event = new Event('{event}', {{ bubbles: true, cancelable: true }});
               Object.defineProperty(event, '{carrier}', {{ value: files }});
               document.body.dispatchEvent(event);
               done(true);
             }});",
            id(name)
        );
        browser.run("document.activeElement.blur()").await;
        browser.run_async(&script).await;
        browser.wait_until(&first_is(name)).await;
        browser.wait_until("document.activeElement.id === 'timing'").await;
    }
    // After a reload the page no longer has the file, and says so.
    browser.reload().await;
    browser.wait_until("document.querySelector('.summary').innerText.includes('Choose or drop it again')").await;

    let page = tempfile::NamedTempFile::with_suffix(".jpg").unwrap();
    std::fs::write(page.path(), "<html>not an image</html>").unwrap();
    browser.type_into("input[type=file]", page.path().to_str().unwrap()).await;
    browser
        .wait_until("document.querySelector('.summary').innerText.includes('not an image that Glimpse can read')")
        .await;
    browser.goto("/?q=cat&collection=nowhere").await;
    browser.wait_until("document.querySelector('.summary').innerText.includes('This collection does not exist')").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_metadata_that_look_like_html_are_text() {
    let app = TestApp::start().await;
    let key = "images/<img src=x onerror=window.pwned=1>.jpg";
    let object = glimpse::source::NewObject {
        bytes: demo_image("cat.jpg").into(),
        content_type: "image/jpeg".into(),
        metadata: [("note".to_owned(), "<script>window.pwned=2</script>".to_owned())].into(),
        ..Default::default()
    };
    app.put_object(key, object).await;
    assert_eq!(app.ingest_with(json!({})).await.counts.done, 1);
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?q=a%20cat").await;
    browser.wait_for(".hit").await;
    assert_eq!(browser.wait_for(".hit").await.attr("title").await.unwrap().as_deref(), Some(key));
    browser.click(".hit").await;
    browser
        .wait_until("document.querySelector('.viewer .facts').innerText.includes('<script>window.pwned=2</script>')")
        .await;
    assert_eq!(browser.text(".viewer .key").await, key);
    assert_eq!(browser.run("return window.pwned ?? null").await, json!(null));
    browser.close().await;
}
