//! A CLIP service that takes almost no time: its vectors are the colours of the quarters of an image. For tests with
//! many images in which the model does not matter. It fails for images of the colour [`POISON`].

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::RgbImage;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// Pixels per side.
const SIDE: u32 = 16;

/// The colour of the first pixel of an image for which it fails, with all images of the same request.
pub(crate) const POISON: [u8; 3] = [255, 0, 255];

/// A running service.
pub(crate) struct CheapClip {
    pub(crate) url: String,
    /// The path and the `traceparent` of each request that has one.
    pub(crate) traceparents: Arc<Mutex<Vec<(String, String)>>>,
    _task: AbortOnDropHandle<()>,
}

impl CheapClip {
    /// Starts it; each image takes this time.
    pub(crate) async fn start(image_time: Duration) -> Self {
        Self::at("127.0.0.1:0", image_time).await
    }

    /// The same, at that address.
    pub(crate) async fn at(addr: &str, image_time: Duration) -> Self {
        let images = move |Json(body): Json<Value>| async move {
            let images = body["images"].as_array().unwrap().clone();
            tokio::time::sleep(image_time * u32::try_from(images.len()).unwrap()).await;
            let images: Vec<_> = images.iter().map(|text| image(text.as_str().unwrap())).collect();
            if images.iter().any(|image| image.get_pixel(0, 0).0 == POISON) {
                return Err(StatusCode::INTERNAL_SERVER_ERROR);
            }
            Ok(Json(images.iter().map(|image| json!({"vector": image_vector(image)})).collect::<Value>()))
        };
        let texts = |Json(body): Json<Value>| async move {
            let texts = body["texts"].as_array().unwrap();
            Json(texts.iter().map(|text| json!({"vector": text_vector(text.as_str().unwrap())})).collect::<Value>())
        };
        let traceparents = Arc::<Mutex<Vec<(String, String)>>>::default();
        let received = traceparents.clone();
        let record = move |request: Request, next: Next| {
            if let Some(value) = request.headers().get("traceparent") {
                let value = value.to_str().unwrap().to_owned();
                received.lock().unwrap().push((request.uri().path().to_owned(), value));
            }
            next.run(request)
        };
        let card = json!({"model": "cheap", "dimension": 12, "image_size": SIDE, "resize": "crop"});
        let router = Router::new()
            .route("/", get(move || async move { Json(card) }))
            .route("/embedding/image", post(images))
            .route("/embedding/text", post(texts))
            .layer(DefaultBodyLimit::disable())
            .layer(from_fn(record));
        let listener = TcpListener::bind(addr).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, traceparents, _task: AbortOnDropHandle::new(task) }
    }
}

fn image(data_uri: &str) -> RgbImage {
    let png = STANDARD.decode(data_uri.rsplit_once(',').unwrap().1).unwrap();
    image::load_from_memory(&png).unwrap().into_rgb8()
}

fn image_vector(image: &RgbImage) -> Vec<f32> {
    let mut sums = [0.5_f32; 12];
    for (x, y, pixel) in image.enumerate_pixels() {
        let quarter = usize::from(x >= SIDE / 2) + 2 * usize::from(y >= SIDE / 2);
        for (channel, value) in pixel.0.into_iter().enumerate() {
            sums[quarter * 3 + channel] += f32::from(value) - 127.0;
        }
    }
    sums.to_vec()
}

fn text_vector(text: &str) -> Vec<f32> {
    Sha256::digest(text)[..12].iter().map(|&byte| f32::from(byte) - 127.5).collect()
}
