//! `glimpse seed`: uploads images to the bucket.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use futures::stream::{self, Stream, TryStreamExt};
use indicatif::ProgressBar;

use super::values::{count, local_path};
use super::{CliError, Ending, out};
use crate::app::Bucket;
use crate::config::Settings;
use crate::demo;
use crate::domain::ImageFormat;

const EXAMPLES: &str = "\
Examples:
  glimpse seed                                          upload the 26 demo images, under images/
  glimpse seed --count 1000                             upload the demo images and variations of them
  glimpse seed --from ~/Pictures --prefix holidays/     upload a folder, with its subfolders

The bucket is created if it does not exist. It is the one at S3_ENDPOINT, with the credentials that the settings name.
The embedded bucket (S3_ENDPOINT=embedded, the default) is available while the service runs.";

/// Number of concurrent uploads.
const CONCURRENCY: usize = 16;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Seed {
    /// Number of images, at least 1: first the demo images, then variations of them [default: each demo image once]
    #[arg(long, value_name = "N", conflicts_with = "from", allow_negative_numbers = true, value_parser = count::<usize, 1>)]
    count: Option<usize>,
    /// Upload every file of this folder and its subfolders instead of the demo images
    #[arg(long, value_name = "DIR", value_parser = local_path())]
    from: Option<PathBuf>,
    /// The bucket [default: S3_BUCKET]
    #[arg(long)]
    bucket: Option<String>,
    /// The folder of the keys; a `/` is added if it does not end with one
    #[arg(long, default_value = "images/")]
    prefix: String,
}

impl Seed {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let bucket = Bucket::open(settings).await?;
        let name = self.bucket.as_deref().unwrap_or(&settings.source.s3_bucket);
        bucket.ensure(name).await?;
        let prefix = match self.prefix.as_str() {
            prefix if prefix.is_empty() || prefix.ends_with('/') => prefix.to_owned(),
            prefix => format!("{prefix}/"),
        };
        let uploaded = match &self.from {
            Some(folder) => upload_folder(&bucket, name, &prefix, folder).await?,
            None => upload_demo_images(&bucket, name, &prefix, self.count.unwrap_or_else(demo::count)).await?,
        };
        let plural = if uploaded == 1 { "" } else { "s" };
        out::line(format!("uploaded {uploaded} object{plural} to {name}/{prefix}"))?;
        Ok(Ending::Done)
    }
}

/// Uploads demo images. Returns their number.
pub(super) async fn upload_demo_images(
    bucket: &Bucket,
    name: &str,
    prefix: &str,
    count: usize,
) -> Result<u64, CliError> {
    let images = stream::iter((0..count).map(Ok));
    put_all(bucket, name, images, count, async |n: usize| {
        // Variations are decoded and encoded, which would block the threads of the runtime.
        let made = tokio::task::spawn_blocking(move || demo::image(n)).await;
        let (file, bytes) = made.map_err(|error| CliError::TaskPanicked(error.to_string()))??;
        Ok((format!("{prefix}{file}"), bytes))
    })
    .await
}

async fn upload_folder(bucket: &Bucket, name: &str, prefix: &str, folder: &Path) -> Result<u64, CliError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| CliError::File { path, source }
    };
    let root = folder.to_owned();
    let listed = tokio::task::spawn_blocking(move || files(&root)).await;
    let files = listed.map_err(|error| CliError::TaskPanicked(error.to_string()))?.map_err(unreadable(folder))?;
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
    items: impl Stream<Item = Result<T, CliError>>,
    count: usize,
    make: impl AsyncFn(T) -> Result<(String, Bytes), CliError>,
) -> Result<u64, CliError> {
    let bar: ProgressBar = out::bar("seeding", count as u64);
    let (bar, make) = (&bar, &make);
    let outcome = items
        .try_for_each_concurrent(CONCURRENCY, |item| async move {
            let (key, bytes) = make(item).await?;
            bucket.put(name, &key, bytes, content_type(&key)).await?;
            bar.inc(1);
            Ok(())
        })
        .await;
    bar.finish_and_clear();
    outcome.map(|()| bar.position())
}

/// Returns every file of a folder and its subfolders, sorted. Symbolic links are not followed, because they can form a
/// cycle.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
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

/// Returns the key of a file in a folder.
pub(super) fn key(prefix: &str, folder: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(folder).unwrap_or(file);
    let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
    format!("{prefix}{}", parts.join("/"))
}

fn content_type(key: &str) -> &'static str {
    ImageFormat::from_key(key).map_or("application/octet-stream", ImageFormat::content_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_folder_become_keys() {
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
