//! `glimpse keys` against a running service.

use super::Cli;
use super::commands::{glimpse, stdout};
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

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_checks_the_file_of_keys() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let check = async |text: &str| {
        std::fs::write(&file, text).unwrap();
        let data = folder.path().join("data").display().to_string();
        let variables = [("GLIMPSE_DATA_DIR", data.as_str()), ("GLIMPSE_KEYS_FILE", file.to_str().unwrap())];
        let report = stdout(&glimpse(&variables, &["doctor"]).await);
        report.lines().find(|line| line.contains("keys")).unwrap_or_default().to_owned()
    };
    assert!(check("ci read a-secret-that-is-long\n").await.contains("1 keys in"));
    let wrong = check("ci root a-secret-that-is-long\n").await;
    assert!(wrong.contains("line 1: `root` is not a role") && !wrong.contains("a-secret"), "{wrong}");
}
