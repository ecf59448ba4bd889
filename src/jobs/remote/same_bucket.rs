//! Checks that a worker reads the bucket that the job lists. The same name and the same keys can exist at another
//! service, with other images.

use std::time::Duration;

use futures::StreamExt;
use serde::{Deserialize, Serialize};

use crate::domain::ImageUri;
use crate::jobs::error::JobsError;
use crate::jobs::remote::worker_job::WorkerJob;
use crate::source::{ImageSource, Scope, SourceError};

/// Maximum time of one read for this check. Without a result, the worker is accepted: it waits for its bucket as a
/// member of the job, so that the job's status says so.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a worker reads at the URI that the service named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectRead {
    /// An object.
    Found {
        /// Its URI.
        uri: ImageUri,
        /// Its ETag, if the bucket reports it.
        etag: Option<String>,
        /// Its size, if the bucket reports it.
        size_bytes: Option<u64>,
    },
    /// No object.
    Missing {
        /// The URI.
        uri: ImageUri,
    },
    /// The worker could not read it, or it was compared when the worker joined first.
    NotCompared,
}

impl ObjectRead {
    /// Reads an object up to the beginning of its body.
    pub async fn read(source: &dyn ImageSource, uri: &ImageUri) -> Self {
        let Ok(opened) = tokio::time::timeout(TIMEOUT, source.open(uri, None)).await else { return Self::NotCompared };
        match opened {
            Ok(opened) => Self::Found { uri: uri.clone(), etag: opened.etag.clone(), size_bytes: opened.size_bytes },
            Err(SourceError::Missing(_)) => Self::Missing { uri: uri.clone() },
            Err(error) => {
                tracing::debug!(%error, "an object could not be read for the comparison with the service");
                Self::NotCompared
            }
        }
    }

    /// Returns its URI and its ETag as they were received, or empty texts.
    pub(crate) fn texts(&self) -> (&str, &str) {
        match self {
            Self::Found { uri, etag, .. } => (uri.as_str(), etag.as_deref().unwrap_or_default()),
            Self::Missing { uri } => (uri.as_str(), ""),
            Self::NotCompared => ("", ""),
        }
    }

    fn uri(&self) -> Option<&ImageUri> {
        match self {
            Self::Found { uri, .. } | Self::Missing { uri } => Some(uri),
            Self::NotCompared => None,
        }
    }

    /// Whether both are certainly not the same object.
    fn differs_from(&self, other: &Self) -> bool {
        fn differ<T: PartialEq>(one: Option<&T>, two: Option<&T>) -> bool {
            one.zip(two).is_some_and(|(one, two)| one != two)
        }
        match (self, other) {
            (Self::Found { etag, size_bytes, .. }, Self::Found { etag: other_etag, size_bytes: other_size, .. }) => {
                differ(etag.as_ref(), other_etag.as_ref()) || differ(size_bytes.as_ref(), other_size.as_ref())
            }
            (Self::Missing { .. }, Self::Found { .. }) => true,
            _ => false,
        }
    }
}

impl std::fmt::Display for ObjectRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Found { etag, size_bytes, .. } => {
                let size = size_bytes.map_or_else(|| "an object".to_owned(), |bytes| format!("{bytes} bytes"));
                write!(f, "{size}, ETag {}", etag.as_deref().unwrap_or("unknown"))
            }
            Self::Missing { .. } => f.write_str("no object"),
            Self::NotCompared => f.write_str("not compared"),
        }
    }
}

impl WorkerJob {
    /// Returns an object of the job that a worker reads before it joins, if there is one.
    pub(super) async fn object_to_compare(&self) -> Option<ImageUri> {
        let spec = &self.job.spec;
        let scope = Scope { bucket: spec.bucket.clone(), prefix: spec.prefix.clone(), start_after: None };
        let mut listing = self.jobs.0.pipeline.source().list(&scope);
        let first = async {
            while let Some(Ok(image)) = listing.next().await {
                if !image.uri.key().ends_with('/') {
                    return Some(image.uri);
                }
            }
            None
        };
        tokio::time::timeout(TIMEOUT, first).await.ok().flatten()
    }

    /// Compares what a worker read with what this service reads at the same URI.
    ///
    /// # Errors
    /// [`JobsError::WorkerRefused`] if they are not the same object.
    pub(super) async fn compare_object(&self, worker: &ObjectRead) -> Result<(), JobsError> {
        let Some(uri) = worker.uri() else { return Ok(()) };
        if uri.bucket() != self.job.spec.bucket {
            return Err(JobsError::WorkerRefused(format!("the worker read {uri}, which is not in the job's bucket")));
        }
        let service = ObjectRead::read(self.jobs.0.pipeline.source().as_ref(), uri).await;
        if worker.differs_from(&service) {
            return Err(JobsError::WorkerRefused(format!(
                "the worker reads another bucket than the job: at {uri} it finds {worker}, the service finds {service} \
                 (S3_ENDPOINT of the worker)"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(etag: Option<&str>, size_bytes: Option<u64>) -> ObjectRead {
        ObjectRead::Found { uri: ImageUri::new("b", "k"), etag: etag.map(str::to_owned), size_bytes }
    }

    #[test]
    fn objects_differ_only_if_something_that_both_know_differs() {
        let one = found(Some("a"), Some(3));
        for same in [one.clone(), found(None, Some(3)), found(Some("a"), None), found(None, None)] {
            assert!(!same.differs_from(&one) && !one.differs_from(&same), "{same}");
        }
        for other in [found(Some("b"), Some(3)), found(Some("a"), Some(4)), found(None, Some(4))] {
            assert!(other.differs_from(&one), "{other}");
        }
        let missing = ObjectRead::Missing { uri: ImageUri::new("b", "k") };
        assert!(missing.differs_from(&one) && !missing.differs_from(&missing.clone()));
        assert!(!one.differs_from(&missing), "it was deleted meanwhile");
        assert!(!ObjectRead::NotCompared.differs_from(&one));
    }
}
