//! The queue of events, if the settings name one.

use std::sync::Arc;

use crate::aws::{QueueSettings, SqsQueue};
use crate::config::Settings;
use crate::mirrors::Mirrors;
use crate::shutdown::Shutdown;
use crate::source::{S3Endpoint, SourceSettings};

/// Returns the queue. Makes no network call yet: a queue that does not answer now may do so later.
pub(super) async fn open(settings: &Settings) -> Option<SqsQueue> {
    let url = settings.aws.glimpse_sqs_url.clone()?;
    let source = &settings.source;
    let is_valid = is_on_aws(source) || url.region().is_none();
    let credentials = (is_valid && !source.s3_access_key_id.is_empty())
        .then(|| (source.s3_access_key_id.clone(), source.s3_secret_access_key.reveal().to_owned()));
    Some(SqsQueue::new(QueueSettings { url, region: source.s3_region.clone(), credentials }).await)
}

/// Starts to take events from the queue, if there is one.
pub(super) async fn start(settings: &Settings, mirrors: &Mirrors, shutdown: &Shutdown) {
    if let Some(queue) = open(settings).await {
        shutdown.spawn("queue of events", mirrors.poll(Arc::new(queue)));
    }
}

/// Whether the key of the bucket is one of AWS. That of another service is not valid for a queue of AWS.
fn is_on_aws(source: &SourceSettings) -> bool {
    match &source.s3_endpoint {
        S3Endpoint::Aws => true,
        S3Endpoint::Embedded => false,
        S3Endpoint::Url(url) => url.url().host_str().is_some_and(|host| host.contains(".amazonaws.")),
    }
}

/// Returns the start line that names the queue.
pub(super) fn start_line(settings: &Settings) -> Option<String> {
    let url = settings.aws.glimpse_sqs_url.as_ref()?;
    Some(format!("queue    {url} (GLIMPSE_SQS_URL)"))
}
