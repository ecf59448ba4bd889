use std::io::Cursor;

use async_trait::async_trait;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::domain::{DependencyError, Embedding, FailureKind, Language, Space};
use crate::embed::EmbedError;
use crate::imaging::{ImagingSettings, PreparedImage, Preprocessing};

/// Makes a vector from the first pixel, or from the length of a text. Records its calls.
#[derive(Default)]
pub(super) struct Fake {
    batches: std::sync::Mutex<Vec<usize>>,
    images: std::sync::Mutex<Vec<PreparedImage>>,
    pub(super) languages: std::sync::Mutex<Vec<Option<Language>>>,
    hangs: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl ImageEmbeddingProvider for Fake {
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing::crop(4)
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        let preprocessing = self.preprocessing().to_string();
        Ok(Arc::new(Space { model: "fake".into(), dimension: 3, preprocessing, probes: Vec::new() }))
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.batches.lock().unwrap().push(images.len());
        if self.hangs.load(std::sync::atomic::Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.images.lock().unwrap().extend(images.iter().cloned());
        let first = |image: &PreparedImage| image.rgb[..3].iter().map(|&value| f32::from(value) + 1.0).collect();
        images.iter().map(|image| Ok(Embedding::normalised(first(image), 3)?)).collect()
    }

    async fn embed_text_in(&self, text: &str, language: Option<Language>) -> Result<Embedding, EmbedError> {
        self.languages.lock().unwrap().push(language);
        self.embed_text(text).await
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        match text {
            "" => Err(EmbedError::Rejected("empty text".into())),
            "busy" | "broken" => {
                let (busy, detail) =
                    (FailureKind::Busy { retry_after: Duration::from_secs(1) }, "secret detail".into());
                let failure = if text == "busy" { busy } else { FailureKind::Failed };
                Err(EmbedError::Dependency(DependencyError { dependency: "local".into(), failure, detail }))
            }
            "panic" => panic!("on purpose"),
            text => Ok(Embedding::normalised(vec![1.0, f32::from(u8::try_from(text.len()).unwrap()), 0.0], 3)?),
        }
    }
}

pub(super) fn png(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let shaded =
        |x, y| image::Rgb(colour.map(|value: u8| value.wrapping_add(u8::try_from(x * 7 + y * 31).unwrap_or(9))));
    image::RgbImage::from_fn(width, height, shaded).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

pub(super) fn uri(bytes: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(bytes))
}

pub(super) fn service() -> (Router, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    let limits =
        ImagingSettings { image_max_size_mb: crate::domain::ByteSize::megabytes(1), ..ImagingSettings::default() }
            .limits();
    (router(fake.clone(), limits), fake)
}

pub(super) async fn send(router: &Router, method: &str, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let body = body.into();
    let length = body.size_hint().exact().unwrap();
    let request =
        Request::builder().method(method).uri(path).header(header::CONTENT_LENGTH, length).body(body).unwrap();
    let reply = router.clone().oneshot(request).await.unwrap();
    let status = reply.status();
    let body = axum::body::to_bytes(reply.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{status} without JSON: {body:?}")))
}

async fn refusal(path: &str, body: Value) -> (u16, String) {
    let (status, reply) = send(&service().0, "POST", path, body.to_string()).await;
    (status.as_u16(), reply["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn images_are_answered_in_order_and_a_single_one_has_priority() {
    let (router, fake) = service();
    let (red, blue) = (uri(&png(4, 4, [200, 0, 0])), uri(&png(9, 5, [0, 0, 200])));
    let body = json!({"images": [red, blue, STANDARD.encode(png(4, 4, [0, 200, 0]))]}).to_string();
    let (status, reply) = send(&router, "POST", "/embedding/image", body).await;
    assert_eq!((status, reply.as_array().unwrap().len()), (StatusCode::OK, 3));
    let strongest = |place: usize| {
        let vector: Vec<f64> = serde_json::from_value(reply[place]["vector"].clone()).unwrap();
        assert!((vector.iter().map(|value| value * value).sum::<f64>() - 1.0).abs() < 1e-6);
        (0..3).max_by(|&a, &b| vector[a].total_cmp(&vector[b])).unwrap()
    };
    assert_eq!([strongest(0), strongest(1), strongest(2)], [0, 2, 1]);
    assert_eq!((&reply[0]["image"], &reply[2]["image"]), (&json!("data:image/png;base64,"), &json!("")));
    send(&router, "POST", "/embedding/image", json!({"images": [red]}).to_string()).await;
    assert_eq!(*fake.batches.lock().unwrap(), [3, 1]);
    assert_eq!(send(&router, "POST", "/embedding/image", r#"{"images":[]}"#).await, (StatusCode::OK, json!([])));
}

#[tokio::test]
async fn an_image_of_the_models_size_is_not_changed() {
    let (router, fake) = service();
    let image = png(4, 4, [10, 90, 170]);
    send(&router, "POST", "/embedding/image", json!({"images": [uri(&image)]}).to_string()).await;
    let pixels = image::load_from_memory(&image).unwrap().into_rgb8().into_raw();
    assert_eq!(fake.images.lock().unwrap()[0].rgb, pixels);
}

#[tokio::test]
async fn texts_are_answered_in_order() {
    let (router, _) = service();
    let (status, reply) = send(&router, "POST", "/embedding/text", r#"{"texts":["a","four"]}"#).await;
    assert_eq!((status, &reply[0]["text"], &reply[1]["text"]), (StatusCode::OK, &json!("a"), &json!("four")));
    assert!(reply[0]["vector"][0].as_f64() > reply[1]["vector"][0].as_f64());
}

#[tokio::test]
async fn the_language_of_texts_reaches_the_model() {
    let (router, fake) = service();
    for (path, body) in [
        ("/embedding/text", json!({"texts": ["a"], "lang": "pt-BR"})),
        ("/embedding/text", json!({"texts": ["a"]})),
        ("/v1/embeddings", json!({"input": "a", "lang": "deu_Latn"})),
    ] {
        assert_eq!(send(&router, "POST", path, body.to_string()).await.0, StatusCode::OK);
    }
    let codes = fake.languages.lock().unwrap().iter().map(|language| language.map(Language::code)).collect::<Vec<_>>();
    assert_eq!(codes, [Some("por_Latn"), None, Some("deu_Latn")]);
    let (status, message) = refusal("/embedding/text", json!({"texts": ["a"], "lang": "german"})).await;
    assert!(status == 422 && message.starts_with("lang: the language `german` is not known"), "{status} {message}");
    assert_eq!(send(&router, "POST", "/embedding/text", r#"{"texts":["a"],"lang":""}"#).await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_card_describes_the_model() {
    let (router, _) = service();
    let card = json!({"model": "fake", "dimension": 3, "image_size": 4, "resize": "crop",
                       "preprocessing": "crop-4-bicubic"});
    assert_eq!(send(&router, "GET", "/", "").await, (StatusCode::OK, card));
    assert_eq!(send(&router, "GET", "/readyz", "").await, (StatusCode::OK, json!({"status": "ready"})));
    assert_eq!(send(&router, "GET", "/healthz", "").await, (StatusCode::OK, json!({"status": "ok"})));
}

#[tokio::test]
async fn an_error_of_an_input_names_its_index() {
    let good = uri(&png(4, 4, [1, 2, 3]));
    for (bad, message) in [
        (uri(b"GIF89a"), "images[1]: the GIF data ends"),
        (uri(b"%PDF-1.7 and more"), "images[1]: not a JPEG, PNG, WebP, GIF, TIFF"),
        ("data:image/png,abc".to_owned(), "images[1]: the data URI does not contain base64"),
        ("https://example.org/cat,png".to_owned(), "images[1]: is a URL; this service does not fetch images"),
        ("cat,png".to_owned(), "images[1]: not a data URI and not base64"),
        ("data:image/png;base64,a b".to_owned(), "images[1]: the base64 is invalid"),
    ] {
        let (status, reply) = refusal("/embedding/image", json!({"images": [good, bad]})).await;
        assert!(status == 422 && reply.starts_with(message), "{status} {reply}");
    }
    let many = refusal("/embedding/text", json!({"texts": vec!["a"; 65]})).await;
    assert_eq!(many, (422, "texts: 65 items in one request; at most 64 are allowed".to_owned()));
    let empty = refusal("/embedding/text", json!({"texts": ["a", ""]})).await;
    assert_eq!(empty, (422, "texts[1]: empty text".to_owned()));
    assert_eq!(refusal("/embedding/text", json!({"text": "a"})).await.0, 400);
    assert_eq!(refusal("/embedding/image", json!({"images": [7]})).await.0, 400);
    let (status, message) = refusal("/embedding/image", json!({"images": ["a".repeat(4 << 20)]})).await;
    assert!(status == 413 && message.contains("at most 2446680 bytes"), "{status} {message}");
    for (path, body) in [
        ("/embedding/text", json!([["a"]])),
        ("/embedding/image", json!([[good]])),
        ("/v1/embeddings", json!(["fake", "a", null, "float", null, null, null])),
    ] {
        let (status, reply) = send(&service().0, "POST", path, body.to_string()).await;
        let expected = "the body must be a JSON object, not an array";
        assert!(status == StatusCode::BAD_REQUEST && reply.to_string().contains(expected), "{path}: {reply}");
    }
}

#[tokio::test]
async fn an_internal_error_is_not_a_client_error_and_hides_its_details() {
    let (router, _) = service();
    let status = |text: &'static str| {
        let router = router.clone();
        async move {
            let (status, reply) = send(&router, "POST", "/embedding/text", json!({"texts": [text]}).to_string()).await;
            assert!(!reply.to_string().contains("secret"), "{reply}");
            status.as_u16()
        }
    };
    assert_eq!((status("busy").await, status("broken").await, status("panic").await), (429, 503, 500));
    assert_eq!(send(&router, "GET", "/nothing", "").await.0, StatusCode::NOT_FOUND);
    assert_eq!(send(&router, "GET", "/embedding/text", "").await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn too_many_requests_with_one_image_get_429() {
    let (router, fake) = service();
    fake.hangs.store(true, std::sync::atomic::Ordering::SeqCst);
    let body = json!({"images": [uri(&png(4, 4, [1, 2, 3]))]}).to_string();
    let requests = (0..=MAX_SINGLE_IMAGES).map(|_| Box::pin(send(&router, "POST", "/embedding/image", body.clone())));
    let ((status, _), ..) = futures::future::select_all(requests).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(fake.batches.lock().unwrap().len(), MAX_SINGLE_IMAGES);
}

#[tokio::test(start_paused = true)]
async fn a_body_beyond_the_budget_gets_429() {
    let budget = Arc::new(BodyBudget { permits: Arc::new(Semaphore::new(0)), max_bytes: 1 << 20 });
    let router =
        Router::new().route("/", get(|| async {})).layer(from_fn_with_state(budget.clone(), BodyBudget::admit));
    let (status, _) = send(&router, "GET", "/", "").await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
}
