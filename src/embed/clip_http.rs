//! The provider `clip`: a server with the API of `ai4all/clip`. That API is not documented; the formats below are what
//! two independent clients send and read, one of them tested against the container.
//!
//! `POST /embedding/image {"images": ["data:image/png;base64,…"]}` and `POST /embedding/text {"texts": ["…"]}` answer
//! `[{"image" or "text": "…", "vector": […]}]` in order; some servers repeat the input. Requests do not name a model.
//! `GET /` of `glimpse clip` describes the model; for other servers its content is not known.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use super::batch_size::BatchSize;
use super::remote::DEFAULT_IMAGE_SIZE;
use super::response::{self, MAX_VECTOR_BYTES, Numbers, SharedPreprocessing};
use super::service::{RequestError, Service};
use super::wire_image::{self, ImageEncoding};
use super::{EmbedError, ImageEmbeddingProvider, RemoteSettings, probe};
use crate::domain::{Embedding, Space};
use crate::imaging::{PreparedImage, Preprocessing, Resize, SIDES};

/// Maximum bytes of the reply to `GET /`, which may be any page.
const MAX_INFO_BYTES: usize = 64 * 1024;
/// Maximum bytes of the name of a preparation, which is stored with collections.
const MAX_NAME_BYTES: usize = 128;

/// A service with the API of `ai4all/clip`.
#[derive(Debug)]
pub struct ClipProvider {
    service: Service,
    preprocessing: SharedPreprocessing,
    /// Used if the service reports nothing.
    default: Preprocessing,
    model: String,
    size: Option<u32>,
    resize: Resize,
    batch: BatchSize,
}

/// The reply to `GET /` of `glimpse clip`. Replies of other servers may have none of these fields.
#[derive(Debug, Default, Deserialize)]
struct ModelInfo {
    model: Option<String>,
    dimension: Option<usize>,
    image_size: Option<u32>,
    /// How the server makes squares of other images ([`Resize::name`]). We send squares, cut in the same way.
    resize: Option<String>,
    /// Name of the whole preparation. Older servers do not send it.
    preprocessing: Option<String>,
}

impl ModelInfo {
    /// Splits the name of the preparation into that of images and the rule for texts, which begins with `+`.
    fn image_and_text(&self) -> (Option<&str>, &str) {
        match self.preprocessing.as_deref() {
            Some(name) if name.len() <= MAX_NAME_BYTES => {
                let (image, text) = name.split_at(name.find('+').unwrap_or(name.len()));
                (Some(image), text)
            }
            _ => (None, ""),
        }
    }
}

/// The result for one input; a repeated input is ignored.
#[derive(Deserialize)]
struct Item {
    vector: Numbers,
}

impl ClipProvider {
    /// Creates the provider; makes no network call.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] if the URL or the key cannot be used.
    pub fn new(settings: RemoteSettings) -> Result<Self, EmbedError> {
        let service = Service::new("clip", &settings.service)?;
        let default = settings.preprocessing();
        let RemoteSettings { model, size, resize, max_batch, .. } = settings;
        let (preprocessing, batch) = (SharedPreprocessing::new(default), BatchSize::new(max_batch));
        Ok(Self { service, preprocessing, default, model, size, resize, batch })
    }

    /// Reads the info of the service. An outage is an error and not an empty info, because a wrong default size would
    /// give a wrong space.
    async fn model_info(&self) -> Result<ModelInfo, EmbedError> {
        match self.service.get("/", MAX_INFO_BYTES).await {
            Ok(body) => Ok(serde_json::from_slice(&body).unwrap_or_default()),
            Err(RequestError { status: Some(status), .. }) if matches!(status.as_u16(), 300..=400 | 404..=406 | 501) => {
                Ok(ModelInfo::default())
            }
            Err(failure) => Err(failure.error),
        }
    }

    fn size(&self, info: &ModelInfo) -> Result<u32, EmbedError> {
        let reported = info.image_size;
        match (self.size, reported) {
            (_, Some(reported)) if !SIDES.contains(&reported) => {
                let (min, max) = (SIDES.start(), SIDES.end());
                Err(EmbedError::ProbeFailed(format!(
                    "the service reports an image size of {reported} pixels; it must be between {min} and {max}"
                )))
            }
            (Some(set), Some(reported)) if set != reported => Err(EmbedError::ProbeFailed(format!(
                "IMAGE_TARGET_SIZE is {set}, but the service takes {reported}; leave IMAGE_TARGET_SIZE empty"
            ))),
            (set, reported) => Ok(set.or(reported).unwrap_or(DEFAULT_IMAGE_SIZE)),
        }
    }

