//! A Chromium of one's own, driven over WebDriver. Where there is none, a test says `skipped` and ends.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::support::{TestApp, root};

/// One at a time: two cores carry one browser beside its service.
static ONE: Semaphore = Semaphore::const_new(1);

/// How long a page may take to show something, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) struct Browser {
    client: Client,
    driver: Child,
    url: String,
    http: reqwest::Client,
    app: String,
    _one: SemaphorePermit<'static>,
}

impl Browser {
    /// A browser in front of a service; `None` where none is installed.
    pub(crate) async fn open(app: &TestApp, width: u32, height: u32) -> Option<Self> {
        Self::open_at(&app.url, width, height).await
    }

    /// A browser for the service at this address. It accepts certificates that nobody has signed.
    pub(crate) async fn open_at(app: &str, width: u32, height: u32) -> Option<Self> {
        let found = |name: &str| {
            std::env::split_paths(&std::env::var_os("PATH")?).map(|at| at.join(name)).find(|file| file.is_file())
        };
        let (Some(driver), Some(chromium)) = (found("chromedriver"), found("chromium")) else {
            // Past the test runner, which swallows what the printing macros write.
            std::io::stderr().write_all(b"skipped: install chromium and chromium-driver\n").unwrap();
            return None;
        };
        let one = ONE.acquire().await.unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let quiet = || Stdio::null();
        let driver =
            Command::new(driver).arg(format!("--port={port}")).stdout(quiet()).stderr(quiet()).spawn().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let arguments = [
            "--headless=new".to_owned(),
            // Within a container there is no user namespace for its sandbox; it sees nothing but our own page.
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
        let deadline = Instant::now() + PATIENCE;
        let client = loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            match builder.capabilities(capabilities.clone()).connect(&url).await {
                Ok(client) => break client,
                Err(error) => assert!(Instant::now() < deadline, "no session: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let browser = Self { client, driver, url, http, app: app.to_owned(), _one: one };
        browser.size(width, height).await;
        Some(browser)
    }

    /// Ends the session, and with it the browser; a page that has complained of anything fails the test.
    pub(crate) async fn close(mut self) {
        let complaints = self.log().await;
        self.client.clone().close().await.unwrap();
        self.driver.kill().unwrap();
        self.driver.wait().unwrap();
        assert!(complaints.is_empty(), "the page complained: {complaints:?}");
    }

    pub(crate) async fn goto(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.app)).await.unwrap();
    }

    /// Goes on in a tab of its own; those before it stay open behind it.
    pub(crate) async fn tab(&self) {
        let tab = self.client.new_window(true).await.unwrap();
        self.client.switch_to_window(tab.handle).await.unwrap();
    }

    /// The page's address, without the service's.
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

    /// The first element of that selector, once it is there.
    pub(crate) async fn see(&self, css: &str) -> fantoccini::elements::Element {
        let wait = self.client.wait().at_most(PATIENCE).every(Duration::from_millis(30));
        match wait.for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => {
                panic!("no `{css}` at {}: {error}; the page says: {}", self.address().await, self.text("body").await)
            }
        }
    }

    /// What stands in the first element of that selector.
    pub(crate) async fn text(&self, css: &str) -> String {
        let text = self.run(&format!("return document.querySelector({}).innerText", json!(css))).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    pub(crate) async fn click(&self, css: &str) {
        self.see(css).await.click().await.unwrap();
    }

    /// The button, link or summary with these words.
    pub(crate) async fn press(&self, words: &str) {
        let path = format!("//*[self::button or self::a or self::summary][normalize-space()='{words}']");
        let wait = self.client.wait().at_most(PATIENCE).every(Duration::from_millis(30));
        wait.for_element(Locator::XPath(&path)).await.unwrap().click().await.unwrap();
    }

    pub(crate) async fn write(&self, css: &str, words: &str) {
        self.see(css).await.send_keys(words).await.unwrap();
    }

    /// Keys for whatever has the focus.
    pub(crate) async fn keys(&self, keys: &str) {
        self.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// Waits until a script's expression is true.
    pub(crate) async fn until(&self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.run(&format!("try {{ return Boolean({expression}) }} catch {{ return false }}")).await != json!(true)
        {
            let now = Instant::now();
            assert!(now < deadline, "never `{expression}`; the page says: {}", self.text("body").await);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// A script that calls its last argument when it is done.
    pub(crate) async fn run_async(&self, script: &str) -> Value {
        self.client.execute_async(script, Vec::new()).await.unwrap()
    }

    /// Pixels of the page, whatever the window's frame has.
    pub(crate) async fn size(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.tell("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// `dark` or `light`, as the system would say.
    pub(crate) async fn scheme(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.tell("Emulation.setEmulatedMedia", features).await;
    }

    /// A picture of the page under `target/screens/`.
    pub(crate) async fn picture(&self, name: &str) {
        let folder: PathBuf = root().join("target/screens");
        std::fs::create_dir_all(&folder).unwrap();
        let picture = image::load_from_memory(&self.client.screenshot().await.unwrap()).unwrap().into_rgb8();
        picture.save(folder.join(format!("{name}.jpg"))).unwrap();
    }

    /// A command of the browser's own protocol.
    async fn tell(&self, command: &str, parameters: Value) {
        let session = self.client.session_id().await.unwrap().unwrap();
        let url = format!("{}/session/{session}/goog/cdp/execute", self.url);
        let told = self.http.post(url).json(&json!({"cmd": command, "params": parameters})).send().await.unwrap();
        assert!(told.status().is_success(), "{command}: {}", told.text().await.unwrap());
    }

    /// What the page's console has to complain of, but for replies that are no success: those the page shows by itself.
    async fn log(&self) -> Vec<String> {
        let session = self.client.session_id().await.unwrap().unwrap();
        let url = format!("{}/session/{session}/se/log", self.url);
        let said: Value =
            self.http.post(url).json(&json!({"type": "browser"})).send().await.unwrap().json().await.unwrap();
        let lines = said["value"].as_array().cloned().unwrap_or_default();
        let words = lines.iter().filter_map(|line| line["message"].as_str().map(str::to_owned));
        words.filter(|line| !line.contains("Failed to load resource")).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}
