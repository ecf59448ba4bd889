//! Proxies that publish the service under a path, which they remove or keep.

use std::time::Duration;

use axum::http::StatusCode;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Version};
use serde_json::{Value, json};

use crate::page::browser::Browser;
use crate::support::certificates::Authority;
use crate::support::proxies::{Publication, ReverseProxy};
use crate::support::services::cheap_clip::CheapClip;
use crate::support::{TestApp, demo_image, free_address, http2};

const KEY: &str = "the-key-of-the-settings";
const PATH: &str = "/a/glimpse";

/// A client of a service that a proxy publishes.
struct Published {
    app: TestApp,
    client: Client,
    url: String,
}

impl Published {
    /// Requests this path of the service.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(KEY)
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// Requests a path that a reply of the service has named.
    async fn get_named(&self, path: &Value) -> reqwest::Response {
        self.get(without_base(path.as_str().unwrap())).await
    }
}

fn without_base(path: &str) -> &str {
    path.strip_prefix(PATH).unwrap_or_else(|| panic!("{path} is not under {PATH}"))
}

async fn check(proxy: ReverseProxy, tls: bool, removes_path: bool) {
    let (address, authority) = (free_address(), tls.then(Authority::new));
    let scheme = if tls { "https" } else { "http" };
    let url = format!("{scheme}://{}{PATH}", address.replace("127.0.0.1", "localhost"));
    let clip = CheapClip::start(Duration::from_millis(100)).await;
    let provider = [("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", &*clip.url)];
    let app =
        TestApp::start_with(&[&provider[..], &[("GLIMPSE_API_KEY", KEY), ("GLIMPSE_PUBLIC_URL", &url)]].concat()).await;
    for copy in 0..40 {
        let bytes: Vec<u8> = demo_image("cat.jpg").into_iter().chain([copy]).collect();
        app.put(&format!("images/{copy}.jpg"), bytes).await;
    }
    let authority = authority.as_ref();
    let publication = Publication { address: &address, upstream: &app.url, path: PATH, removes_path, authority };
    let Some(_proxy) = proxy.start(&publication) else { return };
    let builder = Client::builder().redirect(Policy::none()).no_proxy();
    let builder = if let Some(authority) = authority { authority.trust(builder) } else { builder };
    let service = Published { app, client: builder.build().unwrap(), url };

    follow_job(&service).await;
    let original = search_and_read(&service).await;
    sign_in_and_open_page(&service).await;
    if let Some(authority) = authority {
        let (status, body) = http2::get(&format!("{}{original}", service.url), KEY, authority).await;
        assert_eq!((status, body.len()), (StatusCode::OK, demo_image("cat.jpg").len() + 1));
        use_browser(&service.url).await;
    }
    check_without_proxy(&service.app).await;
}

/// Runs a job, whose updates arrive while it runs.
async fn follow_job(service: &Published) {
    let submitted = service.request(Method::POST, "/jobs/images").json(&json!({"s3_prefix": "images/"}));
    let submitted = submitted.send().await.unwrap();
    assert_eq!((submitted.status(), submitted.version()), (StatusCode::ACCEPTED, Version::HTTP_11));
    let job = without_base(submitted.headers()["location"].to_str().unwrap()).to_owned();
    let stream = service.request(Method::GET, &job).header("accept", "text/event-stream");
    let (mut stream, mut events, mut is_live) = (stream.send().await.unwrap(), String::new(), false);
    while let Some(part) = stream.chunk().await.unwrap() {
        events.push_str(std::str::from_utf8(&part).unwrap());
        if !is_live && events.contains("RUNNING") {
            is_live = true;
            let job: Value = service.get(&job).await.json().await.unwrap();
            assert_eq!(job["status"], "RUNNING", "the events were held back until the end");
        }
    }
    assert!(is_live && events.contains("SUCCEEDED"), "{events}");
}

