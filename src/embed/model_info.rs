//! What `glimpse clip` says about its model: in the reply to `GET /`, and in the list of `GET /models`.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;

use super::remote::DEFAULT_IMAGE_SIZE;
use super::response::SharedPreprocessing;
use super::{EmbedError, NO_WORDS, RemoteSettings};
use crate::domain::Language;
use crate::imaging::{InputColour, Preprocessing, Resize, SIDES};
use crate::models::ServiceRules;

/// The description of a model. Those of other servers may have none of these fields.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ModelInfo {
    pub(super) model: Option<String>,
    pub(super) dimension: Option<usize>,
    image_size: Option<u32>,
    /// How the server makes squares of other images ([`Resize::name`]). We send squares, cut in the same way.
    resize: Option<String>,
    /// Name of the whole preparation. Older servers do not send it.
    preprocessing: Option<String>,
}

/// Maximum bytes of the name of a preparation, which is stored with collections.
const MAX_NAME_BYTES: usize = 128;

impl ModelInfo {
    /// Splits the name of the preparation into that of images and the rule for texts, which begins with `+`.
    fn image_and_text(&self) -> (&str, &str) {
        let name = self.preprocessing.as_deref().filter(|name| name.len() <= MAX_NAME_BYTES).unwrap_or_default();
        name.split_at(name.find('+').unwrap_or(name.len()))
    }

    fn is_empty(&self) -> bool {
        self.image_size.is_none() && self.resize.is_none() && self.preprocessing.is_none()
    }

    /// Returns the rule by which texts are cleaned, which is part of the identity of the space.
    pub(super) fn text_rule(&self) -> &str {
        self.image_and_text().1
    }
}

/// How to use the model of a service: as the settings say, and as the service reports.
#[derive(Debug)]
pub(super) struct ServedModel {
    pub(super) preprocessing: SharedPreprocessing,
    /// Used if the service reports nothing.
    default: Preprocessing,
    rules: Option<ServiceRules>,
    size: Option<u32>,
    resize: Resize,
    colour: InputColour,
    /// Only `glimpse clip` describes its model. It takes the language of a text, and prepares texts itself; another
    /// server may refuse a field that it does not know.
    describes_itself: AtomicBool,
}

impl ServedModel {
    pub(super) fn new(settings: &RemoteSettings) -> Self {
        let (default, rules) = (settings.preprocessing(), settings.rules());
        let RemoteSettings { size, resize, colour, .. } = *settings;
        let preprocessing = SharedPreprocessing::new(default);
        Self { preprocessing, default, rules, size, resize, colour, describes_itself: AtomicBool::new(false) }
    }

    /// Uses what the service reports, if it reports anything, and returns it.
    ///
    /// # Errors
    /// [`EmbedError::ProbeFailed`] if the image size is not possible, or is not that of the settings.
    pub(super) fn set(&self, info: Option<ModelInfo>) -> Result<ModelInfo, EmbedError> {
        let info = info.unwrap_or_default();
        self.preprocessing.set(self.preprocessing_of(&info)?);
        self.describes_itself.store(info.image_size.is_some(), Ordering::Relaxed);
        Ok(info)
    }

