//! Uploads one file, and counts and prints the results.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::time::Instant;

use super::NewFile;
use crate::api::replies::{ObjectReply, StatusReply};
use crate::cli::client::Client;
use crate::cli::out::{self, Output};
use crate::cli::{CliError, Ending};

/// How long the upload of a file is repeated while the service is busy or restarts.
const RETRY_WINDOW: Duration = Duration::from_secs(30);
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Uploads files to one service.
pub(super) struct Uploader {
    client: Client,
    query: Vec<(&'static str, String)>,
    max_bytes: u64,
    output: Output,
}

/// What happened to one file.
#[derive(Debug, Serialize)]
pub(super) struct FileResult {
    file: PathBuf,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<ObjectReply>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The numbers of the files.
#[derive(Debug, Default)]
pub(super) struct Added {
    indexed: u64,
    /// Files that were stored and are indexed later.
    later: u64,
    failed: u64,
}

impl Uploader {
    pub(super) async fn new(
        client: Client,
        bucket: Option<String>,
        collection: Option<String>,
        output: Output,
    ) -> Result<Self, CliError> {
        let status: StatusReply = client.get(&["status"], &()).await?.read()?;
        let options = [("bucket", bucket), ("collection", collection)];
        let query = options.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Ok(Self { client, query, max_bytes: status.max_image_bytes as u64, output })
    }

    /// Uploads a file. Fails if the other files would fail too.
    pub(super) async fn add(&self, file: &NewFile) -> Result<FileResult, CliError> {
        let result = match self.read(file).await {
            Ok(bytes) => self.send(file, bytes).await,
            Err(error) => Err(error),
        };
        let (object, error) = match result {
            Ok(object) => (Some(object), None),
            Err(error) => (None, Some(explain(error)?)),
        };
        Ok(FileResult { file: file.path.clone(), key: file.key.clone(), object, error })
    }

    async fn read(&self, file: &NewFile) -> Result<Bytes, CliError> {
        let unreadable = |source| CliError::File { path: file.path.clone(), source };
        let size = tokio::fs::metadata(&file.path).await.map_err(unreadable)?.len();
        if size > self.max_bytes {
            let allowed = self.max_bytes;
            let problem = format!("has {size} bytes; at most {allowed} are allowed (IMAGE_MAX_SIZE_MB of the service)");
            return Err(CliError::Content { path: file.path.clone(), problem });
        }
        Ok(tokio::fs::read(&file.path).await.map_err(unreadable)?.into())
    }

    async fn send(&self, file: &NewFile, bytes: Bytes) -> Result<ObjectReply, CliError> {
        let until = Instant::now() + RETRY_WINDOW;
        loop {
            match self.client.put_file(&["objects", &file.key], &self.query, bytes.clone()).await {
                Ok(reply) => return reply.read(),
                Err(error) if error.is_temporary() && Instant::now() < until => {
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Prints a result: with `--json` each, otherwise only a failure.
    pub(super) fn print(&self, result: &FileResult) -> Result<(), CliError> {
        if self.output.json {
            return out::line(serde_json::to_string(result).unwrap_or_default());
        }
        if let Some(error) = &result.error {
            out::error_line(format_args!("{}: {error}", result.file.display()));
        }
        Ok(())
    }

    /// Prints a result in any case.
    pub(super) fn print_each(&self, result: &FileResult) -> Result<(), CliError> {
        if !self.output.json
            && let Some(object) = &result.object
        {
            return out::line(format_args!("added {}", object.s3_uri));
        }
        self.print(result)
    }
}

/// Returns the message for an error of one file. Other errors would happen to every file.
fn explain(error: CliError) -> Result<String, CliError> {
    match error {
        CliError::Refused { status: 401 | 403, .. } => Err(error),
        CliError::Refused { .. } | CliError::File { .. } => Ok(error.chain()),
        CliError::Content { problem, .. } => Ok(problem),
        error => Err(error),
    }
}

impl Added {
    pub(super) fn count(&mut self, result: &FileResult) {
        match &result.object {
            Some(object) if object.indexed => self.indexed += 1,
            Some(_) => self.later += 1,
            None => self.failed += 1,
        }
    }

    pub(super) fn summary(&self, prefix: &str) -> String {
        let Self { indexed, later, failed } = self;
        let place = if prefix.is_empty() { "the bucket" } else { prefix };
        let added = Some(format!("added {} {} to {place}", indexed + later, plural(indexed + later)));
        let later = (*later > 0).then(|| format!("the service has still to index {later} of them"));
        let files = if *failed == 1 { "file was" } else { "files were" };
        let failed = (*failed > 0).then(|| format!("{failed} {files} not added"));
        [added, later, failed].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    pub(super) fn ending(&self) -> Ending {
        match (self.failed, self.indexed + self.later) {
            (0, _) => Ending::Done,
            (_, 0) => Ending::Failed,
            _ => Ending::DoneWithFailures,
        }
    }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "file" } else { "files" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_whether_files_are_missing() {
        let ending = |indexed, later, failed| Added { indexed, later, failed }.ending();
        assert_eq!(ending(0, 0, 0), Ending::Done);
        assert_eq!(ending(1, 1, 0), Ending::Done);
        assert_eq!(ending(1, 0, 1), Ending::DoneWithFailures);
        assert_eq!(ending(0, 0, 2), Ending::Failed);
        let text = Added { indexed: 1, later: 1, failed: 1 }.summary("images/");
        assert_eq!(text, "added 2 files to images/; the service has still to index 1 of them; 1 file was not added");
    }
}
