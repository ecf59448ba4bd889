//! Drives Chromium over WebDriver. Without Chromium a test prints `skipped` and passes.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::support::environment::{find_program, skip};
use crate::support::{TestApp, root};

/// Tests use one browser at a time: two cores are enough for one browser and its service.
static BROWSER_PERMIT: Semaphore = Semaphore::const_new(1);

/// The time within which the page must show something, also on a machine that runs other tests.
const TIMEOUT: Duration = Duration::from_mins(2);

pub(crate) struct Browser {
    client: Client,
    driver: Child,
    url: String,
    http: reqwest::Client,
    app: String,
    _permit: SemaphorePermit<'static>,
}

impl Browser {
    /// Opens a browser for this service; `None` if Chromium is not installed.
    pub(crate) async fn open(app: &TestApp, width: u32, height: u32) -> Option<Self> {
        Self::open_at(&app.url, width, height).await
    }

    /// Opens a browser for the service at this URL. It accepts self-signed certificates.
    pub(crate) async fn open_at(app: &str, width: u32, height: u32) -> Option<Self> {
        let (Some(driver), Some(chromium)) = (find_program("chromedriver"), find_program("chromium")) else {
            skip("browser", "install chromium and chromium-driver");
            return None;
        };
        let permit = BROWSER_PERMIT.acquire().await.unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let quiet = || Stdio::null();
        let driver =
            Command::new(driver).arg(format!("--port={port}")).stdout(quiet()).stderr(quiet()).spawn().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let arguments = [
            "--headless=new".to_owned(),
            // Containers have no user namespace for the sandbox, and the browser loads only the page under test.
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-proxy-server".to_owned(),
            "--force-device-scale-factor=1".to_owned(),
            format!("--window-size={width},{height}"),
        ];
        let options = json!({"binary": chromium, "args": arguments});
        let capabilities = json!({"browserName": "chrome", "acceptInsecureCerts": true, "goog:chromeOptions": options});
        let Value::Object(capabilities) = capabilities else { unreachable!() };
        let deadline = Instant::now() + TIMEOUT;
        let client = loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            match builder.capabilities(capabilities.clone()).connect(&url).await {
                Ok(client) => break client,
                Err(error) => assert!(Instant::now() < deadline, "no session: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let browser = Self { client, driver, url, http, app: app.to_owned(), _permit: permit };
        browser.resize(width, height).await;
        Some(browser)
    }

    /// Closes the browser. Fails if the page has logged an error to the console.
    pub(crate) async fn close(mut self) {
        let errors = self.console_errors().await;
        self.client.clone().close().await.unwrap();
        self.driver.kill().unwrap();
        self.driver.wait().unwrap();
        assert!(errors.is_empty(), "the console of the page has errors: {errors:?}");
    }

    pub(crate) async fn goto(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.app)).await.unwrap();
    }

    /// Opens a tab and switches to it; the tabs before it stay open.
    pub(crate) async fn open_tab(&self) {
        let tab = self.client.new_window(true).await.unwrap();
        self.client.switch_to_window(tab.handle).await.unwrap();
    }

    /// The address of the page, without the URL of the service.
    pub(crate) async fn address(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        url.as_str().strip_prefix(&self.app).unwrap().to_owned()
    }

    pub(crate) async fn back(&self) {
        self.client.back().await.unwrap();
    }

    pub(crate) async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// Waits for an element and returns it.
    pub(crate) async fn wait_for(&self, css: &str) -> fantoccini::elements::Element {
        let wait = self.client.wait().at_most(TIMEOUT).every(Duration::from_millis(30));
        match wait.for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => {
                panic!("no `{css}` at {}: {error}; the page shows: {}", self.address().await, self.text("body").await)
            }
        }
    }

    /// The text of the first element that matches.
    pub(crate) async fn text(&self, css: &str) -> String {
        let text = self.run(&format!("return document.querySelector({}).innerText", json!(css))).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    pub(crate) async fn click(&self, css: &str) {
        self.wait_for(css).await.click().await.unwrap();
    }

    /// Presses the button, link or summary with this label.
    pub(crate) async fn press(&self, label: &str) {
        let path = format!("//*[self::button or self::a or self::summary][normalize-space()='{label}']");
        let wait = self.client.wait().at_most(TIMEOUT).every(Duration::from_millis(30));
        wait.for_element(Locator::XPath(&path)).await.unwrap().click().await.unwrap();
    }

    /// Shows the less relevant results too, if the results have any.
    pub(crate) async fn open_folds(&self) {
        self.run("for (const button of document.querySelectorAll('.fold [aria-expanded=false]')) button.click()").await;
    }

    pub(crate) async fn type_into(&self, css: &str, text: &str) {
        self.wait_for(css).await.send_keys(text).await.unwrap();
    }

    /// Sends keys to the element that has the focus.
    pub(crate) async fn keys(&self, keys: &str) {
        self.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// Waits until a JavaScript expression is true.
    pub(crate) async fn wait_until(&self, expression: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while self.run(&format!("try {{ return Boolean({expression}) }} catch {{ return false }}")).await != json!(true)
        {
            let now = Instant::now();
            assert!(now < deadline, "`{expression}` did not become true; the page shows: {}", self.text("body").await);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Runs a script that calls its last argument when it is done.
    pub(crate) async fn run_async(&self, script: &str) -> Value {
        self.client.execute_async(script, Vec::new()).await.unwrap()
    }

    /// Sets the size of the viewport, in pixels.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.run_cdp("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Sets the colour scheme of the system: `dark` or `light`.
    pub(crate) async fn set_color_scheme(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.run_cdp("Emulation.setEmulatedMedia", features).await;
    }

    /// Saves a screenshot under `target/screens/`.
    pub(crate) async fn screenshot(&self, name: &str) {
        let folder: PathBuf = root().join("target/screens");
        std::fs::create_dir_all(&folder).unwrap();
        let screenshot = image::load_from_memory(&self.client.screenshot().await.unwrap()).unwrap().into_rgb8();
        screenshot.save(folder.join(format!("{name}.jpg"))).unwrap();
    }

    /// Runs a command of the Chrome DevTools Protocol.
    async fn run_cdp(&self, command: &str, parameters: Value) {
        let session = self.client.session_id().await.unwrap().unwrap();
        let url = format!("{}/session/{session}/goog/cdp/execute", self.url);
        let reply = self.http.post(url).json(&json!({"cmd": command, "params": parameters})).send().await.unwrap();
        assert!(reply.status().is_success(), "{command}: {}", reply.text().await.unwrap());
    }

    /// Errors in the console, without failed requests: the page shows those itself.
    async fn console_errors(&self) -> Vec<String> {
        let session = self.client.session_id().await.unwrap().unwrap();
        let url = format!("{}/session/{session}/se/log", self.url);
        let reply: Value =
            self.http.post(url).json(&json!({"type": "browser"})).send().await.unwrap().json().await.unwrap();
        let lines = reply["value"].as_array().cloned().unwrap_or_default();
        let messages = lines.iter().filter_map(|line| line["message"].as_str().map(str::to_owned));
        messages.filter(|line| !line.contains("Failed to load resource")).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}
