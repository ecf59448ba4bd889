//! The command line.

mod add;
pub(crate) mod commands;
mod doctor;
mod images;
mod jobs;
mod mirror;
mod models;

use serde_json::Value;

use crate::support::TestApp;
use commands::{glimpse, stderr, stdout};

/// The commands that connect to one service.
struct Cli(String);

impl Cli {
    fn new(app: &TestApp) -> Self {
        Self(app.url.clone())
    }

    /// Runs a command that must end with this code, and returns its output.
    async fn run(&self, code: i32, arguments: &[&str]) -> String {
        let output = glimpse(&[("GLIMPSE_URL", &self.0)], arguments).await;
        let (out, error) = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{error}");
        if code == 0 || code == 3 { out } else { out + &error }
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(0, &[arguments, &["--json"]].concat()).await).unwrap()
    }
}
