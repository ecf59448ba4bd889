//! Searches by several images and texts: the buttons of an image, the chips, the address, and the cosine of each term.

use serde_json::json;

use super::Browser;
use super::accessibility::assert_accessible;
use crate::support::demo::demo_service;
use crate::support::{image_id, root};

const ENTER: &str = "\u{e007}";
const CAT: &str = "[...document.querySelectorAll('.hit')].find((hit) => hit.title.endsWith('/cat.jpg'))";

async fn wait_for_counts(browser: &Browser, chips: usize, hits: usize) {
    let count = |css: &str, number: usize| format!("document.querySelectorAll('{css}').length === {number}");
    browser.wait_until(&format!("{} && {}", count(".chip", chips), count(".hit", hits))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn less_like_this_removes_an_image_and_its_chip_brings_it_back() {
    let app = demo_service().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?q=an+animal").await;
    wait_for_counts(&browser, 0, 26).await;
    browser.open_folds().await;
    // A screen that a finger touches shows the buttons of each image.
    let shown = "getComputedStyle(document.querySelector('.actions')).visibility === 'visible'";
    browser.wait_until(&format!("!matchMedia('(hover: none)').matches || {shown}")).await;
    browser.wait_until("document.querySelector('[aria-label=\"More like this: cat.jpg\"]').tabIndex === -1").await;
    browser.run("document.querySelector('[aria-label=\"Less like this: cat.jpg\"]').click()").await;
    wait_for_counts(&browser, 1, 25).await;
    browser.wait_until(&format!("!{CAT} && document.activeElement === document.querySelector('.hit')")).await;
    let address = format!("/?q=an+animal&not_like={}", image_id("images/cat.jpg"));
    assert_eq!(browser.address().await, address);
    browser.reload().await;
    wait_for_counts(&browser, 1, 25).await;
    assert_eq!(
        browser.run("return document.querySelector('.chip .sign').ariaLabel").await,
        json!("not like this image")
    );

    browser.click(".chip .remove").await;
    wait_for_counts(&browser, 0, 26).await;
    browser.wait_until(CAT).await;
    assert_eq!(browser.address().await, "/?q=an+animal");
    browser.back().await;
    wait_for_counts(&browser, 1, 25).await;
    assert_eq!(browser.address().await, address);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_image_shows_its_cosine_with_each_term() {
    let app = demo_service().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    let moose = image_id("images/moose.jpg");
    // A text of the address excludes as a typed text does. The relevance of several terms is not known.
    browser.goto(&format!("/?q=an+animal+-snow&like={moose}&min_relevance=0.5")).await;
    wait_for_counts(&browser, 2, 25).await;
    browser.type_into("#exclude-text", &format!("a building{ENTER}")).await;
    wait_for_counts(&browser, 3, 25).await;
    let address = format!("/?q=an+animal&like={moose}&not=snow&not=a+building");
    assert_eq!(browser.address().await, address);

    assert_accessible(&browser, "terms-results").await;
    browser.click(".hit").await;
    browser.wait_until("document.querySelector('.viewer .facts')?.innerText.includes('SHA-256')").await;
    assert_accessible(&browser, "terms-image").await;
    let cosines = "[...document.querySelectorAll('.terms dd')].map((cosine) => Number(cosine.innerText))";
    browser.wait_until(&format!("{cosines}.length === 4 && {cosines}.every((cosine) => Math.abs(cosine) <= 1)")).await;
    let names = browser.text(".terms").await;
    assert!(["“an animal”", "“snow”", "“a building”"].iter().all(|name| names.contains(name)), "{names}");
    browser.press("More like this").await;
    wait_for_counts(&browser, 4, 24).await;
    browser.wait_until("!document.querySelector('.viewer') && document.activeElement.className === 'hit'").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_searched_together_with_an_excluded_image() {
    let app = demo_service().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/").await;
    browser.type_into("input[type=file]", root().join("demo/moose.jpg").to_str().unwrap()).await;
    wait_for_counts(&browser, 1, 26).await;
    browser.open_folds().await;
    browser.run(&format!("{CAT}.focus()")).await;
    browser.keys("-").await;
    wait_for_counts(&browser, 2, 25).await;
    browser.wait_until(&format!("!{CAT} && document.querySelector('.hit').title.endsWith('/moose.jpg')")).await;
    // Without the file nothing is left to search for.
    browser.click(".chip .remove").await;
    browser.wait_until("document.querySelector('.summary').innerText.includes('only excludes images')").await;
    browser.goto("/").await;
    browser.type_into("#query-text", &format!("–snow --\"a car\"{ENTER}")).await;
    browser.wait_until("document.querySelector('.summary').innerText.includes('only excludes images')").await;
    assert_eq!(browser.address().await, "/?not=snow&not=a+car");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_an_image_is_drawn_or_selected_with_the_keyboard() {
    const FRAME: &str = "document.querySelector('dialog.region .frame')";
    let app = demo_service().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    let cat = image_id("images/cat.jpg");
    browser.goto(&format!("/?like={cat}")).await;
    wait_for_counts(&browser, 1, 25).await;
    browser.press("Part…").await;
    browser.wait_until(&format!("document.activeElement === {FRAME}")).await;
    assert_accessible(&browser, "region").await;
    // Two steps to the left, one lower, and one step wider.
    browser.keys("\u{e012}\u{e012}\u{e015}").await;
    browser.keys("\u{e008}\u{e014}").await;
    browser.wait_until(&format!("{FRAME}.ariaLabel.endsWith('21.0% to 73.0% across, 27.0% to 77.0% down')")).await;
    browser.keys(ENTER).await;
    browser.wait_until("document.querySelector('.chip .text')?.innerText === '(a part)'").await;
    wait_for_counts(&browser, 1, 25).await;
    browser.wait_until("document.activeElement.id === 'timing'").await;
    assert_eq!(browser.address().await, format!("/?like={cat}%7E0.21%2C0.27%2C0.52%2C0.5"));

    browser.click(".hit").await;
    browser.press("Search a part…").await;
    browser.wait_until("document.querySelector('.region-area img').complete").await;
    // Draws from the lower right corner to the middle.
    let draw = "const area = document.querySelector('.region-area');
        const { left, top, width, height } = area.querySelector('img').getBoundingClientRect();
        const at = (type, x, y) => area.dispatchEvent(new PointerEvent(type, { bubbles: true, cancelable: true, button: 0,
            pointerId: 1, clientX: left + x * width, clientY: top + y * height }));
        area.setPointerCapture = () => {};
        at('pointerdown', 1, 1); at('pointermove', 0.7, 0.6); at('pointermove', 0.5, 0.5); at('pointerup', 0.5, 0.5);";
    browser.run(draw).await;
    browser.screenshot("region").await;
    browser.press("Search this part").await;
    browser.wait_until("location.search.endsWith('%7E0.5%2C0.5%2C0.5%2C0.5')").await;
    wait_for_counts(&browser, 1, 25).await;

    // A file, together with a text.
    browser.type_into("input[type=file]", root().join("demo/moose.jpg").to_str().unwrap()).await;
    browser.wait_until("document.querySelector('.chip .text')?.innerText === 'moose.jpg'").await;
    browser.press("Part…").await;
    browser.press("Search this part").await;
    browser.wait_until("document.querySelector('.chip .text')?.innerText === 'moose.jpg (a part)'").await;
    browser.type_into("#query-text", &format!("snow{ENTER}")).await;
    browser.wait_until("location.search.includes('q=snow') && document.querySelector('.hit')").await;
    browser.close().await;
}
