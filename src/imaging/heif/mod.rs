//! The container of HEIC and AVIF (HEIF, ISO/IEC 23008-12): which coded images make the primary image, how it is cropped and
//! turned, and its colours. It is read in this process by `heifer-isobmff`, which has no `unsafe` code.

pub(super) mod boxes;
pub(super) mod colours;
pub(super) mod item;
mod opacity;
mod turn;

use std::borrow::Cow;

use heifer_isobmff::boxes::Property;
use heifer_isobmff::{HeifFile, ItemId};

use super::ImageError;
use super::canvas::Canvas;
use crate::domain::ImageFormat;
use crate::imaging::facts::decoded::CodedFacts;
use item::Item;
use turn::Crop;

pub(super) use opacity::Opacity;

/// The coding of the images in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    #[cfg_attr(not(any(feature = "heic", test)), expect(dead_code, reason = "only HEIC has it"))]
    Hevc,
    #[cfg_attr(not(feature = "avif"), expect(dead_code, reason = "only AVIF has it"))]
    Av1,
}

impl Coding {
    pub(super) fn format(self) -> ImageFormat {
        match self {
            Self::Hevc => ImageFormat::Heic,
            Self::Av1 => ImageFormat::Avif,
        }
    }

    fn item_type(self) -> [u8; 4] {
        match self {
            Self::Hevc => *b"hvc1",
            Self::Av1 => *b"av01",
        }
    }

    /// Returns the side of the blocks to which the decoder rounds the size of an image.
    fn block_side(self) -> u32 {
        match self {
            Self::Hevc => 64,
            Self::Av1 => 128,
        }
    }

    /// Returns the bytes for each pixel of a coded image: the planes, and what the decoder keeps of each block and for its
    /// filters (measured).
    fn bytes_per_pixel(self, bytes: &[u8], file: &HeifFile<'_>, id: ItemId) -> Result<u64, ImageError> {
        match self {
            Self::Hevc => {
                let config = file.hevc_config(id).map_err(|error| container_error(bytes, &error, self))?;
                let config = config.ok_or_else(|| self.corrupt("its image has no HEVC header"))?;
                Ok(match config.chroma_format {
                    0 => 2 + 4,
                    1 => 3 + 5,
                    2 => 4 + 7,
                    _ => 6 + 9,
                })
            }
            Self::Av1 => {
                let config = find(file, id, |property| match property {
                    Property::Unknown(kind, content) if kind.0 == *b"av1C" => content.get(2).copied(),
                    _ => None,
                });
                let flags = config.ok_or_else(|| self.corrupt("its image has no AV1 header"))?;
                let is_set = |bit: u8| flags >> bit & 1 == 1;
                let sample_bytes = if is_set(6) { 2 } else { 1 };
                // Halves of a byte, because of 4:2:0. The planes are kept twice, before and after film grain is added.
                let halves = match (is_set(4), is_set(3), is_set(2)) {
                    (true, ..) => 2,
                    (_, true, true) => 3,
                    (_, true, false) => 4,
                    (_, false, _) => 6,
                };
                Ok(halves * sample_bytes + BYTES_PER_AV1_PIXEL)
            }
        }
    }

    pub(super) fn corrupt(self, reason: impl Into<String>) -> ImageError {
        ImageError::corrupt(self.format(), reason)
    }
}

/// The state of the AV1 decoder for each pixel: the blocks and the lines between them.
const BYTES_PER_AV1_PIXEL: u64 = 3;

/// Returns what the container says about the primary image.
pub(super) fn facts(item: &Item) -> CodedFacts {
    let Crop { width, height, .. } = item.placement.crop;
    CodedFacts { size: (width, height), turn: item.placement.orientation(), coding_bytes: item.tile_bytes() }
}

/// Opens a file. The images are read only as far as the container describes them.
pub(super) fn open(bytes: &[u8], coding: Coding) -> Result<(HeifFile<'_>, Item), ImageError> {
    boxes::check(bytes, coding)?;
    let file = HeifFile::parse(bytes).map_err(|error| container_error(bytes, &error, coding))?;
    let item = Item::read(bytes, &file, coding)?;
    Ok((file, item))
}

/// Returns the EXIF block of the primary image.
pub(super) fn exif(bytes: &[u8], coding: Coding) -> Option<Vec<u8>> {
    let file = open(bytes, coding).ok()?.0;
    file.exif(file.primary_id).ok().flatten()
}

/// Returns the XMP packet of the primary image.
pub(super) fn xmp(bytes: &[u8], coding: Coding) -> Option<Vec<u8>> {
    let file = open(bytes, coding).ok()?.0;
    file.xmp(file.primary_id).ok().flatten()
}

/// Puts a row of a tile onto the canvas of the cropped image.
pub(super) fn put_row(canvas: &mut Canvas, item: &Item, x: usize, y: usize, rgb: &[u8]) {
    let crop = item.placement.crop;
    // Pixels left of the crop are dropped here, all others outside of it by the canvas.
    let (left, top) = (crop.left as usize, crop.top as usize);
    let skipped = left.saturating_sub(x).min(rgb.len() / 3);
    if let Some(y) = y.checked_sub(top) {
        canvas.put((x + skipped).saturating_sub(left), y, &rgb[skipped * 3..]);
    }
}

/// Returns the bytes of an item.
#[cfg_attr(not(feature = "avif"), expect(dead_code, reason = "heifer reads the items of HEIC"))]
pub(super) fn item_data<'a>(
    bytes: &'a [u8],
    file: &HeifFile<'a>,
    id: ItemId,
    coding: Coding,
) -> Result<Cow<'a, [u8]>, ImageError> {
    file.item_data(id).map_err(|error| container_error(bytes, &error, coding))
}

pub(super) fn find<'a, T>(file: &'a HeifFile<'_>, id: ItemId, read: impl Fn(&'a Property) -> Option<T>) -> Option<T> {
    file.item_properties(id).ok()?.find_map(read)
}

pub(super) fn container_error(bytes: &[u8], error: &heifer_isobmff::Error, coding: Coding) -> ImageError {
    if boxes::are_complete(bytes) { coding.corrupt(error.to_string()) } else { ImageError::truncated(coding.format()) }
}
