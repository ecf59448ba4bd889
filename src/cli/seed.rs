//! `glimpse seed`: puts images into the bucket.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use futures::stream::{self, Stream, TryStreamExt};
use indicatif::ProgressBar;

use super::{CliError, Ending, bars, out};
use crate::app::Bucket;
use crate::config::Settings;
use crate::demo;

const EXAMPLES: &str = "\
Examples:
  glimpse seed                                          the demo images, under images/
  glimpse seed --count 1000                             those, and variations of them
  glimpse seed --from ~/Pictures --prefix holidays/     a folder of your own, with its folders

The bucket is made where it does not exist. The embedded one (S3_ENDPOINT=embedded) is there while the service runs.";

/// Uploads at once.
const LANES: usize = 16;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Seed {
    /// How many images: the demo images, and then variations of them [default: each image once]
    #[arg(long, value_name = "N", conflicts_with = "from")]
    count: Option<usize>,
    /// Upload every file of this folder instead, and of the folders in it
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// The bucket; S3_BUCKET where it is left out
    #[arg(long)]
    bucket: Option<String>,
    /// What keys begin with
    #[arg(long, default_value = "images/")]
    prefix: String,
}

impl Seed {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let bucket = Bucket::open(settings).await?;
        let name = self.bucket.as_deref().unwrap_or(&settings.source.s3_bucket);
        bucket.ensure(name).await?;
        let put = match &self.from {
            Some(folder) => folder_into(&bucket, name, &self.prefix, folder).await?,
            None => pictures_into(&bucket, name, &self.prefix, self.count.unwrap_or_else(demo::count)).await?,
        };
        out::line(format!("{put} objects in {name}/{}", self.prefix))?;
        Ok(Ending::Done)
    }
}

/// Uploads demo images; says how many.
pub(super) async fn pictures_into(bucket: &Bucket, name: &str, prefix: &str, count: usize) -> Result<u64, CliError> {
    let images = stream::iter((0..count).map(Ok));
    put_all(bucket, name, images, count, async |n: usize| {
        // Some are decoded and encoded again, and that is no work for the runtime's own threads.
        let made = tokio::task::spawn_blocking(move || demo::image(n)).await;
        let (file, bytes) = made.map_err(|error| CliError::Broken(error.to_string()))??;
        Ok((format!("{prefix}{file}"), bytes))
    })
    .await
}

async fn folder_into(bucket: &Bucket, name: &str, prefix: &str, folder: &Path) -> Result<u64, CliError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| CliError::File { path, source }
    };
    let root = folder.to_owned();
    let listed = tokio::task::spawn_blocking(move || files(&root)).await;
    let files = listed.map_err(|error| CliError::Broken(error.to_string()))?.map_err(unreadable(folder))?;
    let count = files.len();
    put_all(bucket, name, stream::iter(files.into_iter().map(Ok)), count, async |file: PathBuf| {
        let bytes = tokio::fs::read(&file).await.map_err(unreadable(&file))?;
        Ok((key(prefix, folder, &file), bytes.into()))
    })
    .await
}

async fn put_all<T>(
    bucket: &Bucket,
    name: &str,
    things: impl Stream<Item = Result<T, CliError>>,
    count: usize,
    make: impl AsyncFn(T) -> Result<(String, Bytes), CliError>,
) -> Result<u64, CliError> {
    let bar: ProgressBar = bars::bar("seeding", count as u64);
    let (bar, make) = (&bar, &make);
    let outcome = things
        .try_for_each_concurrent(LANES, |thing| async move {
            let (key, bytes) = make(thing).await?;
            bucket.put(name, &key, bytes, content_type(&key)).await?;
            bar.inc(1);
            Ok(())
        })
        .await;
    bar.finish_and_clear();
    outcome.map(|()| bar.position())
}

/// Every file of a folder and of the folders in it, in order. Links are not followed: they can go in circles.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

fn key(prefix: &str, folder: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(folder).unwrap_or(file);
    let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
    format!("{prefix}{}", parts.join("/"))
}

fn content_type(key: &str) -> &'static str {
    let extension = key.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    match extension.as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "webp" => "image/webp",
        "gif" => "image/gif",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_becomes_keys() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("b/c")).unwrap();
        for file in ["b/c/two +.PNG", "one.jpg"] {
            std::fs::write(folder.path().join(file), file).unwrap();
        }
        let found = files(folder.path()).unwrap();
        let keys: Vec<_> = found.iter().map(|file| key("p/", folder.path(), file)).collect();
        assert_eq!(keys, ["p/b/c/two +.PNG", "p/one.jpg"]);
        assert_eq!(content_type(&keys[0]), "image/png");
        assert_eq!(content_type("p/README"), "application/octet-stream");
        assert!(files(&folder.path().join("none")).is_err());
    }
}
