//! Tests of the registry with models of fixed vectors.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::domain::{DEFAULT_PROVIDER, Embedding, Space};
use crate::embed::ImageEmbeddingProvider;
use crate::imaging::{PreparedImage, Preprocessing};

/// A model of this process. It fails while `failures` is above 0.
struct Fake(Arc<AtomicUsize>);

#[async_trait]
impl ImageEmbeddingProvider for Fake {
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing::crop(8)
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        if self.0.load(Ordering::SeqCst) > 0 {
            self.0.fetch_sub(1, Ordering::SeqCst);
            return Err(record::unusable("the folder does not exist".to_owned()));
        }
        let (model, preprocessing) = ("fake".to_owned(), "crop-8-bicubic".to_owned());
        Ok(Arc::new(Space { model, dimension: 2, preprocessing, probes: Vec::new() }))
    }

    async fn embed_image_batch(&self, _: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        Ok(Vec::new())
    }

    async fn embed_text(&self, _: &str) -> Result<Embedding, EmbedError> {
        Err(EmbedError::Unsupported)
    }
}

/// Counts the models that it makes, and takes some time for each.
#[derive(Clone, Default)]
struct Factory {
    made: Arc<AtomicUsize>,
    failures: Arc<AtomicUsize>,
}

#[async_trait]
impl ModelFactory for Factory {
    async fn make(&self, _: &ModelRecord, _: Option<LocalProvider>) -> Result<Made, EmbedError> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.made.fetch_add(1, Ordering::SeqCst);
        let provider = || Arc::new(Fake(self.failures.clone()));
        Ok(Made { jobs: provider(), searches: provider(), parts: Parts::default() })
    }
}

fn local(model: &str, resize: &str) -> ModelRecord {
    ModelRecord {
        provider: DEFAULT_PROVIDER.to_owned(),
        kind: "local".to_owned(),
        model: model.to_owned(),
        precision: "auto".to_owned(),
        resize: resize.to_owned(),
        pad_color: None,
        color: None,
        target_size: None,
    }
}

/// A registry for two models, of which the default is one.
async fn registry() -> (ModelRegistry, Factory) {
    let (factory, settings) = (Factory::default(), Settings::default());
    let registry = ModelRegistry::new(Box::new(factory.clone()), settings, local("default", "crop"));
    registry.get(&local("default", "crop")).await.unwrap();
    (registry, factory)
}

#[tokio::test(start_paused = true)]
async fn several_callers_load_a_model_once() {
    let (registry, factory) = registry().await;
    let record = local("a", "crop");
    let (one, two, three) = tokio::join!(registry.get(&record), registry.get(&record), registry.get(&record));
    assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()) && three.is_ok());
    assert_eq!(factory.made.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn the_model_that_was_idle_for_the_longest_is_dropped_but_not_the_default() {
    let (registry, factory) = registry().await;
    for model in ["a", "b", "a"] {
        registry.get(&local(model, "crop")).await.unwrap();
    }
    assert_eq!(factory.made.load(Ordering::SeqCst), 4, "`a` was dropped for `b`");
    registry.get(&local("default", "crop")).await.unwrap();
    registry.get(&local("a", "pad")).await.unwrap();
    registry.get(&local("a", "crop")).await.unwrap();
    assert_eq!(factory.made.load(Ordering::SeqCst), 5, "both ways to prepare images share the networks of `a`");
    registry.get(&local("b", "crop")).await.unwrap();
    assert_eq!(lock(&registry.held).len(), 2, "both are dropped together");
}

#[tokio::test(start_paused = true)]
async fn a_model_in_use_is_not_dropped_and_the_error_names_the_setting() {
    let (registry, _) = registry().await;
    // A user may hold only one of the providers.
    let used = registry.get(&local("a", "crop")).await.unwrap().jobs.clone();
    let error = registry.get(&local("b", "crop")).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("GLIMPSE_MODELS_IN_MEMORY"), "{error}");
    let other = local("b", "crop");
    let waiting = registry.get(&other);
    let release = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(used);
    };
    tokio::join!(waiting, release).0.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_not_cached() {
    let (registry, factory) = registry().await;
    factory.failures.store(1, Ordering::SeqCst);
    let error = registry.get(&local("a", "crop")).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    registry.get(&local("a", "crop")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn services_do_not_count_as_models_in_memory() {
    let (registry, _) = registry().await;
    let mut held = Vec::new();
    for number in 0..10 {
        let record = ModelRecord { kind: "clip".to_owned(), ..local(&number.to_string(), "crop") };
        held.push(registry.get(&record).await.unwrap());
    }
    held.push(registry.get(&local("a", "crop")).await.unwrap());
    assert_eq!(lock(&registry.held).len(), 12);
}
