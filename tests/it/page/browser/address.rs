//! The address of the page: its parameters, the open image, and the position to which the back button returns.

use serde_json::json;

use super::Browser;
use super::accessibility::assert_accessible;
use super::relevance::demo_with_relevance;
use crate::support::{demo_image, image_id};

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const LEFT: &str = "\u{e012}";
const RIGHT: &str = "\u{e014}";

/// Conditions that no control of the form can hold.
const CONDITIONS: &str = "format=jpeg&format=%21png&min_relevance=0.01&collapse=none&exact=true\
                          &indexed_after=2024-01-01T10%3A30%3A00Z&limit=3";
const SUMMARY: &str = "document.querySelector('.summary').innerText";

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_is_shown_kept_by_the_next_search_and_can_be_removed() {
    let app = demo_with_relevance().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    let hits = |count: usize| format!("document.querySelectorAll('.hit').length === {count}");
    browser.goto(&format!("/?q=an+animal&{CONDITIONS}")).await;
    browser.wait_until(&hits(3)).await;
    let chips = "return [...document.querySelectorAll('.kept .text')].map((chip) => chip.innerText)";
    let all = [
        "Format: jpeg",
        "Format: not png",
        "Minimum relevance: 1 %",
        "Copies of an image: each image is a result",
        "exact search",
        "Indexed after: 2024-01-01T10:30:00Z",
        "Maximum number of results: 3",
    ];
    assert_eq!(browser.run(chips).await, json!(all));
    assert_accessible(&browser, "conditions").await;

    browser.type_into("#query-text", &format!(" outdoors{ENTER}")).await;
    browser.wait_until("location.search.includes('outdoors') && document.querySelector('.hit')").await;
    assert_eq!(browser.address().await, format!("/?q=an+animal+outdoors&{CONDITIONS}"));
    assert_eq!(browser.run(chips).await, json!(all));
    browser.run("[...document.querySelectorAll('.kept .remove')].at(-1).focus()").await;
    browser.keys(ENTER).await;
    browser.wait_until("!location.search.includes('limit') && document.querySelectorAll('.hit').length > 3").await;
    browser.wait_until("document.activeElement.ariaLabel === 'Remove: Indexed after: 2024-01-01T10:30:00Z'").await;

    // Parameters without an effect are named, and errors have the names of the form.
    browser.goto("/?min_score=0.3&sort=date").await;
    browser.wait_until(&hits(26)).await;
    let notes = browser.text(".notes").await;
    assert!(notes.contains("“Minimum score”: no effect without a search") && notes.contains("“sort”"), "{notes}");
    browser.goto("/?provider=nowhere").await;
    browser.wait_until("document.querySelectorAll('.notice').length === 1").await;
    let facets = "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/facets?'))";
    assert_eq!(browser.run(&format!("return {facets}.length")).await, json!(0));
    browser.goto("/?q=a&provider=nowhere").await;
    browser.wait_until(&format!("{SUMMARY}.startsWith('Store:')")).await;
    assert_eq!(browser.run("return document.querySelector('select[name=provider]').value").await, json!("nowhere"));
    browser.goto("/?q=a&limit=500").await;
    browser.wait_until(&format!("{SUMMARY}.startsWith('Maximum number of results: must be')")).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_filters_replace_conditions_and_show_what_is_wrong() {
    const SUBMIT: &str = "document.querySelector('form.search').requestSubmit()";
    let app = demo_with_relevance().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?q=a+cat&format=jpeg&format=%21png").await;
    browser.wait_for(".hit").await;
    browser.run(&format!("document.querySelector('.filters select').value = 'webp'; {SUBMIT}")).await;
    browser.wait_until("location.search === '?q=a+cat&format=webp' && document.querySelector('.filters').open").await;
    browser.type_into("textarea[name=meta]", "month").await;
    browser.run(&format!("document.querySelector('.filters').open = false; {SUBMIT}")).await;
    let shows_error = "document.activeElement.validationMessage === 'Write name=value, one per line.'";
    browser.wait_until(&format!("{shows_error} && document.activeElement.checkVisibility()")).await;
    assert_eq!(browser.address().await, "/?q=a+cat&format=webp");
    browser.type_into("textarea[name=meta]", "=5").await;
    browser.type_into("textarea[name=s3_prefix]", "/images").await;
    browser.run(SUBMIT).await;
    browser.wait_until("location.search === '?q=a+cat&s3_prefix=images%2F&format=webp&meta.month=5'").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_image_has_an_address_and_the_back_button_returns_to_its_place() {
    const HIT: &str = "[...document.querySelectorAll('.hit')].at(-1)";
    let app = demo_with_relevance().await;
    let Some(browser) = Browser::open(&app, 1280, 600).await else { return };
    browser.goto("/?q=a+cat&min_width=10").await;
    browser.wait_for(".hit").await;
    browser.open_folds().await;
    browser.run(&format!("{HIT}.focus()")).await;
    browser.wait_until("scrollY > 200").await;
    let title = browser.run(&format!("return {HIT}.title")).await;
    let shows_image = format!("document.querySelector('.viewer .key')?.innerText === {title}");
    browser.keys(ENTER).await;
    browser.wait_until(&format!("location.search.includes('image=') && {shows_image}")).await;
    let image_address = browser.run("return location.search").await;

    // The back button closes the image, without another search.
    browser.run(&format!("{HIT}.dataset.kept = 'yes'")).await;
    browser.back().await;
    let is_restored = format!("scrollY > 200 && document.activeElement === {HIT} && {HIT}.checkVisibility()");
    browser.wait_until(&format!("!document.querySelector('.viewer') && {is_restored} && {HIT}.dataset.kept")).await;
    let entries = browser.run("return history.length").await;
    browser.keys(ENTER).await;
    browser.wait_until(&shows_image).await;
    browser.keys(LEFT).await;
    browser.wait_until(&format!("!({shows_image})")).await;
    browser.keys(RIGHT).await;
    // The address follows when the record has been read.
    browser.wait_until(&format!("location.search === {image_address} && {shows_image}")).await;
    browser.reload().await;
    browser.wait_until(&shows_image).await;
    browser.keys(ESCAPE).await;
    let is_closed = "!document.querySelector('.viewer') && !location.search.includes('image=')";
    browser.wait_until(&format!("{is_closed} && {is_restored}")).await;
    assert_eq!(browser.address().await, "/?q=a+cat&min_width=10");
    assert_eq!(browser.run("return history.length").await, entries);

    // A search by the image keeps the filters.
    browser.keys(&format!("{ENTER}m")).await;
    browser.wait_until("location.search.endsWith('&min_width=10') && location.search.startsWith('?like=')").await;
    browser.wait_until("document.activeElement === document.querySelector('.hit')").await;
    browser.back().await;
    browser.wait_until(&format!("location.search.startsWith('?q=') && {is_restored}")).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_an_image_are_found_and_opened() {
    let app = demo_with_relevance().await;
    app.put("images/copies/cat.jpg", demo_image("cat.jpg")).await;
    assert_eq!(app.ingest().await.counts.done, 1);
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?q=a+cat").await;
    browser.click(".hit").await;
    browser.wait_for(".duplicates a").await;
    let copy = browser.text(".duplicates a").await;
    assert!(copy.ends_with("cat.jpg"), "{copy}");
    browser.press(&copy).await;
    browser.wait_until(&format!("document.querySelector('.viewer .key')?.innerText === '{copy}'")).await;
    browser.press("Find duplicates").await;
    browser.wait_until(&format!("{SUMMARY}.startsWith('1 image in the collection is probably a copy')")).await;
    assert_eq!(browser.text(".kept .text").await, "only copies of the image");
    browser.type_into("#query-text", &format!("a cat{ENTER}")).await;
    browser.wait_until("location.search.startsWith('?q=a+cat&like=') && !location.search.includes('copies')").await;

    // An image that the results do not show.
    browser.goto(&format!("/?q=a+cat&image={}", image_id("images/moose.jpg"))).await;
    browser.wait_for(".viewer").await;
    browser.keys(ESCAPE).await;
    browser.wait_until("document.activeElement.id === 'timing'").await;
    browser.goto(&format!("/?q=a+moose&image={}", image_id("images/moose.jpg"))).await;
    browser.press("Find duplicates").await;
    // Without results, the focus is on the text that says so.
    let text = "document.activeElement.innerText === 'The collection has no other copy of this image.'";
    browser.wait_until(text).await;
    browser.close().await;
}
