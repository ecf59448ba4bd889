//! Chooses the directory of the image in a TIFF file: the first directory can be a thumbnail, and the image one of the
//! directories that follow it, or to which it refers (TIFF/EP).

use image::metadata::Orientation;

use crate::domain::ImageFormat;
use crate::imaging::ImageError;
use crate::imaging::facts::tiff::{Directory, Tiff, tags};

/// The values of `NewSubfileType`: a smaller version of another image, and a mask.
const REDUCED: u64 = 0b001;
const MASK: u64 = 0b100;
/// Maximum number of thumbnails whose images are searched for in the directories to which they refer.
const MAX_PARENTS: usize = 16;

/// The image of a file.
pub(super) struct Page<'a> {
    pub(super) directory: Directory<'a>,
    /// The directory of the thumbnail that refers to the image.
    parent: Option<Directory<'a>>,
    /// The number of pages of the file.
    pub(super) count: u32,
}

impl<'a> Page<'a> {
    /// Returns the first image that is neither a thumbnail nor a mask, or else the first of all.
    pub(super) fn find(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let directories = Tiff::open(bytes).map(|(file, first)| file.chain(first)).unwrap_or_default();
        let mut pages = directories.iter().enumerate().filter_map(|(place, directory)| {
            if is_full(directory) {
                return Some((*directory, None));
            }
            let child = if place < MAX_PARENTS { largest_child(directory) } else { None };
            child.map(|child| (child, Some(*directory)))
        });
        let first = pages.next().or_else(|| directories.first().map(|directory| (*directory, None)));
        let (directory, parent) = first.ok_or_else(|| ImageError::truncated(ImageFormat::Tiff))?;
        let count = u32::try_from(pages.count()).unwrap_or(u32::MAX).saturating_add(1);
        Ok(Self { directory, parent, count })
    }

    /// Returns the orientation. That of a thumbnail applies also to the images to which it refers.
    pub(super) fn orientation(&self) -> Option<Orientation> {
        let number = |directory: &Directory<'_>| directory.number(tags::ORIENTATION);
        let orientation = number(&self.directory).or_else(|| number(self.parent.as_ref()?))?;
        Orientation::from_exif(u8::try_from(orientation).ok()?)
    }
}

/// Returns the offset of the directory of the image.
pub(crate) fn page_directory(bytes: &[u8]) -> Option<u64> {
    Page::find(bytes).ok().map(|page| page.directory.offset())
}

/// Whether a directory is that of a thumbnail.
pub(crate) fn is_reduced(directory: &Directory<'_>) -> bool {
    directory.number(tags::NEW_SUBFILE_TYPE).unwrap_or(0) & REDUCED != 0
}

/// Whether a directory is that of an image whose samples are colours, and not data of a sensor.
pub(crate) fn is_ordinary(directory: &Directory<'_>) -> bool {
    is_full(directory)
        && matches!(directory.number(tags::PHOTOMETRIC), Some(0..=6))
        && matches!(directory.number(tags::COMPRESSION).unwrap_or(1), 1 | 4 | 5 | 7 | 8 | 32773 | 32946)
}

fn is_full(directory: &Directory<'_>) -> bool {
    directory.number(tags::NEW_SUBFILE_TYPE).unwrap_or(0) & (REDUCED | MASK) == 0
}

fn largest_child<'a>(directory: &Directory<'a>) -> Option<Directory<'a>> {
    let pixels = |child: &Directory<'_>| {
        let [width, height] = [tags::WIDTH, tags::HEIGHT].map(|tag| child.number(tag).unwrap_or(0));
        width.saturating_mul(height)
    };
    directory.children().into_iter().filter(|child| is_full(child) && pixels(child) > 0).max_by_key(pixels)
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
