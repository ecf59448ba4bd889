//! `glimpse demo`: starts the service, uploads the built-in images, indexes them and prints search results.

use bytes::Bytes;
use clap::Args;
use tokio::time::Instant;

use crate::api::replies::{SearchReply, SubmitReply, SubmitRequest};
use crate::app::{App, Bucket};
use crate::cli::client::Client;
use crate::cli::jobs::{follow, text};
use crate::cli::{CliError, Ending, out, search, seed};
use crate::config::Settings;
use crate::demo;
use crate::domain::Endpoint;
use crate::telemetry::LogFilter;

const NOTES: &str = "\
Examples:
  glimpse demo          index and search, then keep running
  glimpse demo --once   stop after the searches

Runs the service with its default settings (and those that the environment sets), uploads 26 images to its bucket,
indexes them, and searches them by text and by image. Then the service keeps running: try `glimpse search \"a cat\"` in
another terminal.";

const QUERIES: [&str; 3] = ["a rocket launch", "a cup of coffee", "a raccoon in a tree"];
const IMAGE: &str = "cat.jpg";
const PREFIX: &str = "images/";
const HITS: usize = 3;

#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(in crate::cli) struct Demo {
    /// Stop after the searches
    #[arg(long)]
    once: bool,
    /// What is logged: the filter of GLIMPSE_LOG [default: warn]
    #[arg(long, env = "GLIMPSE_LOG", hide = true, default_value = "")]
    log: String,
}

impl Demo {
    pub(in crate::cli) async fn run(self, mut settings: Settings) -> Result<Ending, CliError> {
        let started = Instant::now();
        refuse_other_servers(&settings)?;
        if self.log.is_empty() {
            settings.telemetry.glimpse_log = LogFilter::warn();
        }
        let (shutdown, _logs) = super::begin(&settings)?;
        let app = App::build(settings.clone(), &shutdown).await?;
        let lines = app.lines().to_vec();
        let url = settings.local_url(app.addr());
        let demo = DemoRun { client: Client::for_url(&url, &settings)?, bucket: app.bucket().await?, settings, url };

        let drain = shutdown.drain();
        let demo = async {
            let ending = tokio::select! {
                ending = demo.run(&lines, started, self.once) => ending,
                () = drain.cancelled() => Ok(Ending::Done),
            };
            if self.once || matches!(ending, Ok(Ending::Failed) | Err(_)) {
                shutdown.begin();
            }
            ending
        };
        let (served, ending) = tokio::join!(app.serve(), demo);
        served?;
        ending
    }
}

/// The demo writes images and vectors. It must not write into a bucket or a store that the environment happens to name.
fn refuse_other_servers(settings: &Settings) -> Result<(), CliError> {
    // By default both are embedded.
    let default = Settings::default();
    if settings.source.s3_endpoint != default.source.s3_endpoint {
        return Err(CliError::NotEmbedded(format!("S3_ENDPOINT is `{}`", settings.source.s3_endpoint)));
    }
    if settings.index.vector_db_provider != default.index.vector_db_provider {
        return Err(CliError::NotEmbedded(format!("VECTOR_DB_PROVIDER is `{}`", settings.index.vector_db_provider)));
    }
    Ok(())
}

struct DemoRun {
    client: Client,
    bucket: Bucket,
    settings: Settings,
    url: Endpoint,
}

impl DemoRun {
    async fn run(&self, lines: &[String], started: Instant, once: bool) -> Result<Ending, CliError> {
        out::start_lines(lines);
        let name = &self.settings.source.s3_bucket;
        self.bucket.ensure(name).await?;
        let put = seed::upload_demo_images(&self.bucket, name, PREFIX, demo::count()).await?;
        out::line(format!("\nseeded {put} images into {name}/{PREFIX}"))?;

        let request = SubmitRequest { s3_prefix: PREFIX.to_owned(), ..SubmitRequest::default() };
        let id = self.client.post(&["jobs", "images"], &request).await?.read::<SubmitReply>()?.job_id;
        let job = follow::follow(&self.client, &id).await?.read()?;
        out::line(text::summary(&job))?;
        let ending = follow::ending(&job);
        if ending == Ending::Failed {
            return Ok(ending);
        }

        let limit = ("limit", HITS.to_string());
        for text in QUERIES {
            let query = [limit.clone(), ("q", text.to_owned())];
            let found: SearchReply = self.client.get(&["search", "images"], &query).await?.read()?;
            out::line(format!("\n\"{text}\"\n{}", search::table(&found, 0)))?;
        }
        let image = demo::images().find(|(name, _)| *name == IMAGE).map_or(&[][..], |(_, bytes)| bytes);
        let query = [limit];
        let reply = search::by_image(&self.client, &query, IMAGE.to_owned(), Bytes::from_static(image)).await?;
        out::line(format!("\nimages similar to {IMAGE}\n{}", search::table(&reply.read()?, 0)))?;
        out::line(format!(
            "\nfinished in {:.1} s; API documentation: {}/docs",
            started.elapsed().as_secs_f64(),
            self.url
        ))?;
        if !once {
            out::line("the service runs until Ctrl-C; try in another terminal: glimpse search \"a cat\"")?;
        }
        Ok(ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queries_and_the_image_are_in_the_demo_files() {
        let known: serde_json::Value = serde_json::from_str(include_str!("../../../demo/queries.json")).unwrap();
        assert!(QUERIES.iter().all(|query| known["queries"].get(query).is_some()));
        assert!(demo::images().any(|(name, _)| name == IMAGE));
    }
}
