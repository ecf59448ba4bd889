//! The sizes of previews.

use crate::domain::Payload;
use crate::imaging::THUMBNAIL_SIDE;

/// The sides of the squares that previews fit into, in pixels. There are few, so that the cache holds few files of an image.
const SIDES: [u32; 4] = [THUMBNAIL_SIDE, 512, 1024, PreviewSide::MAX];

/// Side in pixels of the square that a preview fits into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviewSide(u32);

impl PreviewSide {
    /// The smallest side: a preview of it is the thumbnail.
    pub const MIN: u32 = THUMBNAIL_SIDE;
    /// The largest side.
    pub const MAX: u32 = 1440;
    pub(super) const THUMBNAIL: Self = Self(THUMBNAIL_SIDE);

    /// Returns the smallest side that is at least `requested`; `None` if `requested` is not between [`Self::MIN`] and
    /// [`Self::MAX`].
    pub fn new(requested: u32) -> Option<Self> {
        let is_allowed = (Self::MIN..=Self::MAX).contains(&requested);
        SIDES.into_iter().find(|side| is_allowed && *side >= requested).map(Self)
    }

    /// Returns the smallest side with the same result for this image, because no image is enlarged.
    pub(super) fn for_image(self, payload: &Payload) -> Self {
        let longest = payload.width.max(payload.height);
        SIDES.into_iter().find(|side| *side >= longest.min(self.0)).map_or(self, Self)
    }

    pub(super) fn pixels(self) -> u32 {
        self.0
    }

    /// The end of the names of the files of this side: a thumbnail has none.
    pub(super) fn suffix(self) -> String {
        if self == Self::THUMBNAIL { String::new() } else { format!("-{}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_rounded_up_and_bounded() {
        let side = |requested| PreviewSide::new(requested).map(PreviewSide::pixels);
        assert_eq!([256, 257, 1000, 1024, 1025, 1440].map(side), [256, 512, 1024, 1024, 1440, 1440].map(Some));
        assert_eq!([0, 255, 1441, u32::MAX].map(side), [None; 4]);
    }
}
