//! Checks the version of the server. Before version 1.16 Qdrant silently drops the metadata of a collection, which
//! records that this service created it and which space its vectors have. Such a server is refused before a collection
//! is created.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::QdrantIndex;
use super::error::trouble;
use crate::domain::{DependencyError, FailureKind};
use crate::index::IndexError;

/// The first version that stores metadata: major and minor.
const MINIMUM: (u32, u32) = (1, 16);
/// The time limit for the version request. A proxy may leave it without a reply.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a known version is not checked again during writes. A server can be replaced by an older one.
const KNOWN_VERSION_TTL: Duration = Duration::from_secs(5);
/// How long an unknown version is not checked again.
const UNKNOWN_VERSION_TTL: Duration = Duration::from_mins(5);

/// Returns the major and minor part of a version and ignores the rest: `1.16.0-dev` is 1.16.
fn parse_version(version: &str) -> Option<(u32, u32)> {
    let version = version.trim().trim_start_matches(['v', 'V']);
    let (major, rest) = version.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Returns the error for a version that is too old; `None` if it is new enough or cannot be parsed.
fn too_old(version: &str) -> Option<DependencyError> {
    let (major, minor) = MINIMUM;
    parse_version(version).filter(|found| *found < MINIMUM)?;
    let version: String = version.chars().filter(|c| !c.is_control()).take(40).collect();
    let detail = format!(
        "the server is Qdrant {version}, but Qdrant {major}.{minor} or newer is required (older versions do not store \
         the metadata of a collection); upgrade the server"
    );
    Some(trouble(FailureKind::Misconfigured, detail))
}

/// Returns the error for a server that did not store the metadata of a collection.
pub(super) fn keeps_no_metadata(collection: &str) -> DependencyError {
    let (major, minor) = MINIMUM;
    let detail = format!(
        "the server did not store the metadata of the new collection `{collection}` and does not report its version; \
         Qdrant {major}.{minor} or newer is required: upgrade the server"
    );
    trouble(FailureKind::Misconfigured, detail)
}

impl QdrantIndex {
    /// Fails if the server reports a version that is too old. A server that does not report its version is accepted
    /// here.
    pub(super) async fn check_version(&self) -> Result<(), IndexError> {
        // Boxed, because the futures of the crate have many kilobytes. Does not use `Client::call`, because that logs a
        // refusal as an error, and a refusal is harmless here.
        let request = Box::pin(self.client.qdrant.health_check());
        let version = match tokio::time::timeout(VERSION_TIMEOUT.min(self.client.limit()), request).await {
            Ok(Ok(reply)) => parse_version(&reply.version).map(|_| reply.version),
            // If the server is down, the next call reports it. A server behind a proxy may hide its version.
            Ok(Err(_)) | Err(_) => None,
        };
        let refused = version.as_deref().and_then(too_old);
        let until = Instant::now() + if version.is_some() { KNOWN_VERSION_TTL } else { UNKNOWN_VERSION_TTL };
        *self.version_checked.lock().unwrap_or_else(PoisonError::into_inner) = refused.is_none().then_some(until);
        refused.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Does the same, unless the version was checked recently.
    pub(super) async fn check_version_again(&self) -> Result<(), IndexError> {
        let checked = *self.version_checked.lock().unwrap_or_else(PoisonError::into_inner);
        match checked {
            Some(until) if Instant::now() < until => Ok(()),
            Some(_) | None => self.check_version().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_1_16_are_too_old_and_unknown_ones_are_accepted() {
        for old in ["1.15.4", "v1.15.4", "1.9.0", "0.11.7", "1.15.0-dev", "1.15"] {
            let message = too_old(old).unwrap().to_string();
            assert!(message.contains(old) && message.contains("1.16"), "{message}");
        }
        for fine in ["1.16.0", "1.16.0-dev", "1.16", "v1.19.0", "2.0.0", "1.100.0", "", "dev", "1", "unknown", "1.x"] {
            assert_eq!(too_old(fine), None, "{fine}");
        }
    }
}