/// Searches by text and by image, and reads what the hits name. Returns the path of an original.
async fn search_and_read(service: &Published) -> String {
    let found: Value = service.get("/search/images?q=a+cat").await.json().await.unwrap();
    for name in ["thumbnail", "preview", "original"] {
        assert_eq!(service.get_named(&found["results"][0][name]).await.status(), StatusCode::OK, "{found}");
    }
    let part = reqwest::multipart::Part::bytes(demo_image("cat.jpg")).file_name("query.jpg");
    let form = reqwest::multipart::Form::new().part("file", part);
    let similar = service.request(Method::POST, "/search/images").multipart(form).send().await.unwrap();
    let similar: Value = similar.json().await.unwrap();
    let original = without_base(similar["results"][0]["original"].as_str().unwrap()).to_owned();
    let part = service.request(Method::GET, &original).header("range", "bytes=2-9").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().await.unwrap(), demo_image("cat.jpg")[2..10]);
    let images: Value = service.get("/images").await.json().await.unwrap();
    assert!(images["images"][0]["original"].as_str().unwrap().starts_with("/a/glimpse/images/"), "{images}");
    original
}

/// The browser's session belongs to the path, and its page has relative addresses only.
async fn sign_in_and_open_page(service: &Published) {
    let origin = service.url.trim_end_matches(PATH);
    let sign_in = service.client.post(format!("{}/session", service.url)).header("origin", origin);
    let signed_in = sign_in.json(&json!({"key": KEY})).send().await.unwrap();
    assert_eq!(signed_in.status(), StatusCode::OK);
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap();
    let is_secure = cookie.contains("Secure");
    assert!(cookie.contains("Path=/a/glimpse/;") && is_secure == origin.starts_with("https"), "{cookie}");
    let with_cookie = service.client.get(format!("{}/jobs", service.url)).header("cookie", cookie);
    assert_eq!(with_cookie.send().await.unwrap().status(), StatusCode::OK);
    let page = service.get("/").await.text().await.unwrap();
    assert!(page.contains("src=\"./web/main.js\"") && !page.contains("=\"/"), "{page}");
    assert_eq!(service.get("/web/main.js").await.status(), StatusCode::OK);
    let document: Value = service.get("/openapi.json").await.json().await.unwrap();
    assert_eq!(document["servers"], json!([{"url": "/a/glimpse"}]));
    let docs = service.get("/docs").await;
    assert!(docs.status().is_redirection() && docs.headers()["location"] == "/a/glimpse/docs/", "{docs:?}");
}

async fn use_browser(url: &str) {
    let Some(browser) = Browser::open_at(url, 1280, 900).await else { return };
    browser.goto("/").await;
    browser.wait_until("performance.getEntriesByType('navigation')[0].nextHopProtocol === 'h2'").await;
    browser.type_into("dialog[open] input[name=key]", &format!("{KEY}\u{e007}")).await;
    browser.wait_for("#sign-out:not([hidden])").await;
    browser.goto("/?q=a+cat").await;
    browser.wait_until("document.querySelector('.hit img')?.naturalWidth > 0").await;
    browser.click("nav a[data-view=jobs]").await;
    browser
        .wait_until("document.body.innerText.includes('SUCCEEDED') || document.querySelector('.state.succeeded')")
        .await;
    // Without the address of the service, which has the path.
    assert_eq!(browser.address().await, "/?view=jobs");
    browser.screenshot("under-a-path").await;
    browser.close().await;
}

/// Without the proxy, the service answers with and without the path.
async fn check_without_proxy(app: &TestApp) {
    let direct = |path: &str| app.client.get(format!("{}{path}", app.url)).bearer_auth(KEY).send();
    for path in ["/jobs", "/a/glimpse/jobs", "/a/glimpse/", "/"] {
        assert_eq!(direct(path).await.unwrap().status(), StatusCode::OK, "{path}");
    }
    assert_eq!(direct("/a/glimpses").await.unwrap().status(), StatusCode::NOT_FOUND);
    // reqwest follows the redirect.
    let page = direct("/a/glimpse?view=jobs").await.unwrap();
    assert!(page.url().as_str().ends_with("/a/glimpse/?view=jobs"), "{}", page.url());
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_with_tls_that_removes_the_path() {
    check(ReverseProxy::Nginx, true, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_without_tls_that_keeps_the_path() {
    check(ReverseProxy::Nginx, false, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_with_tls_that_removes_the_path() {
    check(ReverseProxy::Caddy, true, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_without_tls_that_keeps_the_path() {
    check(ReverseProxy::Caddy, false, false).await;
}
