//! `glimpse collections duplicates`: images that a collection has several times.

use std::fmt::Write as _;

use clap::Args;

use super::name_or_default;
use crate::api::replies::{DuplicatesReply, ErrorReply, ImageSummary};
use crate::cli::CliError;
use crate::cli::client::Client;
use crate::cli::out::{self, Output};

#[derive(Debug, Args)]
pub(super) struct Duplicates {
    /// The name of the collection [default: VECTOR_DB_COLLECTION of the service]
    name: Option<String>,
    /// What is the same: the bytes (identical), or the image (similar: resized, recompressed, mirrored, or cropped by at
    /// most 20 % of each side)
    #[arg(long, value_name = "KIND", default_value = "identical", value_parser = ["identical", "similar"])]
    kind: String,
    /// The store to search: embedded, qdrant or weaviate [default: the first store that has the collection]
    #[arg(long, value_name = "STORE")]
    provider: Option<String>,
    #[command(flatten)]
    output: Output,
}

impl Duplicates {
    /// Prints each group as soon as it is found. With `--json`, prints one JSON object per line.
    pub(super) async fn run(self, client: &Client) -> Result<(), CliError> {
        let name = name_or_default(client, self.name).await?;
        let query = [("kind", Some(self.kind)), ("provider", self.provider)];
        let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let (mut groups, mut images) = (0_usize, 0);
        client
            .lines(&["collections", &name, "duplicates"], &query, |line| {
                // The search can fail after the first groups.
                if let Ok(error) = serde_json::from_slice::<ErrorReply>(line) {
                    return Err(CliError::SearchFailed(error.message));
                }
                let group: DuplicatesReply =
                    serde_json::from_slice(line).map_err(|source| client.invalid_line(source))?;
                groups += 1;
                images += group.total;
                out::line(if self.output.json { String::from_utf8_lossy(line).into_owned() } else { describe(&group) })
            })
            .await?;
        match groups {
            _ if self.output.json => Ok(()),
            0 => out::line(format!("no duplicates in the collection `{name}`")),
            _ => out::line(format!("{groups} groups, {images} images")),
        }
    }
}

fn describe(group: &DuplicatesReply) -> String {
    let mut text = format!("{} {} images", group.total, group.kind);
    for image in &group.images {
        let ImageSummary { s3_uri, width, height, .. } = &image.image;
        let size_bytes = image.size_bytes;
        write!(text, "\n  {s3_uri}  {width}x{height}, {size_bytes} bytes").ok();
    }
    let hidden = group.total.saturating_sub(group.images.len());
    if hidden > 0 { format!("{text}\n  and {hidden} more") } else { text }
}
