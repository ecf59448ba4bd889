//! The start page: the newest images of a collection, and chips that filter them.

use serde_json::json;

use super::Browser;
use super::accessibility::assert_accessible;
use crate::support::{TestApp, demo_image};

/// Two folders; two taxa, one of them of three images; three months.
const IMAGES: [(&str, &str, &str, &str); 5] = [
    ("images/cats/1.jpg", "cat.jpg", "Felis catus", "10"),
    ("images/cats/2.jpg", "cat.jpg", "Felis catus", "10"),
    ("images/cats/3.jpg", "panda.jpg", "Felis catus", "9"),
    ("images/a-folder-with-a-name-that-a-chip-shortens/4.jpg", "panda.jpg", "Ailuropoda melanoleuca", "2"),
    ("images/a-folder-with-a-name-that-a-chip-shortens/5.jpg", "rocket.jpg", "", "2"),
];

fn press(chip: &str) -> String {
    format!("document.querySelector('.facet[data-key=\"{chip}\"]').click()")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_page_shows_the_newest_images_and_chips_filter_them() {
    let app = TestApp::start().await;
    for (key, image, taxon, month) in IMAGES {
        let pairs = [("taxon", taxon), ("month", month)].into_iter().filter(|(_, value)| !value.is_empty());
        let metadata = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let object = glimpse::source::NewObject {
            bytes: demo_image(image).into(),
            content_type: "image/jpeg".into(),
            metadata,
            ..Default::default()
        };
        app.put_object(key, object).await;
    }
    app.ingest().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    let images = |count: usize| format!("document.querySelectorAll('.hit').length === {count}");
    browser.goto("/").await;
    browser.wait_until(&images(5)).await;
    browser.wait_for(".facet").await;
    let chips = "return [...document.querySelectorAll('.facet')].map((chip) => chip.dataset.key)";
    let expected = json!([
        "folder=images/cats/",
        "folder=images/a-folder-with-a-name-that-a-chip-shortens/",
        "meta.month=2",
        "meta.month=9",
        "meta.month=10",
        "meta.taxon=Felis catus",
        "meta.taxon=Ailuropoda melanoleuca"
    ]);
    assert_eq!(browser.run(chips).await, expected);
    assert_accessible(&browser, "browse").await;
    // A long name is shortened before its end.
    let long = "(() => { const [start, end] = document.querySelector('[data-key*=shortens] .shortened').children;
        return start.scrollWidth > start.clientWidth && end.clientWidth > 0; })()";
    browser.resize(360, 780).await;
    browser.wait_until(long).await;
    browser.resize(1280, 900).await;

    browser.run("document.querySelector('.facet').focus()").await;
    browser.keys("\u{e007}").await;
    browser.wait_until(&images(3)).await;
    browser.wait_until("document.activeElement.getAttribute('aria-pressed') === 'true'").await;
    browser
        .wait_until("document.querySelector('.summary').innerText === '3 images in “documents” match the filters.'")
        .await;
    assert_eq!(browser.address().await, "/?s3_prefix=images%2Fcats%2F");
    assert_eq!(
        browser.run("return document.querySelector('textarea[name=s3_prefix]').value").await,
        json!("images/cats/")
    );
    browser.run(&press("folder=images/cats/")).await;
    browser.wait_until(&images(5)).await;
    // Two chips in a row, with an exclusion that is only typed.
    browser.wait_until("document.querySelectorAll('.facet').length === 7").await;
    browser.type_into("textarea[name=meta]", "taxon=!Ailuropoda melanoleuca").await;
    let (first, second) = (press("meta.taxon=Felis catus"), press("folder=images/cats/"));
    browser.run(&format!("{first}; setTimeout(() => {{ {second} }})")).await;
    browser.wait_until(&images(3)).await;
    let address = "/?s3_prefix=images%2Fcats%2F&meta.taxon=%21Ailuropoda+melanoleuca&meta.taxon=Felis+catus";
    browser.wait_until("location.search.includes('s3_prefix')").await;
    assert_eq!(browser.address().await, address);
    browser.goto("/").await;
    browser.wait_until(&images(5)).await;
    browser.wait_until("document.querySelectorAll('.facet').length === 7").await;
    browser.run(&press("meta.taxon=Ailuropoda melanoleuca")).await;
    browser.wait_until(&images(1)).await;
    assert_eq!(browser.address().await, "/?meta.taxon=Ailuropoda+melanoleuca");

    // Another collection shows its images at once.
    let body = json!({"s3_prefix": "images/a-folder-with-a-name-that-a-chip-shortens/", "collection": "others"});
    app.ingest_with(body).await;
    browser.goto("/").await;
    browser.wait_until(&images(5)).await;
    let choose = "const choice = document.querySelector('select[name=collection]');
        choice.value = 'others'; choice.dispatchEvent(new Event('change'));";
    browser.run(choose).await;
    browser.wait_until(&images(2)).await;

    // An image of the list opens, and starts a search.
    browser.click(".hit").await;
    browser.wait_until("document.querySelector('.viewer .facts')?.innerText.includes('SHA-256')").await;
    assert!(!browser.text(".viewer .facts").await.contains("Score"));
    browser.back().await;
    browser.wait_until(&format!("!document.querySelector('dialog.viewer') && {}", images(2))).await;
    browser.click(".hit").await;
    browser.press("More like this").await;
    browser.wait_for(".chip").await;
    browser.wait_until("!document.querySelector('.facet')").await;
    browser.close().await;
}
