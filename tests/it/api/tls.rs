//! TLS of the service itself.

use reqwest::tls::TlsInfo;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::cli::commands::{glimpse, stderr, stdout};
use crate::support::certificates::{Authority, PairFiles, write_self_signed};
use crate::support::{TestApp, http2};

const KEY: &str = "the-key-of-the-settings";

fn variables(pair: &PairFiles) -> [(&'static str, &str); 3] {
    [("GLIMPSE_TLS_CERT", pair.certificate()), ("GLIMPSE_TLS_KEY", pair.key()), ("GLIMPSE_API_KEY", KEY)]
}

/// The address of the service under the name in its certificate.
fn named(app: &TestApp) -> String {
    app.url.replace("127.0.0.1", "localhost")
}

/// Returns when the certificate ends, from the metrics.
async fn expiry(app: &TestApp) -> f64 {
    let metrics = app.client.get(format!("{}/metrics", app.url)).bearer_auth(KEY).send().await.unwrap();
    let text = metrics.text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with("glimpse_tls_certificate_expiry_timestamp_seconds "));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

/// Returns the certificate that a new client gets. A client that has connected before resumes its session with the certificate
/// of then.
async fn served_certificate(authority: &Authority, app: &TestApp) -> Vec<u8> {
    let client = authority.trust(Client::builder().no_proxy().tls_info(true)).build().unwrap();
    let reply = client.get(format!("{}/healthz", named(app))).send().await.unwrap();
    reply.extensions().get::<TlsInfo>().unwrap().peer_certificate().unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_answers_over_tls_and_uses_a_renewed_certificate() {
    let authority = Authority::new();
    let pair = authority.write_pair(9);
    let app = TestApp::start_with(&variables(&pair)).await;
    assert!(app.url.starts_with("https://127.0.0.1:"), "{}", app.url);
    let client = authority.trust(Client::builder().no_proxy()).build().unwrap();
    let jobs = client.get(format!("{}/jobs", named(&app))).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(jobs.status(), StatusCode::OK);
    let (status, body) = http2::get(&format!("{}/jobs", named(&app)), KEY, &authority).await;
    assert_eq!(
        (status, serde_json::from_slice::<Value>(&body).unwrap()["jobs"].as_array().unwrap().len()),
        (StatusCode::OK, 0)
    );
    let plain = app.client.get(format!("{}/jobs", app.url.replace("https", "http"))).send().await.unwrap();
    assert_eq!(plain.status(), StatusCode::BAD_REQUEST);
    assert_eq!(plain.json::<Value>().await.unwrap()["code"], "https_required");
    // A client that names no page has used TLS, too.
    let sign_in = app.client.post(format!("{}/session", app.url)).json(&json!({"key": KEY})).send().await.unwrap();
    assert!(sign_in.headers()["set-cookie"].to_str().unwrap().contains("; Secure"));
    let page = app.client.post(format!("{}/session", app.url)).header("origin", app.url.clone());
    assert_eq!(page.json(&json!({"key": KEY})).send().await.unwrap().status(), StatusCode::OK);

    // The gauge is that of the process, which has other services.
    assert!(expiry(&app).await > 1.7e9);
    let first = served_certificate(&authority, &app).await;
    authority.write_pair(90);
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while served_certificate(&authority, &app).await == first {
        assert!(std::time::Instant::now() < deadline, "the new certificate is not used");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let jobs = client.get(format!("{}/jobs", named(&app))).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(jobs.status(), StatusCode::OK);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_trust_a_private_authority_and_the_own_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, own) = (Authority::new(), write_self_signed(folder.path()));
    let signed = authority.write_pair(9);
    let authority = authority.file();
    for (pair, trusted) in [(&signed, authority.as_str()), (&own, own.certificate())] {
        let app = TestApp::start_with(&variables(pair)).await;
        let (url, address) = (named(&app), app.url.replace("https://", ""));
        let client = [("GLIMPSE_URL", url.as_str()), ("GLIMPSE_API_KEY", KEY)];
        let list = ["jobs", "list"];
        let refused = glimpse(&client, &list).await;
        assert!(
            refused.status.code() == Some(1) && stderr(&refused).contains("set GLIMPSE_CA_FILE"),
            "{}",
            stderr(&refused)
        );
        let found = glimpse(&[&client[..], &[("GLIMPSE_CA_FILE", trusted)]].concat(), &list).await;
        assert_eq!(found.status.code(), Some(0), "{}{}", stdout(&found), stderr(&found));
        // A certificate is trusted for its names only.
        let other_name = [("GLIMPSE_URL", app.url.as_str()), ("GLIMPSE_API_KEY", KEY), ("GLIMPSE_CA_FILE", trusted)];
        assert_eq!(glimpse(&other_name, &list).await.status.code(), Some(1));
        // On the machine of the service, its own settings are enough.
        let local = [&variables(pair)[..], &[("GLIMPSE_ADDR", address.as_str())]].concat();
        let ready = glimpse(&local, &["doctor", "--quick"]).await;
        assert_eq!(ready.status.code(), Some(0), "{}{}", stdout(&ready), stderr(&ready));
        app.stop().await;
    }
    let missing = glimpse(&[("GLIMPSE_CA_FILE", "/missing/ca.pem")], &["jobs", "list"]).await;
    assert!(
        stderr(&missing).contains("GLIMPSE_CA_FILE is `/missing/ca.pem`, which cannot be used"),
        "{}",
        stderr(&missing)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_reports_a_certificate_that_ends_soon() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let report = async |pair: &PairFiles| {
        let data = [("GLIMPSE_DATA_DIR", folder.path().to_str().unwrap()), ("GLIMPSE_ADDR", "127.0.0.1:1")];
        let output = glimpse(&[&variables(pair)[..], &data].concat(), &["doctor"]).await;
        let lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
        let lines = lines.into_iter().filter(|line| line.contains(" tls ")).collect::<Vec<_>>().join("\n");
        assert!(!lines.is_empty(), "{}: {}{}", output.status, stdout(&output), stderr(&output));
        lines
    };
    let soon = report(&authority.write_pair(9)).await;
    assert!(soon.contains("warn  tls") && soon.contains("ok    tls       localhost, valid for 9 days"), "{soon}");
    let later = report(&authority.write_pair(90)).await;
    assert!(later.starts_with("ok    tls") && later.contains("valid for 90 days"), "{later}");
    let expired = report(&authority.write_pair(-1)).await;
    assert!(expired.starts_with("FAIL  tls") && expired.contains("it has expired"), "{expired}");
    let mut pair = authority.write_pair(9);
    pair.key = folder.path().join("missing.pem");
    let missing = report(&pair).await;
    assert!(missing.starts_with("FAIL  tls") && missing.contains("GLIMPSE_TLS_KEY is `"), "{missing}");
    let variables = [&variables(&pair)[..], &[("GLIMPSE_ADDR", "127.0.0.1:0")]].concat();
    let serve = glimpse(&variables, &["serve"]).await;
    assert!(serve.status.code() == Some(1) && stderr(&serve).contains("GLIMPSE_TLS_KEY is `"), "{}", stderr(&serve));
}
