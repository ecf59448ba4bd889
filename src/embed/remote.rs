//! Settings that all remote providers share.

use std::num::NonZeroUsize;

use super::service::ServiceSettings;
use crate::imaging::Resize;

/// Default side of the images in pixels; most CLIP models use it.
pub(super) const DEFAULT_IMAGE_SIZE: u32 = 224;

/// A CLIP service and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSettings {
    /// URL, key and timeout of the service.
    pub service: ServiceSettings,
    /// `CLIP_MODEL`: the model's name. If requests do not name a model, it is a label, and a name that the service
    /// reports replaces it.
    pub model: String,
    /// `IMAGE_EMBED_BATCH_SIZE`: maximum number of images in one request.
    pub max_batch: NonZeroUsize,
    /// `IMAGE_TARGET_SIZE`: side of the model's square in pixels. If not set: the size reported by the service, or 224.
    pub size: Option<u32>,
    /// `IMAGE_RESIZE`: how an image is made square. For `clip`, the service may report the kind of crop.
    pub resize: Resize,
}
