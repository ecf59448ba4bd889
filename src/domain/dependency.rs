//! How a dependency (the bucket, the embedding provider, a store) failed, in text that can be shown to a client.

use std::fmt;
use std::time::Duration;

use super::FailureClass;

/// A dependency's failure, reduced to what a caller needs to know. The dependency's own error text is in `detail`,
/// which is for the log and never for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependencyError {
    /// `s3`, `local`, `clip`, `qdrant`, `embedded`…
    pub dependency: String,
    /// The kind of failure.
    pub failure: FailureKind,
    /// The dependency's own error text, for the log. For [`FailureKind::Misconfigured`], a sentence that can be shown
    /// to a client.
    pub detail: String,
}

/// The name of the model in this process. It receives no requests, so a message must not state that it refused one.
const LOCAL_MODEL: &str = "local";

impl std::error::Error for DependencyError {}

impl fmt::Display for DependencyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dependency, failure, detail } = self;
        if dependency == LOCAL_MODEL && *failure == FailureKind::Refused {
            return f.write_str(detail);
        }
        write!(f, "{dependency} {failure}: {detail}")
    }
}

impl DependencyError {
    /// Returns the text for a client: the kind of failure and, if the operator must change something, what it is.
    pub fn for_client(&self) -> String {
        match self.failure {
            FailureKind::Misconfigured => self.to_string(),
            FailureKind::Refused if self.dependency == LOCAL_MODEL => {
                format!("the model cannot be used: check {}", self.settings())
            }
            FailureKind::Refused => format!("{} {}: check {}", self.dependency, self.failure, self.settings()),
            FailureKind::Unavailable { .. }
            | FailureKind::TimedOut
            | FailureKind::Busy { .. }
            | FailureKind::Full
            | FailureKind::Failed => format!("{} {}", self.dependency, self.failure),
        }
    }

    /// Returns the settings to check if the dependency refuses the requests of this service.
    pub(crate) fn settings(&self) -> &'static str {
        match &*self.dependency {
            LOCAL_MODEL => "CLIP_MODEL and, for a model of the hub, HF_ENDPOINT and HF_TOKEN",
            "clip" | "openai" | "multi2vec" => "CLIP_URL, CLIP_MODEL and CLIP_API_KEY",
            "ollama" => "OLLAMA_BASE_URL, OLLAMA_VISION_MODEL, OLLAMA_MODEL and CLIP_API_KEY",
            "qdrant" => "QDRANT_URL and QDRANT_API_KEY",
            "weaviate" => "WEAVIATE_URL, WEAVIATE_GRPC_URL and WEAVIATE_API_KEY",
            "s3" => "S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY",
            _ => "its settings",
        }
    }
}

/// Who is responsible for an error. The adapter that creates the error decides this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureAttribution {
    /// One image is: it fails with this class, and the other images continue.
    Image(FailureClass),
    /// The dependency is: the job waits for it.
    Dependency,
    /// The operator is: the job stops and names the setting to change; no image is counted as failed.
    Operator,
}

/// What an operator has to change before the job can continue: a setting, a key, the clock, the bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}: {advice}")]
pub struct OperatorError {
    /// What is wrong, in text that can be shown to a client.
    pub problem: String,
    /// What to change, with the name of the setting.
    pub advice: String,
    /// The dependency's own error text, for the log.
    pub detail: String,
}

/// Returns the message of an error, followed by the messages of its sources, without repetitions: the errors of reqwest,
/// tonic and the AWS SDK name the cause only in their sources. For `detail`.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        source = inner.source();
    }
    message
}

/// The kinds of failure that a client can distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailureKind {
    /// The dependency is known to be down: its breaker is open, or it has not passed its probe.
    #[error("is unavailable")]
    Unavailable {
        /// How long to wait before the next try.
        retry_after: Duration,
    },
    /// The dependency did not answer in time.
    #[error("did not answer in time")]
    TimedOut,
    /// The dependency accepts no more calls at the moment.
    #[error("is busy")]
    Busy {
        /// How long to wait before the next try.
        retry_after: Duration,
    },
    /// The dependency has no space left on its disk: an operator must free some.
    #[error("has no space left")]
    Full,
    /// The dependency answered with an error, or could not be reached.
    #[error("failed")]
    Failed,
    /// The dependency refuses every request: the key, the address or the model is wrong. A retry does not help, the
    /// settings must change.
    #[error("refused the request")]
    Refused,
    /// The dependency cannot be used as it is configured: its version is too old, or one of its limits is too low. The
    /// error's `detail` is a sentence that says what the operator must change; it can be shown to a client.
    #[error("cannot be used")]
    Misconfigured,
}

/// Delay before the next try of a dependency whose disk is full.
const FULL_DISK_RETRY_DELAY: Duration = Duration::from_secs(5);

impl FailureKind {
    /// Whether the same call can succeed later.
    pub fn is_temporary(self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::TimedOut | Self::Busy { .. } | Self::Full | Self::Failed => true,
            Self::Refused | Self::Misconfigured => false,
        }
    }

    /// Whether the dependency is down, as opposed to reachable but busy or refusing. Breakers count only this.
    pub fn is_down(self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::TimedOut | Self::Failed => true,
            Self::Busy { .. } | Self::Full | Self::Refused | Self::Misconfigured => false,
        }
    }

    /// How long the dependency asked the caller to wait.
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after } | Self::Busy { retry_after } => Some(retry_after),
            Self::Full => Some(FULL_DISK_RETRY_DELAY),
            Self::TimedOut | Self::Failed | Self::Refused | Self::Misconfigured => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_the_detail_only_of_a_misconfiguration() {
        let error = |failure| DependencyError { dependency: "q".into(), failure, detail: "upgrade it".into() };
        assert_eq!(error(FailureKind::Misconfigured).for_client(), "q cannot be used: upgrade it");
        assert_eq!(error(FailureKind::Refused).for_client(), "q refused the request: check its settings");
        let qdrant = DependencyError { dependency: "qdrant".into(), ..error(FailureKind::Refused) };
        assert_eq!(qdrant.for_client(), "qdrant refused the request: check QDRANT_URL and QDRANT_API_KEY");
        let local = DependencyError { dependency: "local".into(), ..error(FailureKind::Refused) };
        assert_eq!(local.to_string(), "upgrade it", "nothing was requested");
        assert!(local.for_client().starts_with("the model cannot be used: check CLIP_MODEL"));
        assert!(!FailureKind::Misconfigured.is_temporary() && !FailureKind::Misconfigured.is_down());
    }
}
