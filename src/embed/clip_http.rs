//! The provider `clip`: a server that speaks as `ai4all/clip` does. There is no document of it; the shapes below are
//! what two independent clients send and read, one of them tested against the container.
//!
//! `POST /embedding/image {"images": ["data:image/png;base64,…"]}` and `POST /embedding/text {"texts": ["…"]}` answer
//! `[{"image" or "text": "…", "vector": […]}]` in order, maybe with the input repeated. Requests name no model. `GET /`
//! says which model it is at `glimpse clip`, and at others nothing that is known.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use super::batch_size::BatchSize;
use super::http::{NoAnswer, Service};
use super::reading::{self, Numbers, Square, VECTOR_BYTES};
use super::remote::USUAL_SIZE;
use super::wire_image::{self, Form};
use super::{EmbedError, ImageEmbeddingProvider, RemoteSettings, probe};
use crate::domain::{Embedding, Space};
use crate::imaging::{PreparedImage, Preprocessing, Resize, SIDES};

/// What is read of `GET /`, which may be any page.
const CARD_BYTES: usize = 64 * 1024;

/// A service that speaks as `ai4all/clip` does.
#[derive(Debug)]
pub struct ClipProvider {
    service: Service,
    square: Square,
    model: String,
    size: Option<u32>,
    resize: Resize,
    batch: BatchSize,
}

/// What `GET /` of `glimpse clip` answers. Another server's may have none of it.
#[derive(Debug, Default, Deserialize)]
struct Card {
    model: Option<String>,
    dimension: Option<usize>,
    image_size: Option<u32>,
    /// What it does to images that are no squares: [`Resize::name`]. JobStance are squares already, and shall be cut as its own.
    resize: Option<String>,
}

/// One answer; what it repeats of the input is not kept.
#[derive(Deserialize)]
struct Item {
    vector: Numbers,
}

impl ClipProvider {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] where the settings cannot be used.
    pub fn new(settings: RemoteSettings) -> Result<Self, EmbedError> {
        let service = Service::new("clip", &settings.service)?;
        let RemoteSettings { model, size, resize, max_batch, .. } = settings;
        let square = Square::new(size.unwrap_or(USUAL_SIZE), resize);
        let batch = BatchSize::new(max_batch, settings.service.timeout);
        Ok(Self { service, square, model, size, resize, batch })
    }

    /// What the service says of itself. One that is down is not taken for one that says nothing: a size guessed wrong would
    /// be a wrong space.
    async fn card(&self) -> Result<Card, EmbedError> {
        match self.service.get("/", CARD_BYTES).await {
            Ok(body) => Ok(serde_json::from_slice(&body).unwrap_or_default()),
            Err(NoAnswer { status: Some(status), .. }) if matches!(status.as_u16(), 300..=400 | 404..=406 | 501) => {
                Ok(Card::default())
            }
            Err(no) => Err(no.error),
        }
    }

    fn size(&self, card: &Card) -> Result<u32, EmbedError> {
        let told = card.image_size;
        match (self.size, told) {
            (_, Some(told)) if !SIDES.contains(&told) => {
                Err(EmbedError::ProbeFailed(format!("it says that it takes images of {told} pixels a side")))
            }
            (Some(set), Some(told)) if set != told => Err(EmbedError::ProbeFailed(format!(
                "IMAGE_TARGET_SIZE is {set}, but the service takes {told}; leave it empty"
            ))),
            (set, told) => Ok(set.or(told).unwrap_or(USUAL_SIZE)),
        }
    }

    /// Whether a crop drops the fraction of a pixel is the model's matter; whether to crop at all is ours.
    fn resize(&self, card: &Card) -> Resize {
        let crops = [Resize::Crop, Resize::CropFloor];
        let told = crops.into_iter().find(|crop| card.resize.as_deref() == Some(crop.name()));
        told.filter(|_| crops.contains(&self.resize)).unwrap_or(self.resize)
    }

    async fn images(&self, images: Vec<PreparedImage>) -> Result<Vec<Embedding>, NoAnswer> {
        let sent = images.len();
        let body = wire_image::body(images, Form::DataUri, r#"{"images":["#.to_owned(), "]}").await?;
        let most = sent * VECTOR_BYTES + 2 * body.len();
        let items: Vec<Item> = self.service.post("/embedding/image", body, most).await?;
        Ok(reading::embeddings(items.into_iter().map(|item| item.vector).collect(), sent)?)
    }

    async fn text(&self, text: &str) -> Result<Vec<Numbers>, NoAnswer> {
        let body = serde_json::json!({ "texts": [text] });
        // What is repeated may be escaped, letter by letter.
        let most = VECTOR_BYTES + 12 * text.len();
        let items: Vec<Item> = self.service.post_small("/embedding/text", &body, most).await?;
        Ok(items.into_iter().map(|item| item.vector).collect())
    }
}

#[async_trait]
impl ImageEmbeddingProvider for ClipProvider {
    fn preprocessing(&self) -> Preprocessing {
        self.square.preprocessing()
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        let card = self.card().await?;
        self.square.set(Preprocessing { size: self.size(&card)?, resize: self.resize(&card) });
        let model = card.model.as_deref().unwrap_or(&self.model);
        let space = probe::space_of(self, model, card.dimension).await?;
        reading::sees(self, Form::DataUri).await?;
        Ok(Arc::new(space))
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.square.check(images)?;
        wire_image::in_requests(images, &self.batch, |images| self.images(images)).await
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        reading::cut_to_fit(text, |text| self.text(text)).await
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use super::*;
    use crate::domain::Secret;
    use crate::embed::ServiceSettings;

    #[test]
    fn a_crop_is_the_models_own_and_a_pad_is_ours() {
        let of = |resize, told: Option<&str>| {
            let service =
                ServiceSettings { url: "http://h".into(), key: Secret::default(), timeout: Duration::from_secs(1) };
            let (model, max_batch) = ("m".to_owned(), NonZeroUsize::MIN);
            let clip = ClipProvider::new(RemoteSettings { service, model, max_batch, size: None, resize }).unwrap();
            clip.resize(&Card { resize: told.map(str::to_owned), ..Card::default() })
        };
        for ours in [Resize::Crop, Resize::CropFloor] {
            assert_eq!(of(ours, Some("crop")), Resize::Crop);
            assert_eq!(of(ours, Some("crop-floor")), Resize::CropFloor);
            for nothing in [None, Some("pad"), Some("")] {
                assert_eq!(of(ours, nothing), ours);
            }
        }
        let pad = Resize::Pad([1, 2, 3]);
        assert_eq!(of(pad, Some("crop")), pad);
    }
}
