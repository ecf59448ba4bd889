//! A proxy that publishes the service under a path, which it removes or keeps.

use axum::http::StatusCode;
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::page::browser::Browser;
use crate::support::proxies::nginx::Nginx;
use crate::support::{TestApp, demo_image, free_address};

const KEY: &str = "the-key-of-the-settings";

/// Sends requests through nginx, which removes the path if `removes` is set.
async fn check(removes: bool) {
    let address = free_address();
    let public = format!("https://{}/a/glimpse", address.replace("127.0.0.1", "localhost"));
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", KEY), ("GLIMPSE_PUBLIC_URL", &public)]).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    let (url, slash) = (&app.url, if removes { "/" } else { "" });
    let locations = format!(
        "location = /a/glimpse {{ return 308 /a/glimpse/; }}
         location /a/glimpse/ {{ proxy_pass {url}{slash}; proxy_buffering off; }}"
    );
    let Some(_nginx) = Nginx::start_at(&address, &locations) else { return };
    let client = Client::builder().danger_accept_invalid_certs(true).redirect(Policy::none()).build().unwrap();
    let send = async |method: Method, path: &str, body: Option<Value>| {
        let request = client.request(method, format!("{public}{path}")).bearer_auth(KEY);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        request.send().await.unwrap()
    };

    let submitted = send(Method::POST, "/jobs/images", Some(json!({"s3_prefix": "images/"}))).await;
    assert_eq!(submitted.status(), StatusCode::ACCEPTED);
    let location = submitted.headers()["location"].to_str().unwrap().to_owned();
    assert!(location.starts_with("/a/glimpse/jobs/"), "{location}");
    let job = location.trim_start_matches("/a/glimpse");
    loop {
        let job: Value = send(Method::GET, job, None).await.json().await.unwrap();
        if job["status"] == "SUCCEEDED" {
            break;
        }
        assert!(job["status"] != "FAILED", "{job}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let found: Value = send(Method::GET, "/search/images?q=a+cat", None).await.json().await.unwrap();
    let hit = &found["results"][0];
    for name in ["thumbnail", "preview", "original"] {
        let path = hit[name].as_str().unwrap().strip_prefix("/a/glimpse").unwrap_or_else(|| panic!("{hit}"));
        let image = send(Method::GET, path, None).await;
        assert_eq!(image.status(), StatusCode::OK, "{path}");
    }
    let original = hit["original"].as_str().unwrap().trim_start_matches("/a/glimpse");
    let part = client.get(format!("{public}{original}")).bearer_auth(KEY).header("range", "bytes=0-9");
    assert_eq!(part.send().await.unwrap().status(), StatusCode::PARTIAL_CONTENT);
    let images: Value = send(Method::GET, "/images", None).await.json().await.unwrap();
    assert!(images["images"][0]["original"].as_str().unwrap().starts_with("/a/glimpse/images/"), "{images}");

    // The browser's session belongs to the path, and its page has relative addresses only.
    let origin = public.trim_end_matches("/a/glimpse");
    let sign_in = client.post(format!("{public}/session")).header("origin", origin).json(&json!({"key": KEY}));
    let signed_in = sign_in.send().await.unwrap();
    assert_eq!(signed_in.status(), StatusCode::OK);
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("Path=/a/glimpse/;") && cookie.contains("Secure"), "{cookie}");
    let page = send(Method::GET, "/", None).await.text().await.unwrap();
    assert!(page.contains("src=\"./web/main.js\"") && !page.contains("=\"/"), "{page}");
    assert_eq!(send(Method::GET, "/web/main.js", None).await.status(), StatusCode::OK);
    let document: Value = send(Method::GET, "/openapi.json", None).await.json().await.unwrap();
    assert_eq!(document["servers"], json!([{"url": "/a/glimpse"}]));
    let docs = send(Method::GET, "/docs", None).await;
    assert!(docs.status().is_redirection() && docs.headers()["location"] == "/a/glimpse/docs/", "{docs:?}");

    let Some(browser) = Browser::open_at(&public, 1280, 900).await else { return };
    browser.goto("/").await;
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

    // Without the proxy, the service answers with and without the path.
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
async fn a_proxy_that_removes_the_path() {
    check(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_keeps_the_path() {
    check(false).await;
}
