//! `glimpse search`: finds pictures.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;

use super::client::{Client, Reply};
use super::{CliError, Ending, out};
use crate::api::replies::SearchReply;
use crate::config::Settings;

const EXAMPLES: &str = "\
Examples:
  glimpse search \"a cat\"
  glimpse search --file cat.jpg --limit 3
  glimpse search --file cat.jpg \"at night\"     near to both
  glimpse search \"a cat\" --json | jq .results";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Search {
    /// Words to search for
    #[arg(required_unless_present = "file")]
    text: Option<String>,
    /// A picture to search for: JPEG, PNG, WebP or GIF
    #[arg(long)]
    file: Option<PathBuf>,
    /// The store to ask; the first that the service has where it is left out
    #[arg(long)]
    provider: Option<String>,
    /// The collection; VECTOR_DB_COLLECTION of the service where it is left out
    #[arg(long)]
    collection: Option<String>,
    /// How many results, 1 to 100
    #[arg(long, default_value_t = 10)]
    limit: usize,
    /// Print the service's reply instead of a table
    #[arg(long)]
    json: bool,
}

impl Search {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let client = Client::new(settings)?;
        let mut query = vec![("limit", self.limit.to_string())];
        query.extend(self.text.map(|text| ("q", text)));
        query.extend(self.provider.map(|provider| ("provider", provider)));
        query.extend(self.collection.map(|collection| ("collection", collection)));
        let reply = match &self.file {
            None => client.get(&["search", "images"], &query).await?,
            Some(file) => {
                let bytes = tokio::fs::read(file).await;
                let bytes = bytes.map_err(|source| CliError::File { path: file.clone(), source })?;
                by_image(&client, &query, name(file), bytes.into()).await?
            }
        };
        if self.json {
            out::line(reply.text())?;
        } else {
            out::line(table(&reply.read()?))?;
        }
        Ok(Ending::Done)
    }
}

pub(super) async fn by_image(
    client: &Client,
    query: &[(&str, String)],
    name: String,
    bytes: Bytes,
) -> Result<Reply, CliError> {
    client.upload(&["search", "images"], query, name, bytes).await
}

/// What was found, for people.
pub(super) fn table(reply: &SearchReply) -> String {
    if reply.results.is_empty() {
        return format!("nothing found in the collection `{}`", reply.collection);
    }
    let mut table = out::table(&["rank", "score", "key", "size"]);
    for (rank, hit) in reply.results.iter().enumerate() {
        table.add_row([
            out::number(rank + 1),
            out::number(format!("{:.4}", hit.score)),
            hit.s3_key.clone().into(),
            out::number(format!("{}x{}", hit.width, hit.height)),
        ]);
    }
    table.to_string()
}

fn name(file: &Path) -> String {
    file.file_name().map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned())
}
