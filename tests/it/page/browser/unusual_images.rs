//! Images of unusual shapes and keys, and files that a browser cannot show.

use glimpse::domain::ImageUri;
use image::{Rgba, RgbaImage};
use serde_json::json;

use super::Browser;
use crate::support::{TestApp, demo_image, encode_png};

fn png(width: u32, height: u32, colour: [u8; 4]) -> Vec<u8> {
    encode_png(RgbaImage::from_pixel(width, height, Rgba(colour)))
}

/// Opens the image with this key in the viewer.
async fn open(browser: &Browser, key: &str) {
    let tile = format!("[...document.querySelectorAll('.hit')].find((hit) => hit.title === {})", json!(key));
    browser.wait_until(&tile).await;
    browser.run(&format!("document.querySelector('dialog.viewer')?.close(); {tile}.click()")).await;
    browser.wait_until(&format!("document.querySelector('.viewer .key').innerText === {}", json!(key))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_any_shape_is_shown_whole_and_is_large_enough_to_see() {
    const RED: [u8; 4] = [200, 0, 0, 255];
    let shapes = [(300, 3000), (3000, 300), (1, 1), (1, 2000), (2000, 1), (24, 32), (2400, 1600), (1600, 2400)];
    let app = TestApp::start().await;
    for (width, height) in shapes {
        app.put(&format!("images/{width}x{height}.png"), png(width, height, RED)).await;
    }
    app.put("images/clear.png", png(300, 200, [0, 0, 0, 0])).await;
    assert_eq!(app.ingest().await.counts.done, 9);
    let Some(browser) = Browser::open(&app, 1280, 800).await else { return };
    for (width, height) in [(1280, 800), (360, 780)] {
        browser.resize(width, height).await;
        browser.goto("/?q=red").await;
        browser.wait_until("document.querySelectorAll('.hit').length === 9").await;
        browser.open_folds().await;
        browser.wait_until("[...document.querySelectorAll('.hit img')].every((img) => img.naturalWidth)").await;
        let outside = "return [...document.querySelectorAll('.hit img')].filter((img) => { const box = img.getBoundingClientRect();
            return box.width < 40 || box.height < 40 || box.right > document.documentElement.clientWidth; }).length";
        assert_eq!(browser.run(outside).await, json!(0));
        browser.screenshot(&format!("shapes-{width}")).await;
        for (wide, high) in shapes {
            open(&browser, &format!("images/{wide}x{high}.png")).await;
            browser.wait_until("document.querySelector('.large').complete").await;
            let place = "const [one, all] = ['.large', '.stage'].map((css) => document.querySelector(css).getBoundingClientRect());
                return { within: one.top >= all.top && one.bottom <= all.bottom + 0.5 && one.left >= all.left && one.right <= all.right + 0.5,
                         seen: Math.min(one.width, one.height) >= 4 && Math.max(one.width, one.height) >= 150,
                         ratio: one.width / one.height }";
            let shown = browser.run(place).await;
            assert_eq!((&shown["within"], &shown["seen"]), (&json!(true), &json!(true)), "{wide}x{high}: {shown}");
            let (is, should) = (shown["ratio"].as_f64().unwrap(), f64::from(wide) / f64::from(high));
            let thin = !(0.005..=200.0).contains(&should);
            assert!(thin || (is / should - 1.0).abs() < 0.05, "{wide}x{high} is shown as {is}");
        }
    }
    open(&browser, "images/24x32.png").await;
    browser.press("Search a part…").await;
    browser.wait_until("document.querySelector('.region-area img').clientWidth === 8 * 24").await;
    browser.run("document.querySelector('dialog.region').close()").await;
    open(&browser, "images/clear.png").await;
    let behind = browser.run("return getComputedStyle(document.querySelector('.large')).backgroundImage").await;
    assert!(behind.as_str().unwrap().contains("conic"), "a transparent image has a pattern behind it: {behind}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_shown_has_a_reason_and_its_thumbnail() {
    let app = TestApp::start().await;
    for name in ["cat.jpg", "coffee.jpg", "moose.jpg"] {
        app.put(&format!("images/{name}"), demo_image(name)).await;
    }
    assert_eq!(app.ingest().await.counts.done, 3);
    let Some(browser) = Browser::open(&app, 1280, 800).await else { return };
    browser.goto("/?q=a+cat").await;
    browser.wait_for(".hit").await;
    browser.open_folds().await;
    browser
        .wait_until("[...document.querySelectorAll('.hit img')].filter((img) => img.naturalWidth).length === 3")
        .await;
    // One file has the first bytes of a JPEG and then noise; the other is no longer in the bucket.
    app.put("images/cat.jpg", [&demo_image("cat.jpg")[..100], &[7; 5000]].concat()).await;
    app.bucket.remove(&ImageUri::new("pipeline", "images/moose.jpg")).await.unwrap();
    let warns =
        |text: &str| format!("document.querySelector('.stage .warning:not([hidden])')?.innerText.includes('{text}')");
    open(&browser, "images/cat.jpg").await;
    browser.wait_until(&warns("This browser cannot show the original file. It shows the thumbnail instead.")).await;
    browser.wait_until("document.querySelector('.large').naturalWidth > 0").await;
    browser.screenshot("image-unreadable").await;
    open(&browser, "images/moose.jpg").await;
    browser.wait_until(&warns("no longer in the bucket")).await;
    browser.wait_until("document.querySelector('.large').naturalWidth > 0").await;
    // The next image has no warning.
    open(&browser, "images/coffee.jpg").await;
    browser
        .wait_until(
            "document.querySelector('.stage .warning').hidden && document.querySelector('.large').naturalWidth > 256",
        )
        .await;

    // The grid shows a text in place of a thumbnail that cannot be loaded.
    let none = "document.querySelector('.viewer').close(); const img = document.querySelector('.hit img'); img.src = '/images/none/thumbnail'; img.loading = 'eager'";
    browser.run(none).await;
    browser.wait_until("document.querySelector('.missing')?.innerText.includes('cat.jpg cannot be shown')").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_leads_to_an_image_with_an_unusual_key_and_to_similar_images() {
    let [down, right, enter, escape] = ["\u{e015}", "\u{e014}", "\u{e007}", "\u{e00c}"];
    let app = TestApp::start().await;
    let unusual = ["a b+c%20d.jpg", "#?&=.jpg", "\"quoted\\'.jpg", "日本語 🦊.jpg", "שלום.jpg"];
    for (place, copy) in (0..120).enumerate() {
        let key = format!("images/{copy:03} {}", unusual[place % unusual.len()]);
        let shade = u8::try_from(copy * 2).unwrap();
        app.put(&key, png(80 + copy, 100, [shade, 255 - shade, 90, 255])).await;
    }
    assert_eq!(app.ingest_with(json!({"s3_prefix": "images/", "any_extension": true})).await.counts.done, 120);
    let Some(browser) = Browser::open(&app, 1280, 800).await else { return };
    browser.goto("/").await;
    browser.wait_until("document.querySelector('.summary').innerText.includes('120 images')").await;
    browser.keys("/").await;
    browser.wait_until("document.activeElement.id === 'query-text'").await;
    browser.keys(&format!("green{enter}")).await;
    browser.wait_until("document.querySelectorAll('.hit').length >= 50").await;
    browser.open_folds().await;
    browser.keys(down).await;
    browser.wait_until("document.activeElement === document.querySelector('.hit')").await;
    // More results load until the last one.
    let last = "document.querySelectorAll('.hit').length === 120";
    browser.wait_until(&format!("{last} || void document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{ key: 'End', bubbles: true }}))")).await;
    browser.keys(enter).await;
    browser.wait_for("dialog.viewer[open]").await;
    browser.wait_until("document.querySelector('.large').naturalWidth > 0").await;
    let key = browser.text(".viewer .key").await;
    assert!(unusual.iter().any(|name| key.ends_with(name)), "{key}");
    browser.keys("\u{e012}").await;
    browser.wait_until(&format!("document.querySelector('.viewer .key').innerText !== {}", json!(key))).await;
    browser.keys(escape).await;
    // The focus is on the image that was open last, and it is within the viewport.
    let seen = "(() => { const box = document.activeElement.getBoundingClientRect();
        return document.activeElement.className === 'hit' && box.top >= -1 && box.bottom <= innerHeight + 1; })()";
    browser.wait_until(&format!("!location.search.includes('image=') && {seen}")).await;
    browser.keys(&format!("{enter}m")).await;
    browser.wait_until("location.search.startsWith('?like=') && document.querySelectorAll('.hit').length === 50").await;
    browser.open_folds().await;
    browser.wait_until("document.activeElement === document.querySelector('.hit')").await;
    browser.keys(right).await;
    browser.wait_until("document.activeElement === document.querySelectorAll('.hit')[1]").await;
    browser.close().await;
}
