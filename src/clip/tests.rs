use std::io::Cursor;

use async_trait::async_trait;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::domain::{DependencyError, Space, Trouble};
use crate::imaging::ImagingSettings;

/// A vector of the first pixel; texts by their length. Remembers how it was called.
#[derive(Default)]
struct Fake {
    batches: std::sync::Mutex<Vec<usize>>,
    images: std::sync::Mutex<Vec<PreparedImage>>,
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
        self.images.lock().unwrap().extend(images.iter().cloned());
        let first = |image: &PreparedImage| image.rgb[..3].iter().map(|&value| f32::from(value) + 1.0).collect();
        images.iter().map(|image| Ok(Embedding::normalised(first(image), 3)?)).collect()
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        match text {
            "" => Err(EmbedError::Rejected("no words".into())),
            "busy" | "broken" => {
                let (soon, detail) = (Trouble::Busy { retry_after: Duration::from_secs(1) }, "secret detail".into());
                let trouble = if text == "busy" { soon } else { Trouble::Failed };
                Err(EmbedError::Dependency(DependencyError { dependency: "local".into(), trouble, detail }))
            }
            "panic" => panic!("on purpose"),
            text => Ok(Embedding::normalised(vec![1.0, f32::from(u8::try_from(text.len()).unwrap()), 0.0], 3)?),
        }
    }
}

fn png(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let shaded =
        |x, y| image::Rgb(colour.map(|value: u8| value.wrapping_add(u8::try_from(x * 7 + y * 31).unwrap_or(9))));
    image::RgbImage::from_fn(width, height, shaded).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn uri(bytes: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(bytes))
}

fn service() -> (Router, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    let limits = ImagingSettings { image_max_size_mb: 1, ..ImagingSettings::default() }.limits();
    (router(fake.clone(), limits), fake)
}

async fn ask(router: &Router, method: &str, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
    let reply = router.clone().oneshot(request).await.unwrap();
    let status = reply.status();
    let body = axum::body::to_bytes(reply.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{status} without JSON: {body:?}")))
}

async fn refused(path: &str, body: Value) -> (u16, String) {
    let (status, reply) = ask(&service().0, "POST", path, body.to_string()).await;
    (status.as_u16(), reply["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn pictures_are_answered_in_order_and_one_alone_is_urgent() {
    let (router, fake) = service();
    let (red, blue) = (uri(&png(4, 4, [200, 0, 0])), uri(&png(9, 5, [0, 0, 200])));
    let body = json!({"images": [red, blue, STANDARD.encode(png(4, 4, [0, 200, 0]))]}).to_string();
    let (status, reply) = ask(&router, "POST", "/embedding/image", body).await;
    assert_eq!((status, reply.as_array().unwrap().len()), (StatusCode::OK, 3));
    let strongest = |place: usize| {
        let vector: Vec<f64> = serde_json::from_value(reply[place]["vector"].clone()).unwrap();
        assert!((vector.iter().map(|value| value * value).sum::<f64>() - 1.0).abs() < 1e-6);
        (0..3).max_by(|&a, &b| vector[a].total_cmp(&vector[b])).unwrap()
    };
    assert_eq!([strongest(0), strongest(1), strongest(2)], [0, 2, 1]);
    assert_eq!((&reply[0]["image"], &reply[2]["image"]), (&json!("data:image/png;base64,"), &json!("")));
    ask(&router, "POST", "/embedding/image", json!({"images": [red]}).to_string()).await;
    assert_eq!(*fake.batches.lock().unwrap(), [3, 1]);
    assert_eq!(ask(&router, "POST", "/embedding/image", r#"{"images":[]}"#).await, (StatusCode::OK, json!([])));
}

#[tokio::test]
async fn a_image_of_the_models_size_is_taken_bit_by_bit() {
    let (router, fake) = service();
    let image = png(4, 4, [10, 90, 170]);
    ask(&router, "POST", "/embedding/image", json!({"images": [uri(&image)]}).to_string()).await;
    let pixels = image::load_from_memory(&image).unwrap().into_rgb8().into_raw();
    assert_eq!(fake.images.lock().unwrap()[0].rgb, pixels);
}

#[tokio::test]
async fn texts_are_answered_in_order_with_themselves() {
    let (router, _) = service();
    let (status, reply) = ask(&router, "POST", "/embedding/text", r#"{"texts":["a","four"]}"#).await;
    assert_eq!((status, &reply[0]["text"], &reply[1]["text"]), (StatusCode::OK, &json!("a"), &json!("four")));
    assert!(reply[0]["vector"][0].as_f64() > reply[1]["vector"][0].as_f64());
}

#[tokio::test]
async fn it_says_which_model_it_is() {
    let (router, _) = service();
    let card = json!({"model": "fake", "dimension": 3, "image_size": 4, "resize": "crop"});
    assert_eq!(ask(&router, "GET", "/", "").await, (StatusCode::OK, card));
    assert_eq!(ask(&router, "GET", "/readyz", "").await, (StatusCode::OK, json!({"status": "ready"})));
    assert_eq!(ask(&router, "GET", "/healthz", "").await, (StatusCode::OK, json!({"status": "ok"})));
}

#[tokio::test]
async fn what_is_wrong_with_an_input_is_said_with_its_place() {
    let good = uri(&png(4, 4, [1, 2, 3]));
    for (bad, words) in [
        (uri(b"GIF89a"), "images[1]: the gif data ends"),
        (uri(b"%PDF-1.7 and more"), "images[1]: not a JPEG, PNG, WebP or GIF"),
        ("data:image/png,abc".to_owned(), "images[1]: the data URI is not in base64"),
        ("https://example.org/cat,png".to_owned(), "images[1]: neither a data URI nor base64"),
        ("data:image/png;base64,a b".to_owned(), "images[1]: the base64 is broken"),
    ] {
        let (status, said) = refused("/embedding/image", json!({"images": [good, bad]})).await;
        assert!(status == 422 && said.starts_with(words), "{status} {said}");
    }
    let many = refused("/embedding/text", json!({"texts": vec!["a"; 65]})).await;
    assert_eq!(many, (422, "65 texts in one request; 64 are allowed".to_owned()));
    assert_eq!(refused("/embedding/text", json!({"texts": [""]})).await.0, 422);
    assert_eq!(refused("/embedding/text", json!({"text": "a"})).await.0, 400);
    assert_eq!(refused("/embedding/image", json!({"images": [7]})).await.0, 400);
    assert_eq!(refused("/embedding/image", json!({"images": ["a".repeat(4 << 20)]})).await.0, 413);
}

#[tokio::test]
async fn what_is_wrong_here_is_no_inputs_fault_and_is_not_told_in_detail() {
    let (router, _) = service();
    let status = |text: &'static str| {
        let router = router.clone();
        async move {
            let (status, reply) = ask(&router, "POST", "/embedding/text", json!({"texts": [text]}).to_string()).await;
            assert!(!reply.to_string().contains("secret"), "{reply}");
            status.as_u16()
        }
    };
    assert_eq!((status("busy").await, status("broken").await, status("panic").await), (429, 503, 500));
    assert_eq!(ask(&router, "GET", "/nothing", "").await.0, StatusCode::NOT_FOUND);
    assert_eq!(ask(&router, "GET", "/embedding/text", "").await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_there_is_no_room_for_are_told_to_come_back() {
    let room = Arc::new(Room { purse: Arc::new(Semaphore::new(0)), most: 1 << 20 });
    let router = Router::new().route("/", get(|| async {})).layer(from_fn_with_state(room.clone(), Room::enter));
    let (status, _) = ask(&router, "GET", "/", "").await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
}
