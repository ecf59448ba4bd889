//! The connection: the crate's client, held to our time limit.

use std::time::Duration;

use futures::future::BoxFuture;
use qdrant_client::qdrant::{PointsOperationResponse, UpdateStatus};
use qdrant_client::{Qdrant, QdrantError};

use super::QdrantSettings;
use super::error::{Fault, trouble};
use super::url::grpc_url;
use crate::domain::Trouble;
use crate::index::InvalidStore;

/// Until a connection is given up.
const CONNECT: Duration = Duration::from_secs(5);

/// One server. Connects with the first call, and again whenever that is needed.
pub(super) struct Client {
    pub(super) qdrant: Qdrant,
    limit: Duration,
}

impl Client {
    pub(super) fn new(settings: QdrantSettings) -> Result<Self, InvalidStore> {
        let QdrantSettings { url, api_key, timeout } = settings;
        let (url, derived) = grpc_url(&url)?;
        if derived {
            tracing::info!(%url, "QDRANT_URL names Qdrant's REST port; its gRPC port is used");
        }
        let key = api_key.reveal();
        // The crate would repeat a key that is no header's value in its error message.
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let said =
                "QDRANT_API_KEY holds a space, a line's end or a character outside ASCII; a key has none of them";
            return Err(InvalidStore(said.to_owned()));
        }
        let mut config = Qdrant::from_url(&url)
            // The limit of a call is kept by `call`, over both attempts that the crate may make.
            .timeout(timeout + Duration::from_secs(1))
            .connect_timeout(CONNECT)
            // It would block this thread and print to the standard output.
            .skip_compatibility_check();
        if !key.is_empty() {
            config.set_api_key(key);
        }
        let invalid = |error: QdrantError| InvalidStore(format!("QDRANT_URL cannot be used: {error}"));
        Ok(Self { qdrant: config.build().map_err(invalid)?, limit: timeout })
    }

    /// How long one call may take.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Waits for an answer, but not longer than the limit. Boxed: the crate's futures are of many kilobytes.
    pub(super) fn call<'a, T: 'a>(
        &self,
        answer: impl Future<Output = Result<T, QdrantError>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Fault>> {
        let limit = self.limit;
        Box::pin(async move {
            match tokio::time::timeout(limit, answer).await {
                Ok(answer) => answer.map_err(Fault::from),
                Err(_) => Err(Fault::timed_out(limit)),
            }
        })
    }

    /// The same for a write, which has to be more than accepted: it has to be done.
    pub(super) async fn write(
        &self,
        answer: impl Future<Output = Result<PointsOperationResponse, QdrantError>> + Send,
    ) -> Result<(), Fault> {
        let result = self.call(answer).await?.result.unwrap_or_default();
        let kind = match result.status() {
            UpdateStatus::Completed => return Ok(()),
            // OK in the protocol's eyes, and yet it may never happen.
            UpdateStatus::WaitTimeout | UpdateStatus::Acknowledged => Trouble::TimedOut,
            UpdateStatus::ClockRejected | UpdateStatus::UnknownUpdateStatus => Trouble::Failed,
        };
        Err(Fault::Server(trouble(kind, format!("a write ended as {}", result.status().as_str_name()))))
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
    async fn a_client_is_made_without_a_server() {
        assert!(Client::new(settings("http://127.0.0.1:1", "")).is_ok());
        assert!(Client::new(settings("https://127.0.0.1:1", "key")).is_ok());
    }

    #[test]
    fn a_key_that_no_header_can_hold_is_refused_without_being_repeated() {
        for key in ["hunter2\n", "hunter 2", "hünter2"] {
            let said = Client::new(settings("http://127.0.0.1:1", key)).err().unwrap().to_string();
            assert!(said.contains("QDRANT_API_KEY") && !said.contains(key), "{said}");
        }
    }
}
