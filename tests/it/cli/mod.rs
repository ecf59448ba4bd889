//! The command line.

mod add;
pub(crate) mod commands;
mod doctor;
mod export;
mod images;
mod jobs;
mod keys;
mod mirror;
mod models;

use serde_json::Value;

use crate::support::TestApp;
use commands::{glimpse, stderr, stdout};

/// The commands that connect to one service.
pub(crate) struct Cli {
    url: String,
    key: String,
}

impl Cli {
    pub(crate) fn new(app: &TestApp) -> Self {
        Self { url: app.url.clone(), key: String::new() }
    }

    /// The same with an API key.
    fn with_key(self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self }
    }

    /// Runs a command that must end with this code, and returns its output.
    pub(crate) async fn run(&self, code: i32, arguments: &[&str]) -> String {
        let output = glimpse(&[("GLIMPSE_URL", &self.url), ("GLIMPSE_API_KEY", &self.key)], arguments).await;
        let (out, error) = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{error}");
        if code == 0 || code == 3 { out } else { out + &error }
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(0, &[arguments, &["--json"]].concat()).await).unwrap()
    }
}
