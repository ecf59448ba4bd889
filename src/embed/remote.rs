//! Settings that all remote providers share.

use std::num::NonZeroUsize;

use super::service::ServiceSettings;
use crate::imaging::{InputColour, Preprocessing, Resize};
use crate::models::{ServiceRules, naflex};

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
    /// `IMAGE_TARGET_SIZE`: side of the model's square in pixels. If not set: the size reported by the service, that of
    /// the catalogue, or 224.
    pub size: Option<u32>,
    /// `IMAGE_RESIZE`: how an image is made square. For `clip`, the service may report the kind of crop.
    pub resize: Resize,
    /// `IMAGE_COLOR`: which colours the model gets.
    pub colour: InputColour,
}

impl RemoteSettings {
    /// Fails for a model whose images cannot be prepared. As in [`RemoteSettings::rules`], a size in the settings means that
    /// they are prepared as for CLIP.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.size.is_some() || !naflex::is_naflex(&self.model) {
            return Ok(());
        }
        Err(format!(
            "CLIP_MODEL is `{}`: {} (or IMAGE_TARGET_SIZE=224 for a collection of an earlier version, which cropped images to \
             this size)",
            self.model,
            naflex::refusal("google/siglip2-base-patch16-256")
        ))
    }

    /// Returns the rules of a model that the catalogue knows by the name in the settings. If `IMAGE_TARGET_SIZE` is set,
    /// images and texts are prepared as for CLIP: collections that were made so before the catalogue existed stay usable.
    pub(super) fn rules(&self) -> Option<ServiceRules> {
        ServiceRules::find(&self.model).filter(|_| self.size.is_none())
    }

    /// Returns how images are prepared if the service does not report it.
    pub(super) fn preprocessing(&self) -> Preprocessing {
        if let (Some(size), Some(known)) = (self.size, ServiceRules::find(&self.model)) {
            tracing::warn!(
                model = self.model,
                "IMAGE_TARGET_SIZE is {size}, so that images are cropped; the model was trained with {}; leave \
                 IMAGE_TARGET_SIZE empty for a new collection",
                known.preprocessing
            );
        }
        let own = self.rules().map(|rules| rules.preprocessing);
        let own = own.unwrap_or_else(|| Preprocessing::new(self.size.unwrap_or(DEFAULT_IMAGE_SIZE), self.resize));
        let own = Preprocessing { colour: self.colour, ..own };
        match self.resize {
            pad @ Resize::Pad(_) => Preprocessing { resize: pad, ..own },
            _ => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Secret;

    fn remote(model: &str, size: Option<u32>, resize: Resize) -> RemoteSettings {
        let service = ServiceSettings {
            url: "http://h".parse().unwrap(),
            key: Secret::default(),
            timeout: Duration::from_secs(1),
        };
        RemoteSettings {
            service,
            model: model.to_owned(),
            max_batch: NonZeroUsize::MIN,
            size,
            resize,
            colour: InputColour::Reference,
        }
    }

    #[test]
    fn a_naflex_is_refused_by_its_name() {
        use crate::embed::{ClipProvider, Multi2VecProvider, OpenAiProvider};
        let naflex = || remote("google/SigLIP2-base-patch16-NaFlex", None, Resize::CropFloor);
        for error in [
            OpenAiProvider::new(naflex()).err(),
            ClipProvider::new(naflex()).err(),
            Multi2VecProvider::new(naflex()).err(),
        ] {
            let error = error.unwrap().to_string();
            for part in ["CLIP_MODEL is `google/SigLIP2-base-patch16-NaFlex`", "google/siglip2-base-patch16-256"] {
                assert!(error.contains(part), "{error}");
            }
        }
        assert_eq!(RemoteSettings { size: Some(224), ..naflex() }.check(), Ok(()));
        assert_eq!(remote("google/siglip2-base-patch16-256", None, Resize::CropFloor).check(), Ok(()));
    }

    #[test]
    fn a_known_model_is_prepared_as_in_its_training_and_others_as_before() {
        let name = |model: &str, size, resize| remote(model, size, resize).preprocessing().to_string();
        let siglip = "google/siglip2-base-patch16-256";
        assert_eq!(name(siglip, None, Resize::CropFloor), "squash-256-bilinear");
        assert_eq!(name(siglip, None, Resize::Pad([0; 3])), "pad-256-bilinear-000000");
        assert_eq!(name(siglip, Some(256), Resize::CropFloor), "crop-256-bicubic-floor");
        for model in ["openai/clip-vit-base-patch32", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "my-model", ""] {
            assert_eq!(name(model, None, Resize::CropFloor), "crop-224-bicubic-floor", "{model}");
            assert_eq!(name(model, Some(256), Resize::CropFloor), "crop-256-bicubic-floor", "{model}");
        }
    }
}
