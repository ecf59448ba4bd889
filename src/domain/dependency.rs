//! How a dependency (the bucket, the embedding provider, a store) failed, in words that a client may see.

use std::time::Duration;

use super::FailureClass;

/// A dependency's failure, reduced to what a caller needs to know. What it said itself is in `detail`,
/// which is for the log and never for a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{dependency} {trouble}: {detail}")]
pub struct DependencyError {
    /// `s3`, `local`, `clip`, `qdrant`, `embedded`…
    pub dependency: String,
    /// What kind of failure.
    pub trouble: Trouble,
    /// The dependency's own words, for the log. For [`Trouble::Misconfigured`] a sentence that a client may see.
    pub detail: String,
}

impl DependencyError {
    /// What a client may see: the kind of failure, and for [`Trouble::Misconfigured`] what has to be changed.
    pub fn for_client(&self) -> String {
        match self.trouble {
            Trouble::Misconfigured => self.to_string(),
            Trouble::Unavailable { .. }
            | Trouble::TimedOut
            | Trouble::Busy { .. }
            | Trouble::Full
            | Trouble::Failed
            | Trouble::Refused => format!("{} {}", self.dependency, self.trouble),
        }
    }
}

/// Whose failure an error is. An adapter decides it where it makes the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureAttribution {
    /// One image's: it fails with this class, and the others go on.
    Image(FailureClass),
    /// The dependency's: it is waited for.
    Dependency,
    /// The operator's: the job stops and names what to set; no image is counted as failed.
    Operator,
}

/// What an operator has to change before anything can go on: a setting, a key, the clock, the bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}: {advice}")]
pub struct OperatorError {
    /// What is wrong, in words that a client may see.
    pub problem: String,
    /// What to set, with the name of the setting.
    pub advice: String,
    /// The dependency's own words, for the log.
    pub detail: String,
}

/// What an error says and what its sources say: those of reqwest and tonic tell only there what happened. For `detail`.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        words = format!("{words}: {inner}");
        source = inner.source();
    }
    words
}

/// The kinds of failure that a client is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Known to be down: its breaker is open, or it has not passed its probe.
    #[error("is unavailable")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// Did not answer in time.
    #[error("did not answer in time")]
    TimedOut,
    /// Has no room for more at the moment.
    #[error("is busy")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// Has no space left on its disk: somebody must make room.
    #[error("has no space left")]
    Full,
    /// Answered with an error, or could not be reached.
    #[error("failed")]
    Failed,
    /// Will not deal with us at all: a wrong key, address or model. No retry helps, the settings must change.
    #[error("refused us")]
    Refused,
    /// Cannot be used as it is set up: its version is too old, or one of its limits is too low. The error's `detail` is a
    /// sentence that says what its operator must change, and that a client may see.
    #[error("cannot be used")]
    Misconfigured,
}

/// How often it is looked whether there is room again.
const FULL_PAUSE: Duration = Duration::from_secs(5);

impl Trouble {
    /// Whether the same call may succeed later.
    pub fn may_pass(self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::TimedOut | Self::Busy { .. } | Self::Full | Self::Failed => true,
            Self::Refused | Self::Misconfigured => false,
        }
    }

    /// Whether it is down, rather than alive and busy or unwilling: what breakers count.
    pub fn is_down(self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::TimedOut | Self::Failed => true,
            Self::Busy { .. } | Self::Full | Self::Refused | Self::Misconfigured => false,
        }
    }

    /// How long the other side asked us to wait.
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after } | Self::Busy { retry_after } => Some(retry_after),
            Self::Full => Some(FULL_PAUSE),
            Self::TimedOut | Self::Failed | Self::Refused | Self::Misconfigured => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_must_be_changed_reaches_a_client_in_words() {
        let error = |trouble| DependencyError { dependency: "q".into(), trouble, detail: "words".into() };
        assert_eq!(error(Trouble::Misconfigured).for_client(), "q cannot be used: words");
        assert_eq!(error(Trouble::Refused).for_client(), "q refused us");
        assert!(!Trouble::Misconfigured.may_pass() && !Trouble::Misconfigured.is_down());
    }
}
