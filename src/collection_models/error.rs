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
    /// Whether the collection has a generation that a rollback can go back to.
    pub has_previous: bool,
    /// Why the model cannot be used.
    pub error: EmbedError,
}

impl RecordedModel {
    fn message(&self, reason: &dyn std::fmt::Display) -> String {
        let Self { collection, model, has_previous, .. } = self;
        if let EmbedError::Dependency(DependencyError { failure: FailureKind::Busy { .. }, .. }) = &self.error {
            return format!("the model {model} of the collection `{collection}` cannot be used now: {reason}");
        }
        let rollback = match has_previous {
            true => format!(", go back to the previous generation: `glimpse collections rollback {collection}`"),
            false => String::new(),
        };
        format!(
            "the collection `{collection}` uses the model {model}, which is not that of the settings and cannot be used: \
             {reason}. Make this model usable again{rollback}, or change the model of the collection: \
             `glimpse collections rebuild {collection}`"
        )
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
