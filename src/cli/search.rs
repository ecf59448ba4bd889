//! `glimpse search`: finds images.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use serde::Serialize;

use super::client::{Client, Reply};
use super::{CliError, Ending, out};
use crate::api::replies::SearchReply;
use crate::config::Settings;

const EXAMPLES: &str = "\
Examples:
  glimpse search \"a cat\"
  glimpse search --file cat.jpg --limit 3
  glimpse search --file cat.jpg \"at night\"     similar to both
  glimpse search \"a cat\" --s3-prefix images/2026/ --min-width 1024 --meta place=CH
  glimpse search \"a cat\" --json | jq .results";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Search {
    /// The text to search for
    #[arg(required_unless_present = "file")]
    text: Option<String>,
    /// An image to search for: JPEG, PNG, WebP or GIF
    #[arg(long)]
    file: Option<PathBuf>,
    /// The store to search [default: the first store of the service]
    #[arg(long)]
    provider: Option<String>,
    /// The collection [default: VECTOR_DB_COLLECTION of the service]
    #[arg(long)]
    collection: Option<String>,
    /// Number of results, 1 to 100
    #[arg(long, default_value_t = 10)]
    limit: usize,
    #[command(flatten)]
    filter: Filter,
    /// Print the service's reply instead of a table
    #[arg(long)]
    json: bool,
}

/// Conditions that a result must all meet. The service validates them.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
struct Filter {
    /// Only images of this format: jpeg, png, webp or gif
    #[arg(long)]
    format: Option<String>,
    /// Only keys in this folder; it must end with /
    #[arg(long, value_name = "FOLDER/")]
    s3_prefix: Option<String>,
    /// Only images whose original is at least this wide
    #[arg(long, value_name = "PIXELS")]
    min_width: Option<u32>,
    /// Only images whose original is at least this high
    #[arg(long, value_name = "PIXELS")]
    min_height: Option<u32>,
    /// Only images indexed after this time, such as 2026-05-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    indexed_after: Option<String>,
    /// Only images with this metadata, from the object or from the metadata file of the job; repeat it for more
    /// conditions
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    meta: Vec<(String, String)>,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it must be KEY=VALUE".to_owned()),
    }
}

impl Filter {
    /// Returns the parameters of the query string.
    fn query(self) -> Vec<(String, String)> {
        let given = [
            ("format", self.format),
            ("s3_prefix", self.s3_prefix),
            ("min_width", self.min_width.map(|pixels| pixels.to_string())),
            ("min_height", self.min_height.map(|pixels| pixels.to_string())),
            ("indexed_after", self.indexed_after),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.chain(self.meta.into_iter().map(|(key, value)| (format!("meta.{key}"), value))).collect()
    }
}

impl Search {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let client = Client::new(settings)?;
        let mut query = self.filter.query();
        query.push(("limit".to_owned(), self.limit.to_string()));
        let given = [("q", self.text), ("provider", self.provider), ("collection", self.collection)];
        query.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        let reply = match &self.file {
            None => client.get(&["search", "images"], &query).await?,
            Some(file) => {
                let bytes = tokio::fs::read(file).await;
                let bytes = bytes.map_err(|source| CliError::File { path: file.clone(), source })?;
                by_image(&client, &query, file_name(file), bytes.into()).await?
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

pub(super) async fn by_image<Q: Serialize + Sync + ?Sized>(
    client: &Client,
    query: &Q,
    name: String,
    bytes: Bytes,
) -> Result<Reply, CliError> {
    client.upload(&["search", "images"], query, name, bytes).await
}

/// Formats the results as a table.
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

fn file_name(file: &Path) -> String {
    file.file_name().map_or_else(|| "file".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_parameters_of_the_query_string() {
        let filter = Filter {
            format: Some("png".to_owned()),
            min_height: Some(7),
            meta: vec![
                parse_pair("taxon=Felis catus").unwrap(),
                parse_pair("a=b=c").unwrap(),
                parse_pair("empty=").unwrap(),
            ],
            ..Filter::default()
        };
        let parameters: Vec<_> = filter.query().into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
        assert_eq!(parameters, ["format:png", "min_height:7", "meta.taxon:Felis catus", "meta.a:b=c", "meta.empty:"]);
        assert!(parse_pair("taxon").is_err() && parse_pair("=x").is_err());
    }
}
