//! Why the model of a collection cannot be used.

use crate::domain::{CollectionName, DependencyError, FailureKind, ModelRecord};
use crate::embed::EmbedError;

/// The name of a model in this process in errors.
const LOCAL: &str = "local";

/// Why the model of a collection cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ModelError {
    /// It is the model of the settings.
    #[error(transparent)]
    Default(EmbedError),
    /// It is another model than that of the settings.
    #[error("{}", .0.message(&.0.error))]
    Recorded(Box<RecordedModel>),
}

/// A model that cannot be used, and its collection.
#[derive(Clone, Debug)]
pub struct RecordedModel {
    /// The collection.
    pub collection: CollectionName,
    /// Its model.
    pub model: ModelRecord,
    /// The number of the generation, if it is not the current one.
    pub generation: Option<u32>,
    /// Whether the collection has a generation that a rollback can go back to.
    pub has_previous: bool,
    /// Whether it has a generation that a switch can use.
    pub has_ready: bool,
    /// Why the model cannot be used.
    pub error: EmbedError,
}

impl RecordedModel {
    fn message(&self, reason: &dyn std::fmt::Display) -> String {
        let Self { collection, model, generation, has_previous, has_ready, .. } = self;
        if self.is_busy() {
            return format!("the model {model} of the collection `{collection}` cannot be used now: {reason}");
        }
        if let Some(number) = generation {
            return format!(
                "generation {number} of the collection `{collection}` has the model {model}, which cannot be used: {reason}. Make \
                 this model usable again, or remove the generation: `glimpse collections drop-generation {collection} {number}`"
            );
        }
        let rollback = match has_previous {
            true => format!(", go back to the previous generation: `glimpse collections rollback {collection}`"),
            false => String::new(),
        };
        let change = match has_ready {
            true => format!("switch to the generation that is ready: `glimpse collections switch {collection}`"),
            false => format!("change the model of the collection: `glimpse collections rebuild {collection}`"),
        };
        format!(
            "the collection `{collection}` uses the model {model}, which is not that of the settings and cannot be used: \
             {reason}. Make this model usable again{rollback}, or {change}"
        )
    }

    /// Whether the model can be used, but not at this moment.
    pub(super) fn is_busy(&self) -> bool {
        matches!(&self.error, EmbedError::Dependency(DependencyError { failure: FailureKind::Busy { .. }, .. }))
    }

    /// Returns the message for a client. The details of a dependency are for the log, except what the operator must set.
    pub fn for_client(&self) -> String {
        match &self.error {
            // The details of a model in this process say what the operator must change.
            EmbedError::Dependency(down) if down.dependency == LOCAL => self.message(&self.error),
            EmbedError::Dependency(down) => self.message(&down.for_client()),
            error => self.message(error),
        }
    }
}

impl ModelError {
    /// Returns the message for a client.
    pub fn for_client(&self) -> String {
        match self {
            Self::Default(EmbedError::Dependency(down)) => down.for_client(),
            Self::Default(error) => error.to_string(),
            Self::Recorded(recorded) => recorded.for_client(),
        }
    }

    /// Returns the error of the model.
    pub fn embed_error(&self) -> &EmbedError {
        match self {
            Self::Default(error) => error,
            Self::Recorded(recorded) => &recorded.error,
        }
    }
}
