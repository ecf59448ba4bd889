//! The connection to Qdrant: the client of the crate, with our own time limit for each call, and the check of the
//! server's version.
//!
//! Before version 1.16 Qdrant silently drops the metadata of a collection, which records that this service created it
//! and which space its vectors have. Such a server is refused before a collection is created.

use std::borrow::Cow;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use qdrant_client::qdrant::{PointsOperationResponse, UpdateStatus};
use qdrant_client::{Qdrant, QdrantError};

use super::config::{QdrantSettings, check_key, grpc_url};
use super::error::{Fault, dependency_error};
use crate::domain::{DependencyError, FailureKind, InvalidSetting};
use crate::lock::lock;
use crate::telemetry::traces;

/// The time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The first version that stores metadata: major and minor.
const MIN_VERSION: (u32, u32) = (1, 16);
/// The time limit for the version request. A proxy may leave it without a reply.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a known version is not checked again during writes. A server can be replaced by an older one.
const KNOWN_VERSION_TTL: Duration = Duration::from_secs(5);
/// How long an unknown version is not checked again.
const UNKNOWN_VERSION_TTL: Duration = Duration::from_mins(5);

/// A client of one server. It connects at the first call and reconnects when needed.
pub(super) struct Client {
    qdrant: Qdrant,
    timeout: Duration,
    /// Until when the version of the server is not checked again.
    version_valid_until: Mutex<Option<Instant>>,
}

impl Client {
    pub(super) fn new(settings: QdrantSettings) -> Result<Self, InvalidSetting> {
        let QdrantSettings { url, api_key, timeout, quantization: _ } = settings;
        let (url, derived) = grpc_url(&url);
        if derived {
            tracing::info!(%url, "QDRANT_URL has Qdrant's REST port; the gRPC port is used instead");
        }
        // The error message of the crate would contain a key that is not a valid header value.
        check_key(&api_key)?;
        let mut config = Qdrant::from_url(&url)
            // `call` enforces the time limit of a call, over both attempts that the crate may make.
            .timeout(timeout + Duration::from_secs(1))
            .connect_timeout(CONNECT_TIMEOUT)
            // The check would block this thread and print to the standard output.
            .skip_compatibility_check();
        if !api_key.is_empty() {
            config.set_api_key(api_key.reveal());
        }
        let invalid = |error: QdrantError| InvalidSetting(format!("QDRANT_URL cannot be used: {error}"));
        Ok(Self { qdrant: config.build().map_err(invalid)?, timeout, version_valid_until: Mutex::default() })
    }

    /// Returns the client for one call. In a trace, it sends the headers of the current span.
    pub(super) fn qdrant(&self) -> Cow<'_, Qdrant> {
        let mut client = Cow::Borrowed(&self.qdrant);
        for (name, value) in &traces::headers() {
            if let Ok(value) = value.to_str() {
                client = Cow::Owned(client.with_header(name.as_str(), value));
            }
        }
        client
    }

    /// Waits for the reply, up to the time limit. Boxed, because the futures of the crate have many kilobytes.
    pub(super) fn call<'a, T: 'a>(
        &self,
        reply: impl Future<Output = Result<T, QdrantError>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Fault>> {
        let timeout = self.timeout;
        Box::pin(async move {
            match tokio::time::timeout(timeout, reply).await {
                Ok(reply) => reply.map_err(Fault::from),
                Err(_) => Err(Fault::timed_out(timeout)),
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
        let detail = format!("a write ended with the status {}", result.status().as_str_name());
        Err(Fault::Server(dependency_error(kind, detail)))
    }

    /// Fails if the server reports a version that is too old. A server that does not report its version is accepted
    /// here.
    pub(super) async fn check_version(&self) -> Result<(), DependencyError> {
        // Boxed, because the futures of the crate have many kilobytes. Does not use `call`, because that logs a refusal
        // as an error, and a refusal is harmless here.
        let request = Box::pin(self.qdrant.health_check());
        let version = match tokio::time::timeout(VERSION_TIMEOUT.min(self.timeout), request).await {
            Ok(Ok(reply)) => parse_version(&reply.version).map(|_| reply.version),
            // If the server is down, the next call reports it. A server behind a proxy may hide its version.
            Ok(Err(_)) | Err(_) => None,
        };
        let too_old = version.as_deref().and_then(too_old_error);
        let until = Instant::now() + if version.is_some() { KNOWN_VERSION_TTL } else { UNKNOWN_VERSION_TTL };
        *lock(&self.version_valid_until) = too_old.is_none().then_some(until);
        too_old.map_or(Ok(()), Err)
    }

    /// Does the same, unless the version was checked recently.
    pub(super) async fn recheck_version(&self) -> Result<(), DependencyError> {
        let valid_until = *lock(&self.version_valid_until);
        match valid_until {
            Some(until) if Instant::now() < until => Ok(()),
            Some(_) | None => self.check_version().await,
        }
    }
}

/// Returns the major and minor part of a version and ignores the rest: `1.16.0-dev` is 1.16.
fn parse_version(version: &str) -> Option<(u32, u32)> {
    let version = version.trim().trim_start_matches(['v', 'V']);
    let (major, rest) = version.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Returns the error for a version that is too old; `None` if it is new enough or cannot be parsed.
fn too_old_error(version: &str) -> Option<DependencyError> {
    let (major, minor) = MIN_VERSION;
    parse_version(version).filter(|found| *found < MIN_VERSION)?;
    let version: String = version.chars().filter(|c| !c.is_control()).take(40).collect();
    let detail = format!(
        "the server is Qdrant {version}, but Qdrant {major}.{minor} or newer is required (older versions do not store \
         the metadata of a collection); upgrade the server"
    );
    Some(dependency_error(FailureKind::Misconfigured, detail))
}

/// Returns the error for a server that did not store the metadata of a collection.
pub(super) fn no_metadata_error(collection: &str) -> DependencyError {
    let (major, minor) = MIN_VERSION;
    let detail = format!(
        "the server did not store the metadata of the new collection `{collection}` and does not report its version; \
         Qdrant {major}.{minor} or newer is required: upgrade the server"
    );
    dependency_error(FailureKind::Misconfigured, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;
    use crate::index::Quantization;

    fn settings(url: &str, key: &str) -> QdrantSettings {
        let (url, api_key, timeout) = (url.parse().unwrap(), Secret::new(key), Duration::from_secs(1));
        QdrantSettings { url, api_key, timeout, quantization: Quantization::Int8 }
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

    #[test]
    fn versions_before_1_16_are_too_old_and_unknown_ones_are_accepted() {
        for old in ["1.15.4", "v1.15.4", "1.9.0", "0.11.7", "1.15.0-dev", "1.15"] {
            let message = too_old_error(old).unwrap().to_string();
            assert!(message.contains(old) && message.contains("1.16"), "{message}");
        }
        for fine in ["1.16.0", "1.16.0-dev", "1.16", "v1.19.0", "2.0.0", "1.100.0", "", "dev", "1", "unknown", "1.x"] {
            assert_eq!(too_old_error(fine), None, "{fine}");
        }
    }
}
