//! The page and its API behind proxies.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::page::browser::Browser;
use crate::support::proxies::nginx::Nginx;
use crate::support::services::cheap_clip::CheapClip;
use crate::support::{TestApp, demo_image, root};

const KEY: &str = "the-key-of-the-test";

/// The request that a page of `origin` sends to sign in.
async fn sign_in(app: &TestApp, host: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
    let mut request = app.client.post(format!("{}/session", app.url)).json(&json!({"key": KEY})).header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let reply = request.send().await.unwrap();
    (reply.status(), reply.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_works_through_nginx_with_its_defaults_over_http_2() {
    let clip = CheapClip::start(Duration::from_millis(200)).await;
    let variables = [("GLIMPSE_API_KEY", KEY), ("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", &clip.url)];
    let app = TestApp::start_with(&variables).await;
    for copy in 0..100 {
        let bytes: Vec<u8> = demo_image("cat.jpg").into_iter().chain([copy]).collect();
        app.put(&format!("images/{copy}.jpg"), bytes).await;
    }
    app.put("images/moose.jpg", demo_image("moose.jpg")).await;
    let Some(proxy) = Nginx::start(&app.url) else { return };
    let Some(browser) = Browser::open_at(&proxy.url, 1280, 900).await else { return };
    browser.goto("/").await;
    browser.wait_until("performance.getEntriesByType('navigation')[0].nextHopProtocol === 'h2'").await;
    browser.type_into("dialog[open] input[name=key]", &format!("{KEY}\u{e007}")).await;
    browser.wait_until("document.querySelector('.summary')?.innerText.includes('has no images yet')").await;

    // Live updates arrive while the job runs, not all at its end.
    browser.goto("/?view=jobs").await;
    browser.press("Start job").await;
    browser.wait_until("document.querySelector('.job .state.running') && document.querySelector('.counts')").await;
    browser.run("window.before = document.querySelector('.counts').innerText").await;
    browser.wait_until("document.querySelector('.job .state.running') && document.querySelector('.counts').innerText !== window.before").await;
    browser.wait_until("document.querySelector('.job .state.succeeded')").await;

    browser.goto("/").await;
    browser.type_into("input[type=file]", root().join("demo/moose.jpg").to_str().unwrap()).await;
    browser.wait_until("document.querySelector('.hit')?.title.endsWith('moose.jpg')").await;
    browser.close().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_recognised_by_the_public_url_or_by_headers_of_the_browser() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", KEY)]).await;
    let origin = ("origin", "http://photos.example");
    let (status, body) = sign_in(&app, "upstream", &[origin]).await;
    assert_eq!(status, 403);
    for part in ["http://photos.example", "`upstream`", "GLIMPSE_PUBLIC_URL", "GLIMPSE_CORS_ORIGINS"] {
        assert!(body.contains(part), "the reply names {part}: {body}");
    }
    assert_eq!(sign_in(&app, "upstream", &[origin, ("sec-fetch-site", "same-origin")]).await.0, 200);
    for site in ["cross-site", "same-site", "none"] {
        assert_eq!(sign_in(&app, "upstream", &[origin, ("sec-fetch-site", site)]).await.0, 403, "{site}");
    }
    assert_eq!(sign_in(&app, "photos.example:80", &[origin]).await.0, 200, "a default port may be named");
    let app = app.restart_with(&[("GLIMPSE_API_KEY", KEY), ("GLIMPSE_PUBLIC_URL", "http://photos.example/")]).await;
    assert_eq!(sign_in(&app, "upstream", &[origin]).await.0, 200);
    assert_eq!(sign_in(&app, "upstream", &[("origin", "http://evil.example")]).await.0, 403);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_adds_the_key_has_signed_in() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", KEY)]).await;
    let session = async |key: &str| {
        let request = app.client.get(format!("{}/session", app.url)).bearer_auth(key);
        request.send().await.unwrap().json::<serde_json::Value>().await.unwrap()
    };
    for (key, signed_in) in [(KEY, true), ("another", false)] {
        let session = session(key).await;
        assert_eq!((&session["required"], &session["signed_in"]), (&json!(true), &json!(signed_in)), "{session}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn event_streams_ask_proxies_not_to_buffer() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    let id = app.submit(json!({"s3_prefix": "images/c"})).await;
    for path in [format!("/jobs/{id}"), format!("/jobs/{id}/logs")] {
        let request = app.client.get(format!("{}{path}", app.url)).header("accept", "text/event-stream");
        let reply = request.send().await.unwrap();
        assert_eq!(reply.headers()["content-type"], "text/event-stream");
        assert_eq!(reply.headers()["x-accel-buffering"], "no", "{path}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_origins_are_allowed_as_browsers_write_them() {
    for wrong in ["*", "nonsense", "https://ok.example/path", "https://ok.example,*", "null"] {
        let settings = glimpse::config::Settings::from_variables([("GLIMPSE_CORS_ORIGINS", wrong)]);
        assert!(settings.unwrap_err().to_string().contains("GLIMPSE_CORS_ORIGINS is `"), "{wrong}");
    }
    let app = TestApp::start_with(&[("GLIMPSE_CORS_ORIGINS", "https://OK.example/, http://dev.example:80")]).await;
    for (origin, allowed) in [
        ("https://ok.example", true),
        ("http://dev.example", true),
        ("https://dev.example", false),
        ("https://evil.example", false),
    ] {
        let request = app.client.request(Method::OPTIONS, format!("{}/jobs/images", app.url));
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        let reply = request.send().await.unwrap();
        let header = reply.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header, allowed.then(|| origin.to_owned()), "preflight of {origin}");
        let reply = app.client.get(format!("{}/jobs", app.url)).header("origin", origin).send().await.unwrap();
        let header = reply.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header, allowed.then(|| origin.to_owned()), "GET of {origin}");
        let host = app.url.trim_start_matches("http://").to_owned();
        let (status, _) = sign_in(&app, &host, &[("origin", origin)]).await;
        assert_eq!(status == 200, allowed, "POST of {origin}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_values_with_commas_survive_the_form() {
    let app = TestApp::start().await;
    app.seed_demo().await;
    app.ingest_with(json!({"s3_prefix": "images/c"})).await;
    let Some(browser) = Browser::open(&app, 1280, 900).await else { return };
    browser.goto("/?q=a+cat&meta.place=Zurich%2C+CH&meta.taxon=a%3Db").await;
    browser.wait_until("document.querySelector('textarea[name=meta]').value === 'place=Zurich, CH\\ntaxon=a=b'").await;
    browser.click("form.search button[type=submit]").await;
    browser.wait_until("new URLSearchParams(location.search).get('meta.place') === 'Zurich, CH'").await;
    browser.wait_until("new URLSearchParams(location.search).get('meta.taxon') === 'a=b'").await;
    browser.type_into("textarea[name=meta]", "\nFelis catus").await;
    browser.wait_until("document.querySelector('textarea[name=meta]').validationMessage.includes('name=value')").await;
    browser.close().await;
    app.stop().await;
}
