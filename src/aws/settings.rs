//! The setting of the queue.

use serde::{Deserialize, Serialize};

use super::QueueUrl;

/// The settings of services of AWS other than the bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AwsSettings {
    /// `GLIMPSE_SQS_URL`: the URL of a queue of SQS with the events of buckets; empty (default): none.
    pub glimpse_sqs_url: Option<QueueUrl>,
}
