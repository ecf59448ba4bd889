//! Decodes TIFF and `BigTIFF`, strip by strip or tile by tile, so that memory is needed only for the result and one part.
//!
//! The `tiff` crate decompresses the parts. Their samples are converted to RGB here: the crate supports fewer kinds of
//! colours, and its JPEG decoder has no limits.

mod colours;
mod inks;
mod jpeg_part;
mod layout;
mod page;
mod parts;

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::RgbImage;
use image::metadata::Orientation;

use super::ImageError;
use super::canvas::Canvas;
use super::facts::tiff::tags;
use super::reduced::Reduced;
use crate::domain::ImageFormat;
use colours::{Colours, InkPart};
use layout::Layout;
use page::Page;

pub(crate) use inks::{decode_inks, has_inks};
pub(crate) use page::{is_ordinary, is_reduced, page_directory};

/// What the directories say about the image.
pub(crate) struct TiffFacts {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// The number of pages.
    pub(crate) frames: u32,
    pub(crate) orientation: Option<Orientation>,
    /// Bytes that the decoder allocates for one part.
    pub(crate) part_bytes: u64,
}

/// Reads the directories of a file.
pub(crate) fn read_facts(bytes: &[u8]) -> Result<TiffFacts, ImageError> {
    let page = Page::find(bytes)?;
    let layout = Layout::read(bytes, &page.directory)?;
    let (width, height) = layout.size;
    let orientation = page.orientation();
    Ok(TiffFacts { width, height, frames: page.count, orientation, part_bytes: layout.part_bytes() })
}

/// Decodes every pixel of the first page, in its stored orientation.
pub(crate) fn decode(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    decode_to_canvas(bytes, 1, None, Canvas::finish_whole)
}

/// Decodes the first page and replaces each square of `times` x `times` pixels by its mean.
pub(crate) fn decode_reduced(bytes: &[u8], times: u32) -> Result<Reduced, ImageError> {
    decode_to_canvas(bytes, times, None, Canvas::finish_reduced)
}

/// Decodes the first page: its colours, or some of its inks unconverted.
fn decode_to_canvas<T>(
    bytes: &[u8],
    times: u32,
    inks: Option<InkPart>,
    finish: fn(Canvas) -> Option<T>,
) -> Result<T, ImageError> {
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let directory = Page::find(bytes)?.directory;
        let mut layout = Layout::read(bytes, &directory)?;
        if let Some(part) = inks {
            layout.colours = Colours::only_inks(part);
        }
        let mut canvas = Canvas::new(layout.size, times);
        parts::each_row(bytes, &directory, &layout, |x, y, rgb| canvas.put(x, y, rgb)).map_err(
            |error| match error {
                ImageError::Corrupt { .. } if layout.data_end() > bytes.len() as u64 => {
                    ImageError::truncated(ImageFormat::Tiff)
                }
                error => error,
            },
        )?;
        finish(canvas).ok_or_else(|| layout::corrupt("its pixels have another number than its size requires"))
    }));
    decoded.unwrap_or_else(|_| Err(layout::corrupt("its decoder panicked")))
}

/// Returns the colour profile.
pub(crate) fn profile(bytes: &[u8]) -> Option<&[u8]> {
    Page::find(bytes).ok()?.directory.bytes(tags::ICC)
}

/// Whether all data of the image is in the file.
pub(crate) fn is_complete(bytes: &[u8]) -> bool {
    Page::find(bytes).is_ok_and(|page| {
        Layout::read(bytes, &page.directory).is_ok_and(|layout| layout.data_end() <= bytes.len() as u64)
    })
}
