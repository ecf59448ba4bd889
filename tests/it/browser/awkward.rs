//! Pictures of odd shapes, under odd keys, and files that a browser cannot show.

use glimpse::domain::ImageUri;
use image::{ImageFormat, Rgba, RgbaImage};
use serde_json::json;

use super::Browser;
use crate::support::{TestApp, demo_image};

fn png(width: u32, height: u32, colour: [u8; 4]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    RgbaImage::from_pixel(width, height, Rgba(colour)).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Opens the picture of that key, in whose place `dialog.viewer` shows it.
async fn open(browser: &Browser, key: &str) {
    let tile = format!("[...document.querySelectorAll('.hit')].find((hit) => hit.title === {})", json!(key));
    browser.until(&tile).await;
    browser.run(&format!("document.querySelector('dialog.viewer')?.close(); {tile}.click()")).await;
    browser.until(&format!("document.querySelector('.viewer .key').innerText === {}", json!(key))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_of_any_shape_is_shown_whole_and_can_be_seen() {
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
        browser.size(width, height).await;
        browser.goto("/?q=red").await;
        browser.until("document.querySelectorAll('.hit').length === 9").await;
        browser.until("[...document.querySelectorAll('.hit img')].every((img) => img.naturalWidth)").await;
        let outside = "return [...document.querySelectorAll('.hit img')].filter((img) => { const box = img.getBoundingClientRect();
            return box.width < 40 || box.height < 40 || box.right > document.documentElement.clientWidth; }).length";
        assert_eq!(browser.run(outside).await, json!(0));
        browser.picture(&format!("shapes-{width}")).await;
        for (wide, high) in shapes {
            open(&browser, &format!("images/{wide}x{high}.png")).await;
            browser.until("document.querySelector('.large').complete").await;
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
    open(&browser, "images/clear.png").await;
    let behind = browser.run("return getComputedStyle(document.querySelector('.large')).backgroundImage").await;
    assert!(behind.as_str().unwrap().contains("conic"), "what is transparent has a pattern behind it: {behind}");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_shown_says_why_and_has_its_thumbnail_while_there_is_one() {
    let app = TestApp::start().await;
    for name in ["cat.jpg", "coffee.jpg", "moose.jpg"] {
        app.put(&format!("images/{name}"), demo_image(name)).await;
    }
    assert_eq!(app.ingest().await.counts.done, 3);
    let Some(browser) = Browser::open(&app, 1280, 800).await else { return };
    browser.goto("/?q=a+cat").await;
    browser.until("[...document.querySelectorAll('.hit img')].filter((img) => img.naturalWidth).length === 3").await;
    // Its first bytes are those of a JPEG, the rest is noise; the other is no longer there at all.
    app.put("images/cat.jpg", [&demo_image("cat.jpg")[..100], &[7; 5000]].concat()).await;
    app.bucket.remove(&ImageUri::new("pipeline", "images/moose.jpg")).await.unwrap();
    let says =
        |words: &str| format!("document.querySelector('.stage .warning:not([hidden])')?.innerText.includes('{words}')");
    open(&browser, "images/cat.jpg").await;
    browser.until(&says("This browser cannot show the file itself. What you see is its thumbnail.")).await;
    browser.until("document.querySelector('.large').naturalWidth > 0").await;
    browser.picture("picture-unreadable").await;
    open(&browser, "images/moose.jpg").await;
    browser.until(&says("no longer in the bucket")).await;
    browser.until("document.querySelector('.large').naturalWidth > 0").await;
    // The sentence belongs to one picture alone.
    open(&browser, "images/coffee.jpg").await;
    browser
        .until(
            "document.querySelector('.stage .warning').hidden && document.querySelector('.large').naturalWidth > 256",
        )
        .await;

    // In the grid words stand where no thumbnail comes.
    let none = "document.querySelector('.viewer').close(); const img = document.querySelector('.hit img'); img.src = '/images/none/thumbnail'; img.loading = 'eager'";
    browser.run(none).await;
    browser.until("document.querySelector('.gone')?.innerText.includes('cat.jpg cannot be shown')").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_keys_alone_from_the_address_to_a_picture_under_an_odd_key_and_on_to_more_like_it() {
    let [down, right, enter, escape] = ["\u{e015}", "\u{e014}", "\u{e007}", "\u{e00c}"];
    let app = TestApp::start().await;
    let odd = ["a b+c%20d.jpg", "#?&=.jpg", "\"quoted\\'.jpg", "日本語 🦊.jpg", "שלום.jpg"];
    for (place, copy) in (0..120).enumerate() {
        let key = format!("images/{copy:03} {}", odd[place % odd.len()]);
        let shade = u8::try_from(copy * 2).unwrap();
        app.put(&key, png(80 + copy, 100, [shade, 255 - shade, 90, 255])).await;
    }
    assert_eq!(app.ingest_with(json!({"s3_prefix": "images/", "any_extension": true})).await.counts.done, 120);
    let Some(browser) = Browser::open(&app, 1280, 800).await else { return };
    browser.goto("/").await;
    browser.until("document.querySelector('.about').innerText.includes('120 pictures')").await;
    browser.keys("/").await;
    browser.until("document.activeElement.id === 'words'").await;
    browser.keys(&format!("green{enter}")).await;
    browser.until("document.querySelectorAll('.hit').length >= 50").await;
    browser.keys(down).await;
    browser.until("document.activeElement === document.querySelector('.hit')").await;
    // Down, down: more come by themselves, to the last.
    let last = "document.querySelectorAll('.hit').length === 120";
    browser.until(&format!("{last} || void document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{ key: 'End', bubbles: true }}))")).await;
    browser.keys(enter).await;
    browser.see("dialog.viewer[open]").await;
    browser.until("document.querySelector('.large').naturalWidth > 0").await;
    let key = browser.text(".viewer .key").await;
    assert!(odd.iter().any(|name| key.ends_with(name)), "{key}");
    browser.keys("\u{e012}").await;
    browser.until(&format!("document.querySelector('.viewer .key').innerText !== {}", json!(key))).await;
    browser.keys(escape).await;
    // Back in the grid, at the picture that was looked at last, where it can be seen.
    let seen = "(() => { const box = document.activeElement.getBoundingClientRect();
        return document.activeElement.className === 'hit' && box.top >= -1 && box.bottom <= innerHeight + 1; })()";
    browser.until(&format!("!document.querySelector('dialog.viewer') && {seen}")).await;
    browser.keys(&format!("{enter}m")).await;
    browser.until("location.search.startsWith('?like=') && document.querySelectorAll('.hit').length === 50").await;
    browser.until("document.activeElement === document.querySelector('.hit')").await;
    browser.keys(right).await;
    browser.until("document.activeElement === document.querySelectorAll('.hit')[1]").await;
    browser.close().await;
}
