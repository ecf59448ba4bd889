//! `glimpse demo`: the whole way in one process, from images that it brings along to hits on the screen.

use bytes::Bytes;
use clap::Args;
use tokio::time::Instant;

use super::client::Client;
use super::{CliError, Ending, follow, out, search, seed, warn_of_unknown_variables};
use crate::api::replies::{SearchReply, SubmitReply, SubmitRequest};
use crate::app::{App, Bucket};
use crate::config::Settings;
use crate::demo;
use crate::shutdown::Shutdown;

const MORE: &str = "\
It runs the service with its defaults (and with what the environment sets), puts 26 images into its bucket, indexes
them and searches them by words and by a image. Then it stays: try `glimpse search \"a cat\"` in another terminal.";

const QUERIES: [&str; 3] = ["a rocket launch", "a cup of coffee", "a raccoon in a tree"];
const IMAGE: &str = "cat.jpg";
const PREFIX: &str = "images/";
const HITS: usize = 3;

#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub(super) struct Demo {
    /// WriteLease after the searches
    #[arg(long)]
    once: bool,
    /// What is logged; warnings only unless it is set
    #[arg(long, env = "GLIMPSE_LOG", hide = true, default_value = "")]
    log: String,
}

impl Demo {
    pub(super) async fn run(self, mut settings: Settings) -> Result<Ending, CliError> {
        let begun = Instant::now();
        refuse_other_servers(&settings)?;
        if self.log.is_empty() {
            "warn".clone_into(&mut settings.telemetry.glimpse_log);
        }
        settings.telemetry.begin();
        warn_of_unknown_variables();
        let shutdown = Shutdown::on_signals().map_err(CliError::Signals)?;
        let app = App::build(settings.clone(), &shutdown).await?;
        let lines = app.lines().to_vec();
        let address = app.addr();
        // Whoever listens everywhere is reached here.
        let host = if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let url = format!("http://{host}:{}", address.port());
        let tour = Tour { client: Client::at(&url, &settings)?, bucket: app.bucket().await?, settings, url };

        let drain = shutdown.drain();
        let shown = async {
            let outcome = tokio::select! {
                outcome = tour.show(&lines, begun, self.once) => outcome,
                () = drain.cancelled() => Ok(Ending::Done),
            };
            if self.once || matches!(outcome, Ok(Ending::Failed) | Err(_)) {
                shutdown.begin();
            }
            outcome
        };
        let (served, shown) = tokio::join!(app.serve(), shown);
        served?;
        shown
    }
}

/// The demo writes images and vectors: never into a bucket or a store that the environment of a shell happens to name.
fn refuse_other_servers(settings: &Settings) -> Result<(), CliError> {
    let (endpoint, stores) = (&settings.source.s3_endpoint, &settings.index.vector_db_provider);
    let named = match (endpoint.as_str(), stores.as_str()) {
        ("embedded", "embedded") => return Ok(()),
        ("embedded", stores) => format!("VECTOR_DB_PROVIDER is `{stores}`"),
        (endpoint, _) => format!("S3_ENDPOINT is `{endpoint}`"),
    };
    Err(CliError::NotEmbedded(named))
}

struct Tour {
    client: Client,
    bucket: Bucket,
    settings: Settings,
    url: String,
}

impl Tour {
    async fn show(&self, lines: &[String], begun: Instant, once: bool) -> Result<Ending, CliError> {
        for line in lines {
            out::line(line)?;
        }
        let name = &self.settings.source.s3_bucket;
        self.bucket.ensure(name).await?;
        let put = seed::pictures_into(&self.bucket, name, PREFIX, demo::count()).await?;
        out::line(format!("\nseeded {put} images into {name}/{PREFIX}"))?;

        let request = SubmitRequest { s3_prefix: PREFIX.to_owned(), ..SubmitRequest::default() };
        let id = self.client.post(&["jobs", "images"], &request).await?.read::<SubmitReply>()?.job_id;
        let (job, _) = follow::follow(&self.client, &id).await?;
        out::line(follow::summary(&job))?;
        let ending = follow::ending(&job);
        if ending == Ending::Failed {
            return Ok(ending);
        }

        let limit = ("limit", HITS.to_string());
        for words in QUERIES {
            let query = [limit.clone(), ("q", words.to_owned())];
            let found: SearchReply = self.client.get(&["search", "images"], &query).await?.read()?;
            out::line(format!("\n\"{words}\"\n{}", search::table(&found)))?;
        }
        let image = demo::images().find(|(name, _)| *name == IMAGE).map_or(&[][..], |(_, bytes)| bytes);
        let query = [limit];
        let reply = search::by_image(&self.client, &query, IMAGE.to_owned(), Bytes::from_static(image)).await?;
        out::line(format!("\nthe image {IMAGE}\n{}", search::table(&reply.read()?)))?;
        out::line(format!("\nall of it in {:.1} s; every route: {}/docs", begun.elapsed().as_secs_f64(), self.url))?;
        if !once {
            out::line("the service stays until Ctrl-C; in another terminal: glimpse search \"a cat\"")?;
        }
        Ok(ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_known_to_be_found() {
        let known: serde_json::Value = serde_json::from_str(include_str!("../../demo/queries.json")).unwrap();
        assert!(QUERIES.iter().all(|query| known["queries"].get(query).is_some()));
        assert!(demo::images().any(|(name, _)| name == IMAGE));
    }
}