    /// Returns the code of the language for a request, if the service takes it.
    pub(super) fn language(&self, language: Option<Language>) -> Option<&'static str> {
        language.filter(|_| self.describes_itself.load(Ordering::Relaxed)).map(Language::code)
    }

    /// Returns what is sent for one text, see [`ServiceRules::texts`].
    ///
    /// # Errors
    /// [`EmbedError::Rejected`] if nothing of the text is left to send, as for the same model in this process.
    pub(super) fn texts<'a>(&self, text: &'a str) -> Result<Vec<Cow<'a, str>>, EmbedError> {
        match self.rules.filter(|_| !self.describes_itself.load(Ordering::Relaxed)) {
            Some(rules) => rules.texts(text).ok_or_else(|| EmbedError::Rejected(NO_WORDS.to_owned())),
            None => Ok(vec![Cow::Borrowed(text)]),
        }
    }

    /// Returns the rule by which texts are cleaned, by the service or by [`Self::texts`].
    pub(super) fn text_rule<'a>(&self, info: &'a ModelInfo) -> &'a str {
        match self.rules.filter(|_| !self.describes_itself.load(Ordering::Relaxed)) {
            Some(rules) => rules.cleaning().name(),
            None => info.text_rule(),
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
        if info.is_empty() {
            return Ok(self.default);
        }
        let size = self.size(info)?;
        let named = info.image_and_text().0.parse().ok().filter(|named: &Preprocessing| named.size == size);
        let mut reported = named.unwrap_or_else(|| {
            let crops = [Resize::Crop, Resize::CropFloor];
            let crop = crops.into_iter().find(|crop| info.resize.as_deref() == Some(crop.name()));
            Preprocessing::new(size, crop.unwrap_or(self.resize))
        });
        if [reported.resize, self.resize].iter().any(|resize| matches!(resize, Resize::Pad(_))) {
            reported.resize = self.resize;
        }
        // The service gets pixels: which colours they have is decided here.
        reported.colour = self.colour;
        Ok(reported)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use super::*;
    use crate::domain::Secret;
    use crate::embed::ServiceSettings;

    fn served(model: &str, resize: Resize) -> ServedModel {
        let (url, key, timeout) = ("http://h".parse().unwrap(), Secret::default(), Duration::from_secs(1));
        let (service, model) = (ServiceSettings { url, key, timeout }, model.to_owned());
        ServedModel::new(&RemoteSettings {
            service,
            model,
            max_batch: NonZeroUsize::MIN,
            size: None,
            resize,
            colour: InputColour::Reference,
        })
    }

    #[test]
    fn the_service_chooses_the_resize_and_the_settings_choose_to_pad() {
        let name = |resize, reported: Option<&str>, preprocessing: Option<&str>| {
            let info = ModelInfo {
                image_size: preprocessing.map(|_| 256),
                resize: reported.map(str::to_owned),
                preprocessing: preprocessing.map(str::to_owned),
                ..ModelInfo::default()
            };
            served("m", resize).preprocessing_of(&info).unwrap().to_string() + info.text_rule()
        };
        for (configured, own) in [(Resize::Crop, "crop-224-bicubic"), (Resize::CropFloor, "crop-224-bicubic-floor")] {
            assert_eq!(name(configured, Some("crop"), None), "crop-224-bicubic");
            assert_eq!(name(configured, Some("crop-floor"), None), "crop-224-bicubic-floor");
            for other in [None, Some("pad"), Some("")] {
                assert_eq!(name(configured, other, None), own);
            }
            let squash = "squash-256-bilinear+lower";
            assert_eq!(name(configured, Some("squash"), Some(squash)), squash);
            assert_eq!(name(configured, Some("crop"), Some("unknown-256")), "crop-256-bicubic");
        }
        let pad = Resize::Pad([1, 2, 3]);
        assert_eq!(name(pad, Some("crop"), None), "pad-224-bicubic-010203");
        assert_eq!(name(pad, Some("squash"), Some("squash-256-bilinear")), "pad-256-bilinear-010203");
    }

    #[test]
    fn the_language_is_sent_to_a_service_that_describes_its_model() {
        let (served, german) = (served("m", Resize::Crop), Some("de".parse().unwrap()));
        for (info, sent) in [
            (None, None),
            (Some(ModelInfo { image_size: Some(224), ..ModelInfo::default() }), Some("deu_Latn")),
            (Some(ModelInfo::default()), None),
        ] {
            served.set(info).unwrap();
            assert_eq!(served.language(german), sent);
        }
    }

    #[test]
    fn texts_of_a_known_model_are_prepared_unless_the_service_does_it() {
        let served = served("google/siglip2-base-patch16-256", Resize::CropFloor);
        let info = served.set(None).unwrap();
        assert_eq!(served.preprocessing.get().to_string() + served.text_rule(&info), "squash-256-bilinear+lower");
        let texts = served.texts("A cat").unwrap();
        assert_eq!((texts.len(), &*texts[0]), (2, "a cat"));
        let reported = "squash-384-bicubic+canonical".to_owned();
        let info = ModelInfo { image_size: Some(384), preprocessing: Some(reported.clone()), ..ModelInfo::default() };
        let info = served.set(Some(info)).unwrap();
        assert_eq!(served.preprocessing.get().to_string() + served.text_rule(&info), reported);
        assert_eq!(served.texts("A cat").unwrap(), ["A cat"]);
    }

    #[test]
    fn a_text_of_which_the_cleaning_leaves_nothing_is_not_sent() {
        let siglip = served("google/siglip-base-patch16-224", Resize::CropFloor);
        assert_eq!(siglip.texts("!!!"), Err(EmbedError::Rejected(NO_WORDS.to_owned())));
        assert_eq!(served("my-clip", Resize::CropFloor).texts("!!!").unwrap(), ["!!!"]);
    }
}
