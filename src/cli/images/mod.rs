//! `glimpse images`: lists indexed images, shows, saves or removes one of them, and restores it.

mod export;
mod list;
mod removed;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::client::Client;
use super::collections::name_or_default;
use super::out::{self, Output};
use super::values::{ImageName, local_path};
use super::{CliError, Ending, client_help, subcommand_help};
use crate::api::replies::{DeletedReply, ImageReply, RestoredReply};
use crate::config::Settings;

const EXAMPLES: &str = "\
Examples:
  glimpse images list                                                   the newest images
  glimpse images list --order random --meta place=CH --limit 10
  glimpse images list --all --output-format csv > images.csv            every image; ndjson has all fields
  glimpse images show s3://pipeline/images/cat.jpg                      its record, with metadata
  glimpse images thumbnail s3://pipeline/images/cat.jpg --output t.jpg  an upright JPEG of at most 256 x 256 pixels
  glimpse images original ID --output cat.jpg                           the file as it is in the bucket
  glimpse images original ID --output - | file -
  glimpse images delete ID                                              remove its record; the object stays in the bucket
  glimpse images delete ID --permanently                                also keep it away from later jobs
  glimpse images removed                                                what was removed permanently
  glimpse images restore s3://pipeline/images/cat.jpg                   let the next job index it again

`glimpse search` prints the URI of each image, and with --json its id too.";

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES), mut_subcommands = |command| subcommand_help("images", EXAMPLES, command))]
pub(super) struct Images {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the images of a collection, page by page
    List(Box<list::List>),
    /// Show the record of an image: format, size in pixels and bytes, metadata and more
    Show {
        #[command(flatten)]
        image: Image,
        #[command(flatten)]
        output: Output,
    },
    /// Save the thumbnail: an upright JPEG of at most 256 x 256 pixels
    Thumbnail {
        #[command(flatten)]
        image: Image,
        #[command(flatten)]
        target: Target,
    },
    /// Save the original file, as it is in the bucket now
    Original {
        #[command(flatten)]
        image: Image,
        #[command(flatten)]
        target: Target,
    },
    /// Remove the record from every store; the object stays in the bucket, and the next job indexes it again
    Delete {
        #[command(flatten)]
        image: Image,
        /// Keep the image away: no job, event or upload indexes it again, until `glimpse images restore`
        #[arg(long)]
        permanently: bool,
        #[command(flatten)]
        output: Output,
    },
    /// List the images that were removed permanently from a collection, the last one first
    Removed(removed::Removed),
    /// Let an image be indexed again that was removed permanently: by the next job, or by an event
    Restore {
        #[command(flatten)]
        image: Image,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Args)]
struct Image {
    /// The URI (s3://bucket/key) or the id of the image
    #[arg(value_name = "URI_OR_ID", value_parser = ImageName::parse)]
    name: ImageName,
    /// The collection [default: VECTOR_DB_COLLECTION of the service]
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
}

#[derive(Debug, Args)]
struct Target {
    /// The file to write, which is replaced if it exists; `-` for standard output
    #[arg(long, short, value_name = "FILE", value_parser = local_path())]
    output: PathBuf,
}

impl Images {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let client = Client::new(settings)?;
        match self.command {
            Command::List(command) => command.run(&client).await?,
            Command::Show { image, output } => {
                let reply = client.get(&["images", &image.id()], &image.query()).await;
                let reply = reply.map_err(|error| image.name.in_error(error))?;
                output.reply(&reply, record)?;
            }
            Command::Thumbnail { image, target } => image.save(&client, "thumbnail", &target.output).await?,
            Command::Original { image, target } => image.save(&client, "original", &target.output).await?,
            Command::Delete { image, permanently, output } => {
                let [collection] = image.query();
                let query = [collection, ("permanently", permanently.then_some("true"))];
                let reply = client.delete(&["images", &image.id()], &query).await;
                let reply = reply.map_err(|error| image.name.in_error(error))?;
                output.reply(&reply, |_: &DeletedReply| {
                    let stays_away = if permanently { ", and it is not indexed again" } else { "" };
                    format!("removed the record of {}; the object stays in the bucket{stays_away}", image.name.given)
                })?;
            }
            Command::Removed(command) => command.run(&client).await?,
            Command::Restore { image, output } => {
                let name = name_or_default(&client, image.collection.clone()).await?;
                let reply = client.delete(&["collections", &name, "removed-images", &image.id()], &()).await;
                let reply = reply.map_err(|error| image.name.in_error(error))?;
                output.reply(&reply, |_: &RestoredReply| {
                    format!("restored {}; the next job that lists it indexes it again", image.name.given)
                })?;
            }
        }
        Ok(Ending::Done)
    }
}

impl Image {
    fn id(&self) -> String {
        self.name.id.to_string()
    }

    fn query(&self) -> [(&'static str, Option<&str>); 1] {
        [("collection", self.collection.as_deref())]
    }

    async fn save(&self, client: &Client, kind: &str, path: &Path) -> Result<(), CliError> {
        let bytes = client.download(&["images", &self.id(), kind], &self.query()).await;
        let bytes = bytes.map_err(|error| self.name.in_error(error))?;
        if path == Path::new("-") {
            return out::bytes(&bytes);
        }
        let written = tokio::fs::write(path, &bytes).await;
        written.map_err(|source| CliError::Write { path: path.to_owned(), source })?;
        out::line(format!("wrote {} bytes to {}", bytes.len(), path.display()))
    }
}

fn record(image: &ImageReply) -> String {
    let mut table = out::table(&["property", "value"]);
    for (name, value) in [
        ("URI", image.s3_uri.clone()),
        ("id", image.id.clone()),
        ("collection", image.collection.clone()),
        ("format", image.format.clone()),
        ("size", format!("{}x{} pixels, {} bytes", image.width, image.height, image.size_bytes)),
        ("frames", image.frames.to_string()),
        ("SHA-256", image.content_sha256.clone()),
        ("ETag", image.etag.clone().unwrap_or_else(|| "-".to_owned())),
        ("thumbnail key", image.thumbnail_key.clone().unwrap_or_else(|| "-".to_owned())),
        ("space", image.space.clone()),
        ("indexed", image.indexed_at.clone()),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    for (name, value) in facts(image) {
        table.add_row([name.to_owned(), value]);
    }
    for (key, value) in &image.meta {
        table.add_row([format!("meta.{key}"), value.clone()]);
    }
    table.to_string()
}

/// Returns what the camera and people wrote into the file, as far as the record has it.
fn facts(image: &ImageReply) -> impl Iterator<Item = (&'static str, String)> {
    let exif = &image.exif;
    let facts = [
        ("taken", image.taken_at.clone()),
        ("camera", image.camera.clone()),
        ("lens", exif.lens.clone()),
        ("location", exif.location.map(|location| format!("{}, {}", location.lat, location.lon))),
        ("rating", exif.rating.map(|stars| stars.to_string())),
        ("title", exif.title.clone()),
        ("caption", exif.caption.clone()),
        ("keywords", Some(exif.keywords.join(", ")).filter(|keywords| !keywords.is_empty())),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?)))
}
