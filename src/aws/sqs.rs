//! The queue of Amazon SQS, or of a server with the same API.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{Builder, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, QueueAttributeName};

use super::QueueUrl;
use crate::domain::with_causes;
use crate::mirrors::{EventQueue, MAX_QUEUE_MESSAGES, QueueError, QueueMessage};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time until a reply begins: more than a call waits for messages.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time of one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(40);

/// How to reach a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// `GLIMPSE_SQS_URL`
    pub url: QueueUrl,
    /// The region if the URL does not name it.
    pub region: String,
    /// The id and the secret of an access key; `None` for the credentials of the machine.
    pub credentials: Option<(String, String)>,
}

/// A client of one queue.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    url: QueueUrl,
}

impl SqsQueue {
    /// Creates the client. Calls neither the queue nor the service of the credentials.
    pub async fn new(settings: QueueSettings) -> Self {
        let QueueSettings { url, region, credentials } = settings;
        let region = Region::new(url.region().map_or(region, str::to_owned));
        let builder = match credentials {
            Some((id, secret)) => {
                Builder::new().credentials_provider(Credentials::new(id, secret, None, None, "S3_ACCESS_KEY_ID"))
            }
            None => Builder::from(&aws_config::from_env().region(region.clone()).load().await),
        };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT)
            .build();
        let config = builder
            .behavior_version_latest()
            .region(region)
            .endpoint_url(url.endpoint())
            // The task that receives messages repeats failed calls, with growing pauses.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            // While a call waits for messages, no byte arrives.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self { client: Client::from_conf(config), url }
    }

    /// Returns about how many messages wait, if the credentials may ask for it.
    ///
    /// # Errors
    /// [`QueueError`]
    pub async fn count_messages(&self) -> Result<String, QueueError> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let call = self.client.get_queue_attributes().queue_url(self.url.as_str()).attribute_names(name.clone());
        let reply = call.send().await.map_err(|error| queue_error(&error))?;
        let count = reply.attributes().and_then(|attributes| attributes.get(&name));
        Ok(count.cloned().unwrap_or_else(|| "an unknown number of".to_owned()))
    }
}

#[async_trait]
impl EventQueue for SqsQueue {
    async fn receive(&self, wait: Duration) -> Result<Vec<QueueMessage>, QueueError> {
        let call = self
            .client
            .receive_message()
            .queue_url(self.url.as_str())
            .max_number_of_messages(i32::try_from(MAX_QUEUE_MESSAGES).unwrap_or(1))
            .wait_time_seconds(i32::try_from(wait.as_secs()).unwrap_or(0));
        let reply = call.send().await.map_err(|error| queue_error(&error))?;
        let messages = reply.messages.unwrap_or_default().into_iter();
        // A message without a receipt cannot be deleted; the service sends none.
        let messages = messages.filter_map(|message| {
            Some(QueueMessage { body: message.body.unwrap_or_default(), receipt: message.receipt_handle? })
        });
        Ok(messages.collect())
    }

    async fn delete(&self, receipts: &[String]) -> Result<Option<(usize, String)>, QueueError> {
        let entry = |(number, receipt): (usize, &String)| {
            DeleteMessageBatchRequestEntry::builder().id(number.to_string()).receipt_handle(receipt).build()
        };
        let entries: Result<Vec<_>, _> = receipts.iter().enumerate().map(entry).collect();
        let entries = entries.map_err(|error| QueueError::Refused(error.to_string()))?;
        let call = self.client.delete_message_batch().queue_url(self.url.as_str()).set_entries(Some(entries));
        let reply = call.send().await.map_err(|error| queue_error(&error))?;
        let reason = reply.failed().first().map(|failed| {
            let message = failed.message().unwrap_or_default();
            format!("{} {message}", failed.code()).trim_end().to_owned()
        });
        Ok(reason.map(|reason| (reply.failed().len(), reason)))
    }
}

/// Returns the error of the port for a failed call.
fn queue_error<E>(error: &SdkError<E>) -> QueueError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    if let SdkError::ServiceError(service) = error {
        let status = service.raw().status().as_u16();
        let code = service.err().code().unwrap_or_default();
        let answer = format!("{status} {code} {}", service.err().message().unwrap_or_default()).trim_end().to_owned();
        return classify(status, code, answer);
    }
    if has_no_credentials(error) {
        return QueueError::NoCredentials(with_causes(error));
    }
    match error {
        SdkError::ConstructionFailure(_) => QueueError::Refused(with_causes(error)),
        _ => QueueError::Unavailable(with_causes(error)),
    }
}

/// Returns the error for a reply: by its code, and by its status if the code is unknown.
fn classify(status: u16, code: &str, answer: String) -> QueueError {
    const DENIED: [&str; 8] = [
        "AccessDenied",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClient",
    ];
    let code = code.strip_suffix("Exception").unwrap_or(code);
    if code.ends_with("NonExistentQueue") || code.ends_with("QueueDoesNotExist") {
        QueueError::Missing(answer)
    } else if DENIED.iter().any(|denied| code.ends_with(denied)) || matches!(status, 401 | 403) {
        QueueError::Denied(answer)
    } else if status >= 500 || status == 429 || code.contains("Throttl") {
        QueueError::Unavailable(answer)
    } else {
        QueueError::Refused(answer)
    }
}

/// Whether the machine does not provide credentials.
fn has_no_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<CredentialsError>() {
            tracing::debug!(error = %DisplayErrorContext(found), "no credentials for the queue");
            return matches!(
                found,
                CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)
            );
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_says_what_is_wrong() {
        let kind = |status, code: &str| classify(status, code, "x".to_owned());
        for code in
            ["AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "com.amazonaws.sqs#QueueDoesNotExist"]
        {
            assert!(matches!(kind(400, code), QueueError::Missing(_)), "{code}");
        }
        for (status, code) in
            [(403, "AccessDeniedException"), (400, "KmsAccessDenied"), (400, "ExpiredToken"), (403, "")]
        {
            assert!(matches!(kind(status, code), QueueError::Denied(_)), "{code}");
        }
        for (status, code) in [(500, "InternalFailure"), (503, ""), (400, "RequestThrottled"), (429, "")] {
            assert!(matches!(kind(status, code), QueueError::Unavailable(_)), "{code}");
        }
        assert!(matches!(kind(400, "InvalidAddress"), QueueError::Refused(_)));
    }
}
