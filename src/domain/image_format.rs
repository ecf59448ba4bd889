//! The supported image formats: their names, extensions and media types.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The supported image formats. The format is detected by magic bytes, never by a key's extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// JFIF, Exif and Adobe files alike.
    Jpeg,
    /// PNG and APNG.
    Png,
    /// `WebP`, lossy, lossless and animated.
    Webp,
    /// GIF87a and GIF89a.
    Gif,
    /// TIFF and `BigTIFF`.
    Tiff,
    /// Windows and OS/2 bitmaps.
    Bmp,
    /// HEIF with HEVC images, as phones write it.
    Heic,
    /// HEIF with AV1 images.
    Avif,
    /// JPEG XL.
    Jxl,
    /// The file of a camera's sensor, such as DNG, CR2 or NEF. It is indexed by the JPEG that the camera embeds.
    Raw,
}

impl ImageFormat {
    /// Every format.
    pub const ALL: [Self; 10] = [
        Self::Jpeg,
        Self::Png,
        Self::Webp,
        Self::Gif,
        Self::Tiff,
        Self::Bmp,
        Self::Heic,
        Self::Avif,
        Self::Jxl,
        Self::Raw,
    ];

    /// Returns the lower-case name, as in payloads and replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Tiff => "tiff",
            Self::Bmp => "bmp",
            Self::Heic => "heic",
            Self::Avif => "avif",
            Self::Jxl => "jxl",
            Self::Raw => "raw",
        }
    }

    /// Returns the name of the format, as in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Webp => "WebP",
            Self::Gif => "GIF",
            Self::Tiff => "TIFF",
            Self::Bmp => "BMP",
            Self::Heic => "HEIC",
            Self::Avif => "AVIF",
            Self::Jxl => "JPEG XL",
            Self::Raw => "camera RAW",
        }
    }

    /// Returns the format with this lower-case name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    /// Returns the extensions of files in this format, in lower case and without the dot. The first one is the usual one.
    pub fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Jpeg => &["jpg", "jpeg"],
            Self::Png => &["png"],
            Self::Webp => &["webp"],
            Self::Gif => &["gif"],
            Self::Tiff => &["tif", "tiff"],
            Self::Bmp => &["bmp"],
            Self::Heic => &["heic", "heif", "hif"],
            Self::Avif => &["avif", "avifs"],
            Self::Jxl => &["jxl"],
            Self::Raw => &[
                "dng", "cr2", "cr3", "nef", "nrw", "arw", "sr2", "raf", "orf", "rw2", "rwl", "pef", "srw", "3fr", "erf",
            ],
        }
    }

    /// Returns the format that the extension of a key names. The content can be another one.
    pub fn from_key(key: &str) -> Option<Self> {
        let (_, extension) = key.rsplit_once('.').filter(|(name, _)| !name.is_empty())?;
        let is_known = |format: &Self| format.extensions().iter().any(|known| extension.eq_ignore_ascii_case(known));
        Self::ALL.into_iter().find(is_known)
    }

    /// Returns the media type of a file in this format.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Tiff => "image/tiff",
            Self::Bmp => "image/bmp",
            Self::Heic => "image/heic",
            Self::Avif => "image/avif",
            Self::Jxl => "image/jxl",
            // There is one registered type for each camera maker's format, and none for all of them.
            Self::Raw => "image/x-dcraw",
        }
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a key ends in an extension of a supported format. Upper and lower case do not matter.
#[must_use]
pub fn has_image_extension(key: &str) -> bool {
    ImageFormat::from_key(key).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_match_in_any_case() {
        for key in [
            "a.jpg",
            "A.JPG",
            "x/y.JpEg",
            "ü.png",
            "a.webp",
            "b.GIF",
            "c.tiff",
            "IMG_1.HEIC",
            "_DSC1.NEF",
            "d.bmp",
            "e.avif",
            "f.JXL",
        ] {
            assert!(has_image_extension(key), "{key}");
        }
        for key in ["jpg", ".jpg", "a.jpg/", "a.txt", "a.jpg.txt", "日本", "a.jp2"] {
            assert!(!has_image_extension(key), "{key}");
        }
    }
}
