//! What every provider elsewhere is told by the settings.

use std::num::NonZeroUsize;

use super::http::ServiceSettings;
use crate::imaging::Resize;

/// The side that most CLIP models take, where nobody says otherwise.
pub(super) const USUAL_SIZE: u32 = 224;

/// One CLIP service and how to ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSettings {
    /// Where it is.
    pub service: ServiceSettings,
    /// `CLIP_MODEL`: the model's name. Where requests name no model it is a label, and the service's own word goes before it.
    pub model: String,
    /// `CLIP_MAX_BATCH_SIZE`: most images in one request.
    pub max_batch: NonZeroUsize,
    /// `IMAGE_TARGET_SIZE`: the side of the model's square; else what the service says, else 224.
    pub size: Option<u32>,
    /// `IMAGE_RESIZE`: how an image is brought to it; of a crop, `clip` is told by the service which.
    pub resize: Resize,
}
