//! Uploads in parts to the embedded S3 server that fail when they are completed.

use std::path::{Path, PathBuf};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use crate::support::TestApp;

/// A client of the embedded bucket, for calls that the service itself does not make.
pub(super) fn client(app: &TestApp) -> Client {
    let [(_, id), (_, secret)] = app.bucket_credentials();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(app.bucket_url())
        .force_path_style(true)
        .credentials_provider(Credentials::new(id, secret, None, None, "test"))
        .build();
    Client::from_conf(config)
}

struct Upload {
    client: Client,
    key: &'static str,
    id: String,
    etag: String,
}

impl Upload {
    /// Starts an upload with one part.
    async fn begin(app: &TestApp, key: &'static str) -> Self {
        let client = client(app);
        let started = client.create_multipart_upload().bucket("pipeline").key(key).send().await.unwrap();
        let id = started.upload_id.unwrap();
        let part = client.upload_part().bucket("pipeline").key(key).upload_id(&id).part_number(1);
        let sent = part.body(b"the only part".to_vec().into()).send().await.unwrap();
        Self { client, key, id, etag: sent.e_tag.unwrap() }
    }

    /// The code of the error, if there is one.
    async fn complete(&self, etag: &str, only_new: bool) -> Result<(), String> {
        let part = CompletedPart::builder().part_number(1).e_tag(etag).build();
        let complete = self.client.complete_multipart_upload().bucket("pipeline").key(self.key).upload_id(&self.id);
        let complete = complete.multipart_upload(CompletedMultipartUpload::builder().parts(part).build());
        let sent = complete.set_if_none_match(only_new.then(|| "*".to_owned())).send().await;
        sent.map(drop).map_err(|error| error.code().unwrap_or("none").to_owned())
    }

    async fn abort(&self) -> Result<(), String> {
        let abort = self.client.abort_multipart_upload().bucket("pipeline").key(self.key).upload_id(&self.id);
        abort.send().await.map(drop).map_err(|error| error.code().unwrap_or("none").to_owned())
    }

    async fn read(&self) -> Vec<u8> {
        let read = self.client.get_object().bucket("pipeline").key(self.key).send().await.unwrap();
        read.body.collect().await.unwrap().to_vec()
    }
}

/// The files of objects and parts.
fn files(folder: &Path) -> Vec<PathBuf> {
    let branches = std::fs::read_dir(folder.join("s3").join("objects")).unwrap();
    branches
        .flat_map(|branch| std::fs::read_dir(branch.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_survives_a_completion_that_fails() {
    let app = TestApp::start().await;
    let upload = Upload::begin(&app, "in parts.jpg").await;
    assert_eq!(upload.complete("\"0\"", false).await, Err("InvalidPart".to_owned()));

    // Writing the part fails once, then works again.
    let part = files(app.data()).remove(0);
    let away = app.data().join("away");
    std::fs::rename(&part, &away).unwrap();
    assert_eq!(upload.complete(&upload.etag, false).await, Err("InternalError".to_owned()));
    std::fs::rename(&away, &part).unwrap();

    // Another client was faster, and the object must not be replaced.
    app.put("in parts.jpg", "another").await;
    assert_eq!(upload.complete(&upload.etag, true).await, Err("PreconditionFailed".to_owned()));
    assert_eq!(upload.read().await, b"another");
    assert_eq!(upload.complete(&upload.etag, false).await, Ok(()));
    assert_eq!(upload.read().await, b"the only part");
    assert_eq!(upload.complete(&upload.etag, false).await, Err("NoSuchUpload".to_owned()));
    assert_eq!(files(app.data()).len(), 1, "the parts are gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_can_be_aborted_after_a_completion_that_failed() {
    let app = TestApp::start().await;
    app.put("a.jpg", "another").await;
    let upload = Upload::begin(&app, "a.jpg").await;
    assert_eq!(upload.complete(&upload.etag, true).await, Err("PreconditionFailed".to_owned()));
    assert_eq!(upload.abort().await, Ok(()));
    assert_eq!(upload.complete(&upload.etag, false).await, Err("NoSuchUpload".to_owned()));
    assert_eq!((upload.read().await, files(app.data()).len()), (b"another".to_vec(), 1));
}
