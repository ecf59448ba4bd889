//! The settings of image decoding.

use serde::{Deserialize, Serialize};

use super::{Limits, Resize};

/// The settings of image decoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImagingSettings {
    /// `IMAGE_MAX_SIZE_MB`: larger files are rejected by their listed size, by their header and while reading; 50 by
    /// default.
    pub image_max_size_mb: u64,
    /// `IMAGE_MAX_PIXELS`: images with more pixels are rejected by their header; 300,000,000 by default.
    pub image_max_pixels: u64,
    /// `IMAGE_MAX_DECODE_MB`: the memory that decoding an image may allocate; 512 by default. Large images
    /// are reduced while decoding.
    pub image_max_decode_mb: u64,
    /// `IMAGE_RESIZE`: `crop` (default) cuts off both ends of the longer side, `pad` keeps the whole image and fills
    /// the rest. It is part of the identity of the embedding space.
    pub image_resize: String,
    /// `IMAGE_PAD_COLOR`: the colour that `pad` fills with, as RRGGBB; `000000` by default.
    pub image_pad_color: String,
    /// `IMAGE_TARGET_SIZE`: empty (default) for the size of the model, or 224 if a service does not report one. Any
    /// other value must match that size.
    pub image_target_size: String,
}

impl Default for ImagingSettings {
    fn default() -> Self {
        Self {
            image_max_size_mb: 50,
            image_max_pixels: 300_000_000,
            image_max_decode_mb: 512,
            image_resize: "crop".to_owned(),
            image_pad_color: "000000".to_owned(),
            image_target_size: String::new(),
        }
    }
}

const MB: u64 = 1024 * 1024;
/// The allowed sides of the model's input square, in pixels.
pub const SIDES: std::ops::RangeInclusive<u32> = 16..=2048;

impl ImagingSettings {
    /// Returns the limits that these settings describe.
    pub fn limits(&self) -> Limits {
        Limits {
            max_bytes: self.image_max_size_mb * MB,
            max_pixels: self.image_max_pixels,
            max_decode_bytes: self.image_max_decode_mb * MB,
        }
    }

    /// Returns what happens to an image that is not square.
    ///
    /// # Errors
    /// Returns a message that names the setting and the allowed values.
    pub fn resize(&self) -> Result<Resize, String> {
        let colour = || {
            let invalid = || {
                format!(
                    "IMAGE_PAD_COLOR is `{}`; it must be six hexadecimal digits (RRGGBB), such as ffffff",
                    self.image_pad_color
                )
            };
            let digits = self.image_pad_color.trim_start_matches('#');
            let is_valid = digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let number = u32::from_str_radix(digits, 16).ok().filter(|_| is_valid).ok_or_else(invalid)?;
            let [_, red, green, blue] = number.to_be_bytes();
            Ok::<_, String>([red, green, blue])
        };
        match self.image_resize.as_str() {
            "crop" => Ok(Resize::Crop),
            "pad" => Ok(Resize::Pad(colour()?)),
            other => Err(format!("IMAGE_RESIZE is `{other}`; it must be `crop` or `pad`")),
        }
    }

    /// Returns the side of the model's square in pixels, if it is set.
    pub fn target_size(&self) -> Option<u32> {
        self.image_target_size.parse().ok()
    }

    /// Checks the settings, as far as this is possible without a network call.
    ///
    /// # Errors
    /// Returns a message that names the setting and the allowed values.
    pub fn validate(&self) -> Result<(), String> {
        for (name, value, max) in [
            ("IMAGE_MAX_SIZE_MB", self.image_max_size_mb, 4096),
            ("IMAGE_MAX_PIXELS", self.image_max_pixels, 10_000_000_000),
            ("IMAGE_MAX_DECODE_MB", self.image_max_decode_mb, 65536),
        ] {
            if !(1..=max).contains(&value) {
                return Err(format!("{name} is {value}; it must be between 1 and {max}"));
            }
        }
        self.resize()?;
        if !self.image_target_size.is_empty() && !self.target_size().is_some_and(|side| SIDES.contains(&side)) {
            return Err(format!(
                "IMAGE_TARGET_SIZE is `{}`; it must be empty or a number of pixels from {} to {}",
                self.image_target_size,
                SIDES.start(),
                SIDES.end()
            ));
        }
        Ok(())
    }
}
