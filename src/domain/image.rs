//! An image as a URI, as an entry of a listing, and as its header describes it.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Timestamp;

/// `s3://bucket/key`, kept as the raw text. It is never percent-decoded or normalised, because `a//b`, `/lead.jpg` and
/// `50%+1.jpg` are valid keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageUri(String);

/// The text does not have the form `s3://bucket/key`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not have the form s3://bucket/key")]
pub struct InvalidUri(String);

const SCHEME: &str = "s3://";

impl ImageUri {
    /// Returns the URI of `key` in `bucket`. A bucket's name cannot contain a `/`; a key can contain any character.
    pub fn new(bucket: &str, key: &str) -> Self {
        Self(format!("{SCHEME}{bucket}/{key}"))
    }

    /// Parses `s3://bucket/key`.
    ///
    /// # Errors
    /// Returns [`InvalidUri`] if the scheme, the bucket or the key is missing.
    pub fn parse(text: &str) -> Result<Self, InvalidUri> {
        let invalid = || InvalidUri(text.to_owned());
        let rest = text.strip_prefix(SCHEME).ok_or_else(invalid)?;
        match rest.split_once('/') {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(invalid()),
        }
    }

    /// Returns the bucket's name.
    pub fn bucket(&self) -> &str {
        self.split().0
    }

    /// Returns the object's key, unchanged.
    pub fn key(&self) -> &str {
        self.split().1
    }

    /// Returns the id of the image, which is the same in every store and in every run: UUID v5 of the URI in the URL
    /// namespace.
    pub fn id(&self) -> ImageId {
        ImageId(Uuid::new_v5(&Uuid::NAMESPACE_URL, self.0.as_bytes()))
    }

    /// Returns the whole URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns every prefix of the key that ends in `/`: `a/` and `a/b/` for `a/b/c.jpg`.
    pub fn folders(&self) -> Vec<String> {
        let key = self.key();
        key.match_indices('/').map(|(at, _)| key[..=at].to_owned()).collect()
    }

    fn split(&self) -> (&str, &str) {
        self.0[SCHEME.len()..].split_once('/').unwrap_or((&self.0[SCHEME.len()..], ""))
    }
}

impl TryFrom<String> for ImageUri {
    type Error = InvalidUri;
    fn try_from(text: String) -> Result<Self, InvalidUri> {
        Self::parse(&text)
    }
}

impl From<ImageUri> for String {
    fn from(uri: ImageUri) -> Self {
        uri.0
    }
}

impl fmt::Display for ImageUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of an image in every store: UUID v5 of its URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub Uuid);

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for ImageId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// An image that a listing contains and that has not been read yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    /// Where the image is.
    pub uri: ImageUri,
    /// The version of the object, by which a change is detected: the ETag without its quotes or, if the listing has no
    /// ETag, the time when the object was last written ([`super::object_version`]).
    pub etag: Option<String>,
    /// The size that the listing gave, in bytes.
    pub size_bytes: u64,
    /// When the object was last written, if the listing contains it.
    pub modified: Option<Timestamp>,
}

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

/// What the header of the original image says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageMeta {
    /// The format, detected by magic bytes.
    pub format: ImageFormat,
    /// Width in pixels, after the orientation was applied.
    pub width: u32,
    /// Height in pixels, after the orientation was applied.
    pub height: u32,
    /// Number of frames of an animation; 1 for a still image.
    pub frames: u32,
    /// EXIF orientation 1 to 8, already applied to `width` and `height`.
    pub orientation: u8,
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
    fn keys_with_special_characters_are_not_changed() {
        for key in ["a b.jpg", "a+b.jpg", "50%25.jpg", "ünï/日本.png", "/lead.jpg", "a//b.jpg", "s3://x/y"] {
            let uri = ImageUri::new("pipeline", key);
            assert_eq!(uri.key(), key);
            assert_eq!(uri.bucket(), "pipeline");
            assert_eq!(ImageUri::parse(uri.as_str()).unwrap(), uri);
        }
    }

    #[test]
    fn the_id_of_a_uri_never_changes() {
        let uri = ImageUri::new("pipeline", "images/cat.jpg");
        assert_eq!(uri.id().to_string(), "e4512532-4a1b-52b4-9f9b-9f4fe8b5bf09");
    }

    #[test]
    fn text_that_is_not_a_uri_is_refused() {
        for text in ["", "cat.jpg", "s3://", "s3://bucket", "s3://bucket/", "s3:///key", "http://b/k"] {
            assert!(ImageUri::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn folders_are_all_prefixes_that_end_in_a_slash() {
        assert_eq!(ImageUri::new("b", "a/b/c.jpg").folders(), ["a/", "a/b/"]);
        assert!(ImageUri::new("b", "c.jpg").folders().is_empty());
        assert_eq!(ImageUri::new("b", "/c.jpg").folders(), ["/"]);
    }

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
