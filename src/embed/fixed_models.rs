//! [`FixedModels`]: models that are in memory already.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;

use super::{EmbedError, EmbeddingModel, EmbeddingModels, ImageEmbeddingProvider};
use crate::domain::{DEFAULT_PROVIDER, DependencyError, FailureKind, InvalidModel, ModelRecord, ModelRequest};

/// A fixed number of models that are in memory already, for tests and for programs that bring their own provider.
#[derive(Clone)]
pub struct FixedModels(Vec<Arc<EmbeddingModel>>);

impl FixedModels {
    /// Creates it with one model, which is the default.
    pub fn new(model: &str, provider: Arc<dyn ImageEmbeddingProvider>) -> Self {
        Self(Vec::new()).and_model(model, provider)
    }

    /// Adds another model.
    #[must_use]
    pub fn and_model(mut self, model: &str, provider: Arc<dyn ImageEmbeddingProvider>) -> Self {
        let record = ModelRecord {
            provider: DEFAULT_PROVIDER.to_owned(),
            kind: "local".to_owned(),
            model: model.to_owned(),
            precision: "auto".to_owned(),
            resize: "crop".to_owned(),
            pad_color: None,
            color: None,
            target_size: None,
        };
        self.0.push(Arc::new(EmbeddingModel { record, jobs: provider.clone(), searches: provider }));
        self
    }
}

impl fmt::Debug for FixedModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FixedModels").field(&self.0).finish()
    }
}

#[async_trait]
impl EmbeddingModels for FixedModels {
    fn default_record(&self) -> ModelRecord {
        self.0[0].record.clone()
    }

    async fn get(&self, record: &ModelRecord) -> Result<Arc<EmbeddingModel>, EmbedError> {
        let found = self.0.iter().find(|model| model.record == *record).cloned();
        let (dependency, detail) = ("local".to_owned(), format!("the model {record} is not in memory"));
        found.ok_or_else(|| DependencyError { dependency, failure: FailureKind::Refused, detail }.into())
    }

    fn max_in_memory(&self) -> NonZeroUsize {
        NonZeroUsize::MAX
    }

    fn resolve(&self, base: &ModelRecord, request: &ModelRequest) -> Result<ModelRecord, InvalidModel> {
        let ModelRequest { provider, model, precision, resize } = request.clone();
        Ok(ModelRecord {
            provider: provider.unwrap_or_else(|| base.provider.clone()),
            model: model.unwrap_or_else(|| base.model.clone()),
            precision: precision.unwrap_or_else(|| base.precision.clone()),
            resize: resize.unwrap_or_else(|| base.resize.clone()),
            ..base.clone()
        })
    }
}
