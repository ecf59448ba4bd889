//! The image of the viewer: first the thumbnail, then a preview, and the original only if its file is small.

use image::RgbImage;
use serde_json::json;

use super::Browser;
use crate::support::{TestApp, demo_image};

fn large_jpeg() -> Vec<u8> {
    let byte = |number: u32| number.wrapping_mul(2_654_435_761).to_le_bytes()[3];
    let image = RgbImage::from_fn(2000, 1200, |x, y| image::Rgb([byte(x / 50 + 97 * (y / 50)), byte(y / 90), 200]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// What the page has loaded of an image: the last parts of the paths.
const LOADED: &str = "return [...new Set(performance.getEntriesByType('resource').map(({ name }) => new URL(name))
    .filter(({ pathname }) => pathname.startsWith('/images/')).map(({ pathname }) => pathname.split('/')[3] ?? 'record'))].sort()";

#[tokio::test(flavor = "multi_thread")]
async fn a_large_image_is_shown_as_a_preview_and_a_small_one_as_it_is() {
    let app = TestApp::start().await;
    app.put("images/large.jpg", large_jpeg()).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    assert_eq!(app.ingest().await.counts.done, 2);
    let Some(browser) = Browser::open(&app, 1280, 800).await else { return };
    let show = |id: &str| format!("/?image={}", crate::support::image_id(id));
    browser.goto(&show("images/large.jpg")).await;
    browser.wait_until("document.querySelector('.large')?.naturalWidth === 1440").await;
    assert_eq!(browser.run(LOADED).await, json!(["preview", "record", "thumbnail"]));
    let link = "return document.querySelector('.viewer a[target=_blank]').pathname.endsWith('/original')";
    assert_eq!(browser.run(link).await, json!(true));
    browser.screenshot("viewer-preview").await;
    // A part is chosen in the preview too.
    browser.press("Search a part…").await;
    browser.wait_until("document.querySelector('.region-area img').naturalWidth === 1440").await;

    browser.goto(&show("images/cat.jpg")).await;
    browser.wait_until("document.querySelector('.large')?.src.includes('/original')").await;
    browser.wait_until("document.querySelector('.large').naturalWidth === 451").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_of_many_bytes_is_shown_after_its_preview() {
    let app = TestApp::start().await;
    let mut state = 1_u32;
    let noise = RgbImage::from_fn(600, 400, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        image::Rgb([state.to_le_bytes()[3], state.to_le_bytes()[2], 90])
    });
    let mut png = std::io::Cursor::new(Vec::new());
    noise.write_to(&mut png, image::ImageFormat::Png).unwrap();
    assert!(png.get_ref().len() > 400_000);
    app.put("images/noise.png", png.into_inner()).await;
    assert_eq!(app.ingest().await.counts.done, 1);
    let Some(browser) = Browser::open(&app, 1280, 800).await else { return };
    browser.goto(&format!("/?image={}", crate::support::image_id("images/noise.png"))).await;
    browser.wait_until("document.querySelector('.large')?.src.includes('/original')").await;
    assert_eq!(browser.run(LOADED).await, json!(["original", "preview", "record", "thumbnail"]));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cmyk_image_is_shown_as_a_preview() {
    let app = TestApp::start().await;
    let file = |name: &str| std::fs::read(crate::support::root().join("tests/data/colour").join(name)).unwrap();
    app.put("images/cmyk.jpg", file("cmyk.jpg")).await;
    app.put("images/adobe.jpg", file("adobe.jpg")).await;
    assert_eq!(app.ingest().await.counts.done, 2);
    let Some(browser) = Browser::open(&app, 1280, 800).await else { return };
    for (key, shown) in [("images/cmyk.jpg", "/preview"), ("images/adobe.jpg", "/original")] {
        browser.goto(&format!("/?image={}", crate::support::image_id(key))).await;
        browser.wait_until(&format!("document.querySelector('.large')?.src.includes('{shown}')")).await;
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_becomes_better_keeps_its_size() {
    let app = TestApp::start().await;
    app.put("images/large.jpg", large_jpeg()).await;
    assert_eq!(app.ingest().await.counts.done, 1);
    let Some(browser) = Browser::open(&app, 1280, 800).await else { return };
    browser.goto("/").await;
    browser.wait_until("document.querySelector('.hit img')?.naturalWidth > 0").await;
    // The preview does not arrive.
    browser
        .run("HTMLImageElement.prototype.decode = () => new Promise((resolve) => { window.arrive = resolve; })")
        .await;
    browser.click(".hit").await;
    browser.wait_until("document.querySelector('.large')?.naturalWidth === 256 && window.arrive").await;
    let size =
        "const { width, height } = document.querySelector('.large').getBoundingClientRect(); return [width, height]";
    let before = browser.run(size).await;
    browser.run("window.arrive()").await;
    browser.wait_until("document.querySelector('.large').naturalWidth === 1440").await;
    assert_eq!(browser.run(size).await, before);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_image_is_removed_permanently_and_restored() {
    let app = TestApp::start().await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    assert_eq!(app.ingest().await.counts.done, 1);
    let Some(browser) = Browser::open(&app, 1280, 800).await else { return };
    let shown = |text: &str| format!("document.querySelector('.viewer aside').textContent.includes('{text}')");
    let removed = async || app.get("/collections/documents/removed-images").await.1["total"].clone();
    browser.goto(&format!("/?image={}", crate::support::image_id("images/cat.jpg"))).await;
    browser.wait_until(&shown("Remove…")).await;
    browser.press("Remove…").await;
    browser.press("Cancel").await;
    browser.press("Remove…").await;
    browser.screenshot("viewer-remove").await;
    browser.press("Permanently").await;
    browser.wait_until(&shown("Removed permanently")).await;
    assert_eq!(removed().await, json!(1));
    assert_eq!(app.ingest().await.counts.skipped, 1);
    browser.press("Restore").await;
    browser.wait_until(&shown("Restored")).await;
    assert_eq!(removed().await, json!(0));
    assert_eq!(app.ingest().await.counts.done, 1);

    browser.goto(&format!("/?image={}", crate::support::image_id("images/cat.jpg"))).await;
    browser.wait_until(&shown("Remove…")).await;
    browser.press("Remove…").await;
    browser.press("Until the next job").await;
    browser.wait_until(&shown("The next job indexes it again")).await;
    assert_eq!((removed().await, app.ingest().await.counts.done), (json!(0), 1));
    browser.close().await;
}
