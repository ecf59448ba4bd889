//! Checks the queue of events, if one is set: it exists, and the credentials are accepted.

use super::{CheckResult, Doctor, Problem, finding};
use crate::app::queue;
use crate::mirrors::QueueError;

impl Doctor {
    /// Checks the queue of `GLIMPSE_SQS_URL`. Returns `None` if none is set. No message is received.
    pub async fn queue(&self) -> Option<CheckResult> {
        let url = self.settings.aws.glimpse_sqs_url.as_ref()?;
        let check = async {
            let queue = queue::open(&self.settings).await;
            let Some(queue) = queue else { return Ok("not set".to_owned()) };
            let count = queue.count_messages().await;
            let count = count.map_err(|error| Problem::new(&error, advice(&error)))?;
            Ok(format!("{count} messages wait in {url} (GLIMPSE_SQS_URL)"))
        };
        // Boxed to keep the futures of the callers small.
        Some(Box::pin(finding("queue", check)).await)
    }
}

fn advice(error: &QueueError) -> &'static str {
    match error {
        QueueError::Missing(_) => "set GLIMPSE_SQS_URL to the URL of a queue that exists",
        QueueError::NoCredentials(_) => {
            "give the service credentials of AWS: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role; if the \
             bucket is on AWS, S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY"
        }
        QueueError::Denied(_) => {
            "allow the credentials sqs:ReceiveMessage, sqs:DeleteMessage and, for this check, sqs:GetQueueAttributes on the queue"
        }
        QueueError::Refused(_) => "check GLIMPSE_SQS_URL, and S3_REGION if the URL does not name the region",
        QueueError::Unavailable(_) => "check GLIMPSE_SQS_URL and whether this machine reaches the queue",
    }
}
