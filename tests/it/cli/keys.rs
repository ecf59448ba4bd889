//! `glimpse keys` against a running service.

use super::Cli;
use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_listed_and_removed() {
    let app = TestApp::start_with(&[("GLIMPSE_API_KEY", "the-key-of-the-settings")]).await;
    let cli = Cli::new(&app).with_key("the-key-of-the-settings");
    let key = cli.run(0, &["keys", "add", "ci", "--role", "write", "--expires", "30d"]).await;
    let key = key.trim_end();
    assert!(key.starts_with("glimpse_") && key.len() == 72, "{key}");
    let listed = cli.run(0, &["keys", "list"]).await;
    assert!(listed.contains("ci") && listed.contains("write") && !listed.contains("glimpse_"), "{listed}");
    let ci = Cli::new(&app).with_key(key);
    ci.run(0, &["jobs", "list"]).await;
    assert!(ci.run(1, &["keys", "list"]).await.contains("needs the role `admin`"));
    assert!(cli.run(0, &["keys", "audit"]).await.contains("POST /keys"));
    assert_eq!(cli.run(0, &["keys", "remove", "ci"]).await.trim_end(), "key ci: removed");
    assert!(ci.run(1, &["jobs", "list"]).await.contains("does not accept the API key"));
}
