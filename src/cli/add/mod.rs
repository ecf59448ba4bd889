//! `glimpse add`: uploads files through the service, which stores and indexes them.

mod upload;
mod watch;

use std::path::{Path, PathBuf};

use clap::Args;
use futures::stream::{self, StreamExt};

use self::upload::{Added, Uploader};
use super::client::Client;
use super::out::{self, Output};
use super::seed::{files, key};
use super::values::local_path;
use super::{CliError, Ending, client_help};
use crate::config::Settings;
use crate::domain::image_format::has_image_extension;

const EXAMPLES: &str = "\
Examples:
  glimpse add cat.jpg dog.jpg                     add two images, as images/cat.jpg and images/dog.jpg
  glimpse add ~/Pictures --prefix holidays/       add the images of a folder, with its subfolders
  glimpse add --watch ~/Pictures                  the same, and then every file that is new or changed, until Ctrl-C

The service stores each file in its bucket and indexes it; an object with the same key is replaced. GLIMPSE_UPLOADS of the
service says which keys are allowed. Files of a folder without the extension of an image are left out. With --watch, a file
is added when its size has not changed for a second; a file that is deleted stays in the bucket.

Exit codes: 0 done; 1 failed; 2 usage; 3 done, but some files were not added.";

/// Number of concurrent uploads.
const CONCURRENCY: usize = 4;

#[derive(Debug, Args)]
#[command(after_help = client_help(EXAMPLES))]
pub(super) struct Add {
    /// Files, and folders with their subfolders
    #[arg(value_name = "FILE", required_unless_present = "watch", value_parser = local_path())]
    paths: Vec<PathBuf>,
    /// Add the files of this folder, and then those that are new or changed
    #[arg(long, value_name = "DIR", value_parser = local_path())]
    watch: Option<PathBuf>,
    /// The folder of the keys; a `/` is added if it does not end with one
    #[arg(long, default_value = "images/")]
    prefix: String,
    /// The bucket [default: S3_BUCKET of the service]
    #[arg(long)]
    bucket: Option<String>,
    /// The collection [default: VECTOR_DB_COLLECTION of the service]
    #[arg(long)]
    collection: Option<String>,
    #[command(flatten)]
    output: Output,
}

/// A file and the key of its object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NewFile {
    path: PathBuf,
    key: String,
}

impl Add {
    pub(super) async fn run(self, settings: &Settings) -> Result<Ending, CliError> {
        let prefix = match self.prefix.as_str() {
            prefix if prefix.is_empty() || prefix.ends_with('/') => prefix.to_owned(),
            prefix => format!("{prefix}/"),
        };
        let uploader = Uploader::new(Client::new(settings)?, self.bucket, self.collection, self.output).await?;
        // Before the first upload, so that no change is missed.
        let watcher = self.watch.as_deref().map(|folder| watch::Watcher::start(folder, &prefix)).transpose()?;
        let (mut paths, list_prefix) = (self.paths, prefix.clone());
        paths.extend(self.watch);
        let listed = tokio::task::spawn_blocking(move || list(&paths, &list_prefix)).await;
        let files = listed.map_err(|error| CliError::TaskPanicked(error.to_string()))??;
        let bar = out::bar("adding", files.len() as u64);
        let mut added = Added::default();
        let mut results = stream::iter(files)
            .map(|file| {
                let uploader = &uploader;
                async move { uploader.add(&file).await }
            })
            .buffered(CONCURRENCY);
        while let Some(result) = results.next().await {
            let result = result?;
            bar.suspend(|| uploader.print(&result))?;
            added.count(&result);
            bar.inc(1);
        }
        drop(results);
        bar.finish_and_clear();
        if !self.output.json {
            out::line(added.summary(&prefix))?;
        }
        if let Some(watcher) = watcher {
            watcher.run(&uploader).await?;
        }
        Ok(added.ending())
    }
}

/// Returns the files with their keys. A file that is named is included whatever its extension is.
fn list(paths: &[PathBuf], prefix: &str) -> Result<Vec<NewFile>, CliError> {
    let mut all = Vec::new();
    for path in paths {
        let unreadable = |source| CliError::File { path: path.clone(), source };
        if std::fs::metadata(path).map_err(unreadable)?.is_dir() {
            let found = files(path).map_err(unreadable)?.into_iter().map(|file| in_folder(path, file, prefix));
            all.extend(found.filter(|file| has_image_extension(&file.key)));
        } else {
            let folder = path.parent().unwrap_or(Path::new(""));
            all.push(NewFile { key: key(prefix, folder, path), path: path.clone() });
        }
    }
    Ok(all)
}

fn in_folder(folder: &Path, path: PathBuf, prefix: &str) -> NewFile {
    NewFile { key: key(prefix, folder, &path), path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_files_and_the_images_of_folders_are_added() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("f/sub")).unwrap();
        for file in ["note.txt", "f/a.jpg", "f/b.txt", "f/sub/c.PNG"] {
            std::fs::write(folder.path().join(file), file).unwrap();
        }
        let found = list(&[folder.path().join("note.txt"), folder.path().join("f")], "p/").unwrap();
        let keys: Vec<&str> = found.iter().map(|file| file.key.as_str()).collect();
        assert_eq!(keys, ["p/note.txt", "p/a.jpg", "p/sub/c.PNG"]);
        assert!(list(&[folder.path().join("none")], "").is_err());
    }
}
