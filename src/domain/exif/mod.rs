//! What cameras and photo software wrote into an image: when, where and with what it was taken, and how it is described.

mod place;
mod taken_at;

use serde::{Deserialize, Serialize};

use super::setting::keyword;

pub use place::{BoundingBox, Circle, InvalidPlace, Position};
pub use taken_at::{InvalidTakenAt, InvalidTakenMonth, TakenAt, TakenMonth};

/// Which facts are read from EXIF, IPTC and XMP (`IMAGE_EXIF`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum ExifLevel {
    /// None.
    #[default]
    None,
    /// Those that say neither where an image was taken nor what a person wrote about it.
    Basic,
    /// All: also the position, title, caption and keywords.
    All,
}

impl TryFrom<String> for ExifLevel {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        match keyword(&name).as_str() {
            "none" => Ok(Self::None),
            "basic" => Ok(Self::Basic),
            "all" => Ok(Self::All),
            _ => Err("it must be `none`, `basic` or `all`"),
        }
    }
}

impl ExifLevel {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// The facts of one image. A fact that the file does not have is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExifFacts {
    /// Which facts were read. [`ExifLevel::None`] in records of earlier versions.
    #[serde(default, rename = "exif", skip_serializing_if = "ExifLevel::is_none")]
    pub level: ExifLevel,
    /// When the image was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<TakenAt>,
    /// Maker and model of the camera; at most [`ExifFacts::MAX_NAME_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<String>,
    /// Model of the lens; at most [`ExifFacts::MAX_NAME_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lens: Option<String>,
    /// The EXIF orientation, 1 to 8. It is already applied to width, height and pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orientation: Option<u8>,
    /// The rating: 1 to 5 stars, 0 for none, -1 for a rejected image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<i8>,
    /// Where the image was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Position>,
    /// The title; at most [`ExifFacts::MAX_TITLE_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The caption; at most [`ExifFacts::MAX_CAPTION_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// The keywords; at most [`ExifFacts::MAX_KEYWORDS`], each of at most [`ExifFacts::MAX_NAME_BYTES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
}

impl ExifFacts {
    /// Maximum bytes of the names of a camera and of a lens, and of a keyword.
    pub const MAX_NAME_BYTES: usize = 128;
    /// Maximum bytes of a title.
    pub const MAX_TITLE_BYTES: usize = 512;
    /// Maximum bytes of a caption.
    pub const MAX_CAPTION_BYTES: usize = 2_048;
    /// Maximum number of keywords.
    pub const MAX_KEYWORDS: usize = 64;

    /// Returns the first fact that is above its limit, with its name and the limit. Facts that this service read are not.
    pub fn above_limit(&self) -> Option<(&'static str, usize)> {
        let texts = [
            ("camera", &self.camera, Self::MAX_NAME_BYTES),
            ("lens", &self.lens, Self::MAX_NAME_BYTES),
            ("title", &self.title, Self::MAX_TITLE_BYTES),
            ("caption", &self.caption, Self::MAX_CAPTION_BYTES),
        ];
        let is_long = |text: &str, limit: usize| text.len() > limit;
        let mut long =
            texts.into_iter().filter(|(_, text, limit)| text.as_deref().is_some_and(|text| is_long(text, *limit)));
        if let Some((name, _, limit)) = long.next() {
            return Some((name, limit));
        }
        let (count, bytes) = (Self::MAX_KEYWORDS, Self::MAX_NAME_BYTES);
        if self.keywords.len() > count {
            return Some(("keywords", count));
        }
        self.keywords.iter().any(|keyword| is_long(keyword, bytes)).then_some(("keywords", bytes))
    }

    /// Returns the bytes of all texts together.
    pub fn text_bytes(&self) -> usize {
        let single = [&self.camera, &self.lens, &self.title, &self.caption];
        single.into_iter().flatten().chain(&self.keywords).map(String::len).sum()
    }

    /// Returns the month in which the image was taken, as filters and facets name it: the month of a year, and the month of
    /// any year. Empty if the time is not known.
    pub fn months(&self) -> Vec<String> {
        self.taken_at.map(|taken_at| taken_at.months().map(|month| month.to_string())).into_iter().flatten().collect()
    }
}
