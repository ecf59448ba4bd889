//! What cameras wrote: as chips and fields that filter, and beside an open image.

use serde_json::json;

use super::Browser;
use super::accessibility::assert_accessible;
use crate::support::exif::Exif;
use crate::support::{TestApp, demo_image};

const PHOTOS: [(&str, &str, Exif<'static>); 3] = [
    ("images/c.jpg", "cat.jpg", photo("2024:07:01 00:30:00", "X100V", [48, 11])),
    ("images/b.jpg", "panda.jpg", photo("2024:06:30 12:00:00", "X100V", [47, 8])),
    ("images/a.jpg", "rocket.jpg", photo("1999:06:01 12:00:00", "D1", [47, 8])),
];

const fn photo(taken_at: &'static str, model: &'static str, position: [u32; 2]) -> Exif<'static> {
    Exif { taken_at, offset: "+02:00", model, position: Some(position) }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_filtered_by_camera_month_and_place() {
    let app = TestApp::start_with(&[("IMAGE_EXIF", "all")]).await;
    for (key, image, exif) in PHOTOS {
        app.put(key, exif.in_jpeg(&demo_image(image))).await;
    }
    app.ingest().await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    let images = |count: usize| format!("document.querySelectorAll('.hit').length === {count}");
    browser.goto("/").await;
    browser.wait_until(&images(3)).await;
    browser.wait_for(".facet").await;
    let chips = "return [...document.querySelectorAll('.facet')].map((chip) => chip.dataset.key)";
    let expected = ["camera=X100V", "camera=D1", "taken_month=1999-06", "taken_month=2024-06", "taken_month=2024-07"];
    assert_eq!(browser.run(chips).await, json!(expected));
    browser.run("document.querySelector('[data-key=\"camera=X100V\"]').click()").await;
    browser.wait_until(&images(2)).await;
    assert_eq!(browser.address().await, "/?camera=X100V");

    // The image that was taken last is the first; the control stays with the filters.
    browser.goto("/").await;
    let first = |key: &str| format!("document.querySelector('.hit')?.title === '{key}'");
    for (order, address, key) in [
        ("taken", "/?order=taken", "images/c.jpg"),
        ("key", "/?order=key", "images/a.jpg"),
        ("taken", "/?order=taken", "images/c.jpg"),
    ] {
        browser.wait_for("select[name=order]").await;
        let choose = format!(
            "const select = document.querySelector('select[name=order]'); select.value = '{order}'; select.dispatchEvent(new Event('change'))"
        );
        browser.run(&choose).await;
        browser.wait_until(&format!("location.search === '{}'", &address[1..])).await;
        browser.wait_until(&first(key)).await;
    }
    browser.wait_until("document.activeElement?.name === 'order' && document.activeElement.value === 'taken'").await;
    browser.run("document.querySelector('[data-key=\"camera=D1\"]').click()").await;
    browser.wait_until(&first("images/a.jpg")).await;
    assert_eq!(browser.address().await, "/?camera=D1&order=taken");

    // June of any year, near a position.
    browser.goto("/?taken_month=06&near=47,8,5&taken_before=2024-06-30").await;
    browser.wait_until(&images(2)).await;
    let fields = "return ['taken_month', 'near', 'taken_before'].map((name) =>
        document.querySelector(`.filters [name=${name}]`).value)";
    assert_eq!(browser.run(fields).await, json!(["06", "47,8,5", "2024-06-30"]));
    assert_accessible(&browser, "exif").await;

    browser.goto("/?camera=X100V&taken_month=2024-07").await;
    browser.wait_until(&images(1)).await;
    browser.click(".hit").await;
    browser.wait_until("document.querySelector('.viewer .facts')?.innerText.includes('SHA-256')").await;
    let facts = browser.text(".viewer .facts").await;
    for fact in ["2024-07-01 00:30:00 +02:00", "X100V", "48, 11"] {
        assert!(facts.contains(fact), "{facts}");
    }
    browser.close().await;
}
