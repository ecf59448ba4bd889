//! Adapters for the services of AWS that deliver events of a bucket: `sqs` is the queue from which mirrors take events, `sns`
//! verifies the messages of topics.

mod queue_url;
mod settings;
mod sns;
mod sqs;

pub use queue_url::QueueUrl;
pub use settings::AwsSettings;
pub use sns::{SnsClient, SnsConnection};
pub use sqs::{QueueSettings, SqsQueue};
