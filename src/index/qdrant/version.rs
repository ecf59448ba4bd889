//! The server's version. Before 1.16 Qdrant drops the metadata of a collection silently, and with it the record that a
//! collection is ours and in which space its vectors are. Such a server is refused before anything is made in it.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::QdrantIndex;
use super::error::trouble;
use crate::domain::{DependencyError, Trouble};
use crate::index::IndexError;

/// The first version that keeps metadata: major and minor.
const MINIMUM: (u32, u32) = (1, 16);
/// How long the question after the version may take. A proxy may leave it without an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a version is taken for known while records are written: a server can be replaced by an older one.
const KNOWN: Duration = Duration::from_secs(5);
/// The same for a version that nobody tells us.
const UNKNOWN: Duration = Duration::from_mins(5);

/// Major and minor of a version, whatever is behind them: `1.16.0-dev` is 1.16.
fn parsed(version: &str) -> Option<(u32, u32)> {
    let version = version.trim().trim_start_matches(['v', 'V']);
    let (major, rest) = version.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Why a server of this version is not used; `None` if it is new enough or its version cannot be read.
fn too_old(version: &str) -> Option<DependencyError> {
    let (major, minor) = MINIMUM;
    parsed(version).filter(|found| *found < MINIMUM)?;
    let version: String = version.chars().filter(|c| !c.is_control()).take(40).collect();
    let detail = format!(
        "the server is Qdrant {version}, and Qdrant {major}.{minor} or newer is needed (older versions do not keep the \
         metadata of a collection); upgrade the server"
    );
    Some(trouble(Trouble::Misconfigured, detail))
}

/// Why a server that did not keep the metadata of a collection is not used.
pub(super) fn keeps_no_metadata(collection: &str) -> DependencyError {
    let (major, minor) = MINIMUM;
    let detail = format!(
        "the server did not keep the metadata of the new collection `{collection}`, and does not tell its version; Qdrant \
         {major}.{minor} or newer is needed: upgrade the server"
    );
    trouble(Trouble::Misconfigured, detail)
}

impl QdrantIndex {
    /// Refuses a server that says that it is too old. One that does not tell its version passes here.
    pub(super) async fn check_version(&self) -> Result<(), IndexError> {
        // Boxed: the crate's futures are of many kilobytes. Past `Client::call`, which logs a refusal: here it is none.
        let asked = Box::pin(self.client.qdrant.health_check());
        let version = match tokio::time::timeout(PATIENCE.min(self.client.limit()), asked).await {
            Ok(Ok(reply)) => parsed(&reply.version).map(|_| reply.version),
            // A server that is down says so in the call that follows. One behind a proxy may hide its version.
            Ok(Err(_)) | Err(_) => None,
        };
        let refused = version.as_deref().and_then(too_old);
        let until = Instant::now() + if version.is_some() { KNOWN } else { UNKNOWN };
        *self.version_checked.lock().unwrap_or_else(PoisonError::into_inner) = refused.is_none().then_some(until);
        refused.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The same, unless it was checked a moment ago.
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
    fn versions_before_1_16_are_too_old_and_what_is_no_version_is_not_judged() {
        for old in ["1.15.4", "v1.15.4", "1.9.0", "0.11.7", "1.15.0-dev", "1.15"] {
            let said = too_old(old).unwrap().to_string();
            assert!(said.contains(old) && said.contains("1.16"), "{said}");
        }
        for fine in ["1.16.0", "1.16.0-dev", "1.16", "v1.19.0", "2.0.0", "1.100.0", "", "dev", "1", "unknown", "1.x"] {
            assert_eq!(too_old(fine), None, "{fine}");
        }
    }
}
