//! `glimpse clip` as a service for each adapter that can use it: the vectors are those of the model itself.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use glimpse::domain::{Embedding, Language, Secret, Space};
use glimpse::embed::{
    ClipProvider, EmbedError, ImageEmbeddingProvider, OpenAiProvider, RemoteSettings, ServiceSettings,
};
use glimpse::imaging::{ImagingSettings, InputColour, PreparedImage, Preprocessing, Resize};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::contract::embed::suite::images;
use crate::support::services::embed_services::MODEL;
use crate::support::{TestApp, demo_image, locked, serve};

/// The built-in model, which records the languages of the texts.
#[derive(Default)]
struct Recorder(Mutex<Vec<Language>>);

#[async_trait]
impl ImageEmbeddingProvider for Recorder {
    fn preprocessing(&self) -> Preprocessing {
        MODEL.preprocessing()
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        MODEL.space().await
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        MODEL.embed_image_batch(images).await
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        MODEL.embed_text(text).await
    }

    async fn embed_text_in(&self, text: &str, language: Option<Language>) -> Result<Embedding, EmbedError> {
        locked(&self.0).extend(language);
        self.embed_text(text).await
    }
}

/// The settings of a client that knows only the name of the model.
fn settings(url: &str) -> RemoteSettings {
    RemoteSettings {
        service: ServiceSettings { url: url.parse().unwrap(), key: Secret::default(), timeout: Duration::from_mins(1) },
        model: "glimpse-mini-1".to_owned(),
        max_batch: NonZeroUsize::new(4).unwrap(),
        size: None,
        resize: Resize::CropFloor,
        colour: InputColour::Reference,
    }
}

#[tokio::test]
async fn every_adapter_gets_the_vectors_of_the_model() {
    let model = Arc::new(Recorder::default());
    let router = glimpse::clip_server::router(model.clone(), ImagingSettings::default().limits());
    let (url, _task) = serve(router).await;
    let clip: Box<dyn ImageEmbeddingProvider> = Box::new(ClipProvider::new(settings(&url)).unwrap());
    let openai = Box::new(OpenAiProvider::new(settings(&format!("{url}/v1"))).unwrap());
    for provider in [clip, openai] {
        MODEL.space().await.unwrap().admits(&provider.space().await.unwrap()).unwrap();
        assert_eq!(provider.preprocessing(), MODEL.preprocessing(), "as the service reports");
        let image = &images(&*provider, 1)[0];
        let remote = provider.embed_image(image).await.unwrap();
        assert!(remote.cosine(&MODEL.embed_image(image).await.unwrap()) >= 0.9999);
        locked(&model.0).clear();
        let german = "de".parse().unwrap();
        let remote = provider.embed_text_in("eine Katze", Some(german)).await.unwrap();
        assert!(remote.cosine(&MODEL.embed_text("eine Katze").await.unwrap()) >= 0.9999);
        assert_eq!(*locked(&model.0), [german]);
    }
}

#[tokio::test]
async fn another_model_name_is_refused_with_the_name_of_the_model() {
    let router = glimpse::clip_server::router(Arc::new(Recorder::default()), ImagingSettings::default().limits());
    let (url, _task) = serve(router).await;
    let provider = OpenAiProvider::new(RemoteSettings { model: "another".to_owned(), ..settings(&url) }).unwrap();
    let error = provider.space().await.unwrap_err();
    assert!(error.to_string().contains("glimpse-mini-1"), "{error}");
}

/// The fit is refused, because no query has an answer, but only after all texts were embedded.
#[tokio::test(flavor = "multi_thread")]
async fn the_language_of_a_labelled_query_reaches_the_model() {
    let model = Arc::new(Recorder::default());
    let router = glimpse::clip_server::router(model.clone(), ImagingSettings::default().limits());
    let (url, _task) = serve(router).await;
    let app = TestApp::start_with(&[("IMAGE_EMBEDDING_PROVIDER", "clip"), ("CLIP_URL", &url)]).await;
    app.put("images/cat.jpg", demo_image("cat.jpg")).await;
    assert_eq!(app.ingest().await.counts.done, 1);
    locked(&model.0).clear();
    let fit = async |lang: &str| {
        let query = |number| json!({"text": format!("ein Hund {number}"), "lang": lang, "answers": []});
        let body = json!({"queries": (0..20).map(query).collect::<Vec<_>>()});
        let reply = app.send(Method::PUT, "/collections/documents/calibration", Some(body)).await;
        (reply.status(), reply.text().await.unwrap())
    };
    let (status, reply) = fit("de").await;
    assert!(status == StatusCode::UNPROCESSABLE_ENTITY && reply.contains("0 right"), "{reply}");
    assert_eq!(*locked(&model.0), ["de".parse().unwrap(); 20]);
    let (status, reply) = fit("germn").await;
    assert!(status == StatusCode::UNPROCESSABLE_ENTITY && reply.contains("queries[0].lang: "), "{reply}");
    app.stop().await;
}
