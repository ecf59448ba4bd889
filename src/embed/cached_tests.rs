use super::*;
use crate::domain::Probe;

/// Records calls; the text `changes` changes the model.
struct Fake {
    space: Mutex<Arc<Space>>,
    calls: Mutex<Vec<String>>,
}

fn space(model: &str) -> Arc<Space> {
    let probes = vec![Probe { name: "text:a".into(), vector: vec![1.0, 0.0] }];
    Arc::new(Space { model: model.into(), dimension: 2, preprocessing: "crop-8".into(), probes })
}

#[async_trait]
impl ImageEmbeddingProvider for Fake {
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing::crop(8)
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        Ok(self.space.lock().unwrap().clone())
    }

    async fn embed_image_batch(&self, _: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        Ok(Vec::new())
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        self.embed_text_in(text, None).await
    }

    async fn embed_text_in(&self, text: &str, language: Option<Language>) -> Result<Embedding, EmbedError> {
        let language = language.map(|language| format!(" in {}", language.code()));
        self.calls.lock().unwrap().push(text.to_owned() + &language.unwrap_or_default());
        if text == "changes" {
            *self.space.lock().unwrap() = space("another");
        }
        if text.is_empty() {
            return Err(EmbedError::Rejected("empty text".into()));
        }
        Ok(Embedding::normalised(vec![f32::from(text.as_bytes()[0]), 1.0], 2)?)
    }
}

fn cache(entries: usize) -> (TextCache, Arc<Fake>) {
    let fake = Arc::new(Fake { space: Mutex::new(space("one")), calls: Mutex::default() });
    (TextCache::new(fake.clone(), NonZeroUsize::new(entries).unwrap()), fake)
}

async fn calls(cache: &TextCache, fake: &Fake, texts: &[&str]) -> usize {
    fake.calls.lock().unwrap().clear();
    for text in texts {
        cache.embed_text(text).await.ok();
    }
    fake.calls.lock().unwrap().len()
}

#[tokio::test]
async fn a_repeated_text_is_not_embedded_again() {
    let (cache, fake) = cache(2);
    let (one, other) = (cache.embed_text("a cat").await.unwrap(), cache.embed_text("the sea").await.unwrap());
    assert_ne!(one, other);
    assert_eq!(cache.embed_text("a cat").await.unwrap(), one);
    assert_eq!(*fake.calls.lock().unwrap(), ["a cat", "the sea"]);
}

#[tokio::test]
async fn a_text_in_another_language_is_another_text() {
    let (cache, fake) = cache(2);
    let german = Some("de".parse().unwrap());
    for language in [german, None, german, None] {
        cache.embed_text_in("Gift", language).await.unwrap();
    }
    assert_eq!(*fake.calls.lock().unwrap(), ["Gift in deu_Latn", "Gift"]);
}

#[tokio::test]
async fn the_cache_is_bounded_and_drops_the_least_recently_used_text() {
    let (cache, fake) = cache(2);
    assert_eq!(calls(&cache, &fake, &["a", "b", "a", "c", "a", "b"]).await, 4);
    assert!(cache.cached.lock().unwrap().texts.len() <= 2);
}

#[tokio::test]
async fn a_failure_is_not_cached() {
    let (cache, fake) = cache(2);
    assert_eq!(calls(&cache, &fake, &["", ""]).await, 2);
}

#[tokio::test]
async fn another_space_clears_the_cache() {
    let (cache, fake) = cache(8);
    assert_eq!(calls(&cache, &fake, &["a", "a"]).await, 1);
    *fake.space.lock().unwrap() = space("another");
    assert_eq!(calls(&cache, &fake, &["a", "a"]).await, 1);
    *fake.space.lock().unwrap() = space("one");
    assert_eq!(calls(&cache, &fake, &["changes"]).await, 1);
    assert_eq!(calls(&cache, &fake, &["changes"]).await, 1, "not cached: its space is not certain");
}
