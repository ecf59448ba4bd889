//! What `glimpse clip` says about its model: in the reply to `GET /`, and in the list of `GET /models`.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;

use super::EmbedError;
use super::remote::DEFAULT_IMAGE_SIZE;
use super::response::SharedPreprocessing;
use crate::domain::Language;
use crate::imaging::{Preprocessing, Resize, SIDES};

/// The description of a model. Those of other servers may have none of these fields.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ModelInfo {
    pub(super) model: Option<String>,
    pub(super) dimension: Option<usize>,
    image_size: Option<u32>,
    /// How the server makes squares of other images ([`Resize::name`]). We send squares, cut in the same way.
    resize: Option<String>,
}

/// How to use the model of a service: as the settings say, and as the service reports.
#[derive(Debug)]
pub(super) struct ServedModel {
    pub(super) preprocessing: SharedPreprocessing,
    size: Option<u32>,
    resize: Resize,
    /// Only `glimpse clip` takes the language of a text; another server may refuse a field that it does not know.
    takes_language: AtomicBool,
}

impl ServedModel {
    pub(super) fn new(size: Option<u32>, resize: Resize) -> Self {
        let preprocessing = SharedPreprocessing::new(size.unwrap_or(DEFAULT_IMAGE_SIZE), resize);
        Self { preprocessing, size, resize, takes_language: AtomicBool::new(false) }
    }

    /// Uses what the service reports, if it reports anything, and returns it.
    ///
    /// # Errors
    /// [`EmbedError::ProbeFailed`] if the image size is not possible, or is not that of the settings.
    pub(super) fn set(&self, info: Option<ModelInfo>) -> Result<ModelInfo, EmbedError> {
        let info = info.unwrap_or_default();
        self.preprocessing.set(Preprocessing { size: self.size(&info)?, resize: self.resize(&info) });
        self.takes_language.store(info.image_size.is_some(), Ordering::Relaxed);
        Ok(info)
    }

    /// Returns the code of the language for a request, if the service takes it.
    pub(super) fn language(&self, language: Option<Language>) -> Option<&'static str> {
        language.filter(|_| self.takes_language.load(Ordering::Relaxed)).map(Language::code)
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

    /// The model decides how a crop rounds fractions of a pixel. Our settings decide whether to crop.
    fn resize(&self, info: &ModelInfo) -> Resize {
        let crops = [Resize::Crop, Resize::CropFloor];
        let reported = crops.into_iter().find(|crop| info.resize.as_deref() == Some(crop.name()));
        reported.filter(|_| crops.contains(&self.resize)).unwrap_or(self.resize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_chooses_the_kind_of_crop_and_the_settings_choose_to_pad() {
        let resize_for = |resize, reported: Option<&str>| {
            let info = ModelInfo { resize: reported.map(str::to_owned), ..ModelInfo::default() };
            ServedModel::new(None, resize).resize(&info)
        };
        for configured in [Resize::Crop, Resize::CropFloor] {
            assert_eq!(resize_for(configured, Some("crop")), Resize::Crop);
            assert_eq!(resize_for(configured, Some("crop-floor")), Resize::CropFloor);
            for other in [None, Some("pad"), Some("")] {
                assert_eq!(resize_for(configured, other), configured);
            }
        }
        let pad = Resize::Pad([1, 2, 3]);
        assert_eq!(resize_for(pad, Some("crop")), pad);
    }

    #[test]
    fn the_language_is_sent_to_a_service_that_describes_its_model() {
        let (served, german) = (ServedModel::new(None, Resize::Crop), Some("de".parse().unwrap()));
        for (info, sent) in [
            (None, None),
            (Some(ModelInfo { image_size: Some(224), ..ModelInfo::default() }), Some("deu_Latn")),
            (Some(ModelInfo::default()), None),
        ] {
            served.set(info).unwrap();
            assert_eq!(served.language(german), sent);
        }
    }
}
