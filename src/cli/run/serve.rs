//! `glimpse serve`: runs the service until it is asked to stop.

use clap::Args;

use crate::app::App;
use crate::cli::{CliError, Ending, out};
use crate::config::Settings;

const NOTES: &str = "\
Examples:
  glimpse serve                                      the embedded bucket and index, under GLIMPSE_DATA_DIR
  GLIMPSE_ADDR=0.0.0.0:8080 GLIMPSE_API_KEY=KEY glimpse serve
                                                     for other machines, with a key
  GLIMPSE_TLS_CERT=chain.pem GLIMPSE_TLS_KEY=key.pem glimpse serve
                                                     with TLS: https://127.0.0.1:8080

At start it prints what it uses and which variables change that. After the first SIGTERM or Ctrl-C it finishes running
work, for at most 25 s; the second one stops it at once. Unfinished jobs continue at the next start.

Exit codes: 0 it was asked to stop; 1 it cannot start; 70 a task that it needs ended unexpectedly.";

#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(in crate::cli) struct Serve {}

impl Serve {
    pub(in crate::cli) async fn run(self, settings: Settings) -> Result<Ending, CliError> {
        let (shutdown, _logs) = super::begin(&settings)?;
        let app = App::build(settings, &shutdown).await?;
        out::start_lines(app.lines());
        app.serve().await?;
        Ok(Ending::Done)
    }
}
