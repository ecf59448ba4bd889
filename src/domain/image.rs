//! An image as a URI, as an entry of a listing, and as its header describes it.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ImageFormat, Timestamp};

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
}
