//! Results that are saved as CSV.

use glimpse::source::NewObject;

use super::Browser;
use crate::cli::Cli;
use crate::support::{TestApp, demo_image};

/// More images than one page of the list, and of the API.
const IMAGES: usize = 104;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_saves_the_same_csv_as_the_command_line() {
    let app = TestApp::start().await;
    for number in 0..IMAGES {
        let metadata = [("place".to_owned(), format!("=\"{number}\"")), ("taxon".to_owned(), "Felis".to_owned())];
        let object = NewObject {
            bytes: demo_image(if number % 2 == 0 { "cat.jpg" } else { "panda.jpg" }).into(),
            content_type: "image/jpeg".into(),
            metadata: metadata.into_iter().collect(),
            ..Default::default()
        };
        app.put_object(&format!("images/{number:03}.jpg"), object).await;
    }
    app.put("-a, b.jpg", demo_image("rocket.jpg")).await;
    app.ingest_with(serde_json::json!({"s3_prefix": ""})).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    let cli = Cli::new(&app);
    let format = ["--all", "--output-format", "csv"];
    for (address, command) in [
        ("/?order=key", ["images", "list", "--order", "key"]),
        ("/?q=a+cat&collapse=none", ["search", "a cat", "--collection", "documents"]),
    ] {
        browser.goto(address).await;
        browser.wait_until("document.querySelectorAll('.hit').length > 9").await;
        // The file is read in place of the browser that saves it.
        let read = "window.saved = null; URL.createObjectURL = (blob) => {
            blob.text().then((text) => { window.saved = text; }); return '#saved'; }";
        browser.run(read).await;
        browser.press("Download CSV").await;
        browser.wait_until("window.saved").await;
        let saved = browser.run("return window.saved").await;
        let printed = cli.run(0, &[&command[..], &format].concat()).await;
        assert_eq!(saved.as_str().unwrap().lines().count(), IMAGES + 2, "{saved}");
        assert_eq!(saved.as_str().unwrap(), printed);
        assert!(printed.contains("\"'-a, b.jpg\""), "{printed}");
        browser.wait_until("document.querySelector('.export').innerText.includes('Saved 105 rows')").await;
    }
    browser.close().await;
}