    /// The model decides how images are resized, unless our settings say that they are padded.
    fn preprocessing_of(&self, info: &ModelInfo) -> Result<Preprocessing, EmbedError> {
        if info.image_size.is_none() && info.resize.is_none() && info.preprocessing.is_none() {
            return Ok(self.default);
        }
        let size = self.size(info)?;
        let named = info.image_and_text().0.and_then(|name| name.parse::<Preprocessing>().ok());
        let mut reported = named.filter(|named| named.size == size).unwrap_or_else(|| {
            let crops = [Resize::Crop, Resize::CropFloor];
            let crop = crops.into_iter().find(|crop| info.resize.as_deref() == Some(crop.name()));
            Preprocessing::new(size, crop.unwrap_or(self.resize))
        });
        if matches!(self.resize, Resize::Pad(_)) || matches!(reported.resize, Resize::Pad(_)) {
            reported.resize = self.resize;
        }
        Ok(reported)
    }

    async fn images(&self, images: Vec<PreparedImage>) -> Result<Vec<Embedding>, RequestError> {
        let sent = images.len();
        let body = wire_image::body(images, ImageEncoding::DataUri, r#"{"images":["#.to_owned(), "]}").await?;
        let max_bytes = sent * MAX_VECTOR_BYTES + 2 * body.len();
        let items: Vec<Item> = self.service.post("/embedding/image", body, max_bytes).await?;
        Ok(response::embeddings(items.into_iter().map(|item| item.vector).collect(), sent)?)
    }

    async fn text(&self, text: &str) -> Result<Vec<Numbers>, RequestError> {
        let body = serde_json::json!({ "texts": [text] });
        // A repeated input may have every character escaped.
        let max_bytes = MAX_VECTOR_BYTES + 12 * text.len();
        let items: Vec<Item> = self.service.post_small("/embedding/text", &body, max_bytes).await?;
        Ok(items.into_iter().map(|item| item.vector).collect())
    }
}

#[async_trait]
impl ImageEmbeddingProvider for ClipProvider {
    fn preprocessing(&self) -> Preprocessing {
        self.preprocessing.get()
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        let info = self.model_info().await?;
        self.preprocessing.set(self.preprocessing_of(&info)?);
        let model = info.model.as_deref().unwrap_or(&self.model);
        let mut space = probe::probe_space(self, model, info.dimension).await?;
        space.preprocessing.push_str(info.image_and_text().1);
        response::check_reads_images(self, ImageEncoding::DataUri).await?;
        Ok(Arc::new(space))
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.preprocessing.check(images)?;
        self.batch.embed(images, |images| self.images(images)).await
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        response::embed_shortened(text, |text| self.text(text)).await
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
    fn the_service_chooses_the_resize_and_the_settings_choose_to_pad() {
        let name = |resize, reported: Option<&str>, preprocessing: Option<&str>| {
            let service = ServiceSettings {
                url: "http://h".parse().unwrap(),
                key: Secret::default(),
                timeout: Duration::from_secs(1),
            };
            let (model, max_batch) = ("m".to_owned(), NonZeroUsize::MIN);
            let clip = ClipProvider::new(RemoteSettings { service, model, max_batch, size: None, resize }).unwrap();
            let info = ModelInfo {
                image_size: preprocessing.map(|_| 256),
                resize: reported.map(str::to_owned),
                preprocessing: preprocessing.map(str::to_owned),
                ..ModelInfo::default()
            };
            clip.preprocessing_of(&info).unwrap().to_string()
        };
        for (configured, own) in [(Resize::Crop, "crop-224-bicubic"), (Resize::CropFloor, "crop-224-bicubic-floor")] {
            assert_eq!(name(configured, Some("crop"), None), "crop-224-bicubic");
            assert_eq!(name(configured, Some("crop-floor"), None), "crop-224-bicubic-floor");
            for other in [None, Some("pad"), Some("")] {
                assert_eq!(name(configured, other, None), own);
            }
            assert_eq!(name(configured, Some("squash"), Some("squash-256-bilinear+lower")), "squash-256-bilinear");
            assert_eq!(name(configured, Some("crop"), Some("unknown-256")), "crop-256-bicubic");
        }
        let pad = Resize::Pad([1, 2, 3]);
        assert_eq!(name(pad, Some("crop"), None), "pad-224-bicubic-010203");
        assert_eq!(name(pad, Some("squash"), Some("squash-256-bilinear")), "pad-256-bilinear-010203");
    }
}
