//! Stands for the decoders of formats that this build does not read: every image is refused, and the error names the feature.

/// Defines a module with the functions of such a decoder.
macro_rules! absent {
    ($module:ident, $name:literal, $feature:literal) => {
        #[cfg(not(feature = $feature))]
        pub(super) mod $module {
            use image::RgbImage;
            use moxcms::ColorProfile;

            use crate::imaging::ImageError;
            use crate::imaging::facts::decoded::CodedFacts;
            use crate::imaging::reduced::Reduced;

            const ABSENT: ImageError = ImageError::NotBuiltIn { name: $name, feature: $feature };

            pub(crate) fn read_facts(_: &[u8]) -> Result<CodedFacts, ImageError> {
                Err(ABSENT)
            }

            pub(crate) fn decode(_: &[u8]) -> Result<RgbImage, ImageError> {
                Err(ABSENT)
            }

            pub(crate) fn decode_reduced(_: &[u8], _: u32) -> Result<Reduced, ImageError> {
                Err(ABSENT)
            }

            pub(crate) fn exif(_: &[u8]) -> Option<Vec<u8>> {
                None
            }

            pub(crate) fn xmp(_: &[u8]) -> Option<Vec<u8>> {
                None
            }

            pub(crate) fn profile(_: &[u8]) -> Option<ColorProfile> {
                None
            }

            pub(crate) fn is_complete(_: &[u8]) -> bool {
                false
            }
        }
    };
}

absent!(avif, "AVIF", "avif");
absent!(heic, "HEIC", "heic");
absent!(jxl, "JPEG XL", "jxl");
