//! The settings of image decoding.

use serde::{Deserialize, Deserializer, Serialize};

use super::{InputColour, Limits, Resize};
use crate::domain::setting::{check_range, keyword};
use crate::domain::{ByteSize, ExifLevel};

/// The settings of image decoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImagingSettings {
    /// `IMAGE_MAX_SIZE_MB`: larger files are rejected by their listed size, by their header and while reading; 50 by
    /// default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 4096>")]
    pub image_max_size_mb: ByteSize,
    /// `IMAGE_MAX_PIXELS`: images with more pixels are rejected by their header; 300,000,000 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 10_000_000_000>")]
    pub image_max_pixels: u64,
    /// `IMAGE_MAX_DECODE_MB`: the memory that decoding an image may allocate; 512 by default. Large images
    /// are reduced while decoding.
    #[serde(deserialize_with = "check_range::<_, _, 1, 65_536>")]
    pub image_max_decode_mb: ByteSize,
    /// `IMAGE_RESIZE`: `crop` (default) cuts off both ends of the longer side, or does what the model was trained with;
    /// `pad` keeps the whole image and fills the rest. It is part of the identity of the embedding space.
    pub image_resize: ResizeKind,
    /// `IMAGE_PAD_COLOR`: the colour that `pad` fills with, as RRGGBB; `000000` by default.
    pub image_pad_color: Colour,
    /// `IMAGE_TARGET_SIZE`: empty (default) for the size of the model; for a service that does not report one, that of
    /// the catalogue, or 224. Any other value must match that size.
    #[serde(deserialize_with = "target_size")]
    pub image_target_size: Option<u32>,
    /// `IMAGE_COLOR`: `reference` (default) gives the model the colours as they are stored, as its reference pipeline does;
    /// `srgb` converts them by the colour profile of the file. It is part of the identity of the embedding space.
    pub image_color: ColourKind,
    /// `IMAGE_EXIF`: `basic` (default), `all` or `none`: which facts of EXIF, IPTC and XMP are stored with an image.
    pub image_exif: ExifLevel,
}

impl Default for ImagingSettings {
    fn default() -> Self {
        Self {
            image_max_size_mb: ByteSize::megabytes(50),
            image_max_pixels: 300_000_000,
            image_max_decode_mb: ByteSize::megabytes(512),
            image_resize: ResizeKind::Crop,
            image_pad_color: Colour([0; 3]),
            image_target_size: None,
            image_color: ColourKind::Reference,
            image_exif: ExifLevel::Basic,
        }
    }
}

/// The value of `IMAGE_RESIZE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum ResizeKind {
    /// Cuts off both ends of the longer side.
    Crop,
    /// Keeps the whole image and fills the rest.
    Pad,
}

impl TryFrom<String> for ResizeKind {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        match keyword(&name).as_str() {
            "crop" => Ok(Self::Crop),
            "pad" => Ok(Self::Pad),
            _ => Err("it must be `crop` or `pad`"),
        }
    }
}

/// The value of `IMAGE_COLOR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum ColourKind {
    /// The colours as they are stored.
    Reference,
    /// sRGB, by the colour profile.
    Srgb,
}

impl TryFrom<String> for ColourKind {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        match keyword(&name).as_str() {
            "reference" => Ok(Self::Reference),
            "srgb" => Ok(Self::Srgb),
            _ => Err("it must be `reference` or `srgb`"),
        }
    }
}

/// The value of `IMAGE_PAD_COLOR`: red, green and blue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Colour(pub [u8; 3]);

impl TryFrom<String> for Colour {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let mut rgb = [0; 3];
        hex::decode_to_slice(text.trim_start_matches('#'), &mut rgb)
            .map_err(|_| "it must be six hexadecimal digits (RRGGBB), such as ffffff")?;
        Ok(Self(rgb))
    }
}

impl From<Colour> for String {
    fn from(Colour(rgb): Colour) -> Self {
        hex::encode(rgb)
    }
}

/// Reads a side of the model's square in pixels.
fn target_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    check_range::<_, _, 16, 2048>(deserializer).map(Some)
}

/// The allowed sides of the model's input square, in pixels.
pub const SIDES: std::ops::RangeInclusive<u32> = 16..=2048;

impl ImagingSettings {
    /// Returns the limits that these settings describe.
    pub fn limits(&self) -> Limits {
        Limits {
            max_bytes: self.image_max_size_mb.bytes(),
            max_pixels: self.image_max_pixels,
            max_decode_bytes: self.image_max_decode_mb.bytes(),
        }
    }

    /// Returns which colours the model gets.
    pub fn colour(&self) -> InputColour {
        match self.image_color {
            ColourKind::Reference => InputColour::Reference,
            ColourKind::Srgb => InputColour::Srgb,
        }
    }

    /// Returns what happens to an image that is not square.
    pub fn resize(&self) -> Resize {
        match self.image_resize {
            ResizeKind::Crop => Resize::Crop,
            ResizeKind::Pad => Resize::Pad(self.image_pad_color.0),
        }
    }
}
