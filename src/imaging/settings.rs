//! What is checked before a decoder may allocate.

use serde::{Deserialize, Serialize};

use super::{Limits, Resize};

/// The settings of decoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImagingSettings {
    /// `IMAGE_MAX_SIZE_MB`: larger files are refused by their listing, by their header and while reading; 50 by default.
    pub image_max_size_mb: u64,
    /// `IMAGE_MAX_PIXELS`: images of more pixels are refused by their header; 300,000,000 by default.
    pub image_max_pixels: u64,
    /// `IMAGE_MAX_DECODE_MB`: what decoding an image may allocate; 512 by default. Large images are reduced while decoding.
    pub image_max_decode_mb: u64,
    /// `IMAGE_RESIZE`: `crop` (default) cuts the longer side's ends off, `pad` keeps all and fills up. Part of the space.
    pub image_resize: String,
    /// `IMAGE_PAD_COLOR`: what `pad` fills up with, as RRGGBB; `000000` by default.
    pub image_pad_color: String,
    /// `IMAGE_TARGET_SIZE`: empty (default) for the model's own, 224 where a service does not say; anything else must agree
    /// with it.
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
/// Sides of a square that a model may take.
pub const SIDES: std::ops::RangeInclusive<u32> = 16..=2048;

impl ImagingSettings {
    /// The limits that they mean.
    pub fn limits(&self) -> Limits {
        Limits {
            max_bytes: self.image_max_size_mb * MB,
            max_pixels: self.image_max_pixels,
            max_decode_bytes: self.image_max_decode_mb * MB,
        }
    }

    /// What happens to a image that is no square.
    ///
    /// # Errors
    /// A sentence that names the setting and what is allowed.
    pub fn resize(&self) -> Result<Resize, String> {
        let colour = || {
            let wrong = || format!("IMAGE_PAD_COLOR is `{}`; it must be RRGGBB, such as ffffff", self.image_pad_color);
            let digits = self.image_pad_color.trim_start_matches('#');
            let all = digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let number = u32::from_str_radix(digits, 16).ok().filter(|_| all).ok_or_else(wrong)?;
            let [_, red, green, blue] = number.to_be_bytes();
            Ok::<_, String>([red, green, blue])
        };
        match self.image_resize.as_str() {
            "crop" => Ok(Resize::Crop),
            "pad" => Ok(Resize::Pad(colour()?)),
            other => Err(format!("IMAGE_RESIZE is `{other}`; it must be `crop` or `pad`")),
        }
    }

    /// The side of the model's square, where it is set.
    pub fn target_size(&self) -> Option<u32> {
        self.image_target_size.parse().ok()
    }

    /// Checks what can be checked without asking anyone.
    ///
    /// # Errors
    /// A sentence that names the setting and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        for (name, value, most) in [
            ("IMAGE_MAX_SIZE_MB", self.image_max_size_mb, 4096),
            ("IMAGE_MAX_PIXELS", self.image_max_pixels, 10_000_000_000),
            ("IMAGE_MAX_DECODE_MB", self.image_max_decode_mb, 65536),
        ] {
            if !(1..=most).contains(&value) {
                return Err(format!("{name} is {value}; it must be between 1 and {most}"));
            }
        }
        self.resize()?;
        if !self.image_target_size.is_empty() && !self.target_size().is_some_and(|side| SIDES.contains(&side)) {
            return Err(format!(
                "IMAGE_TARGET_SIZE is `{}`; it must be empty or pixels, {} to {}",
                self.image_target_size,
                SIDES.start(),
                SIDES.end()
            ));
        }
        Ok(())
    }
}
