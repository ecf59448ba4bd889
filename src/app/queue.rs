//! The queue of events, if the settings name one.

use crate::aws::{QueueSettings, SqsQueue};
use crate::config::Settings;
use crate::source::S3Endpoint;

/// Returns the queue. Makes no network call yet: a queue that does not answer now may do so later.
pub(super) async fn open(settings: &Settings) -> Option<SqsQueue> {
    let url = settings.aws.glimpse_sqs_url.clone()?;
    let source = &settings.source;
    // The key of a bucket elsewhere is not one of AWS.
    let is_aws_key = source.s3_endpoint == S3Endpoint::Aws && !source.s3_access_key_id.is_empty();
    let credentials =
        is_aws_key.then(|| (source.s3_access_key_id.clone(), source.s3_secret_access_key.reveal().to_owned()));
    Some(SqsQueue::new(QueueSettings { url, region: source.s3_region.clone(), credentials }).await)
}

/// Returns the start line that names the queue.
pub(super) fn start_line(settings: &Settings) -> Option<String> {
    let url = settings.aws.glimpse_sqs_url.as_ref()?;
    Some(format!("queue    {url} (GLIMPSE_SQS_URL)"))
}
