//! Adapters for the services of AWS that deliver events of a bucket. `sqs` is the queue from which mirrors take events.

mod queue_url;
mod settings;
mod sqs;

pub use queue_url::QueueUrl;
pub use settings::AwsSettings;
pub use sqs::{QueueSettings, SqsQueue};
