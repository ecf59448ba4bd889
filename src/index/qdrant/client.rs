//! The connection to Qdrant: the client of the crate, with our own time limit for each call.

use std::time::Duration;

use futures::future::BoxFuture;
use qdrant_client::qdrant::{PointsOperationResponse, UpdateStatus};
use qdrant_client::{Qdrant, QdrantError};

use super::QdrantSettings;
use super::error::{Fault, trouble};
use super::url::grpc_url;
use crate::domain::FailureKind;
use crate::index::InvalidStore;

/// The time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one server. It connects at the first call and reconnects when needed.
pub(super) struct Client {
    pub(super) qdrant: Qdrant,
    limit: Duration,
}

impl Client {
    pub(super) fn new(settings: QdrantSettings) -> Result<Self, InvalidStore> {
        let QdrantSettings { url, api_key, timeout } = settings;
        let (url, derived) = grpc_url(&url)?;
        if derived {
            tracing::info!(%url, "QDRANT_URL has Qdrant's REST port; the gRPC port is used instead");
        }
        let key = api_key.reveal();
        // The error message of the crate would contain a key that is not a valid header value.
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = "QDRANT_API_KEY contains a space, a line break or a non-ASCII character; remove it";
            return Err(InvalidStore(message.to_owned()));
        }
        let mut config = Qdrant::from_url(&url)
            // `call` enforces the time limit of a call, over both attempts that the crate may make.
            .timeout(timeout + Duration::from_secs(1))
            .connect_timeout(CONNECT_TIMEOUT)
            // The check would block this thread and print to the standard output.
            .skip_compatibility_check();
        if !key.is_empty() {
            config.set_api_key(key);
        }
        let invalid = |error: QdrantError| InvalidStore(format!("QDRANT_URL cannot be used: {error}"));
        Ok(Self { qdrant: config.build().map_err(invalid)?, limit: timeout })
    }

    /// Returns the time limit of one call.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Waits for the reply, up to the time limit. Boxed, because the futures of the crate have many kilobytes.
    pub(super) fn call<'a, T: 'a>(
        &self,
        reply: impl Future<Output = Result<T, QdrantError>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Fault>> {
        let limit = self.limit;
        Box::pin(async move {
            match tokio::time::timeout(limit, reply).await {
                Ok(reply) => reply.map_err(Fault::from),
                Err(_) => Err(Fault::timed_out(limit)),
            }
        })
    }

    /// Does the same for a write. A write must be completed; that the server accepted it is not enough.
    pub(super) async fn write(
        &self,
        reply: impl Future<Output = Result<PointsOperationResponse, QdrantError>> + Send,
    ) -> Result<(), Fault> {
        let result = self.call(reply).await?.result.unwrap_or_default();
        let kind = match result.status() {
            UpdateStatus::Completed => return Ok(()),
            // These are successes in the protocol, but the write may never complete.
            UpdateStatus::WaitTimeout | UpdateStatus::Acknowledged => FailureKind::TimedOut,
            UpdateStatus::ClockRejected | UpdateStatus::UnknownUpdateStatus => FailureKind::Failed,
        };
        Err(Fault::Server(trouble(kind, format!("a write ended with the status {}", result.status().as_str_name()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    fn settings(url: &str, key: &str) -> QdrantSettings {
        QdrantSettings { url: url.to_owned(), api_key: Secret::new(key), timeout: Duration::from_secs(1) }
    }

    #[tokio::test]
    async fn a_client_can_be_created_without_a_server() {
        assert!(Client::new(settings("http://127.0.0.1:1", "")).is_ok());
        assert!(Client::new(settings("https://127.0.0.1:1", "key")).is_ok());
    }

    #[test]
    fn a_key_that_is_not_a_valid_header_is_refused_and_not_shown() {
        for key in ["hunter2\n", "hunter 2", "hünter2"] {
            let message = Client::new(settings("http://127.0.0.1:1", key)).err().unwrap().to_string();
            assert!(message.contains("QDRANT_API_KEY") && !message.contains(key), "{message}");
        }
    }
}
