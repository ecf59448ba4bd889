//! Decodes the inks of a CMYK page. They are decoded as two images of three samples, because a canvas has three.

use fast_image_resize::ImageView;
use image::RgbImage;

use super::colours::InkPart;
use super::layout::Layout;
use super::page::Page;
use super::{Canvas, decode_to_canvas};
use crate::imaging::inks::Inks;
use crate::imaging::reduced::Reduced;

/// Whether the first page is in CMYK, without transparency.
pub(crate) fn has_inks(bytes: &[u8]) -> bool {
    Page::find(bytes)
        .is_ok_and(|page| Layout::read(bytes, &page.directory).is_ok_and(|layout| layout.colours.are_inks()))
}

/// Decodes the inks of the first page with at least this width and height, or with all of its pixels.
pub(crate) fn decode_inks(bytes: &[u8], (width, height): (u32, u32)) -> Option<Inks> {
    let directory = Page::find(bytes).ok()?.directory;
    let (page_width, page_height) = Layout::read(bytes, &directory).ok()?.size;
    let times = (page_width / width.max(1)).min(page_height / height.max(1)).clamp(1, 256);
    let (coloured, size) = decode_part(bytes, InkPart::Coloured, times)?;
    let (black, _) = decode_part(bytes, InkPart::Black, times)?;
    let pairs = coloured.as_chunks::<3>().0.iter().zip(black.as_chunks::<3>().0);
    let bytes = pairs.flat_map(|(&[cyan, magenta, yellow], &[black, ..])| [cyan, magenta, yellow, black]).collect();
    let extent = [page_width, page_height].map(|side| f64::from(side) / f64::from(times));
    Some(Inks { bytes, size, extent: (extent[0], extent[1]) })
}

/// Returns three samples for each pixel, and the width and height.
fn decode_part(bytes: &[u8], part: InkPart, times: u32) -> Option<(Vec<u8>, (u32, u32))> {
    let finish: fn(Canvas) -> Option<_> = if times == 1 {
        |canvas: Canvas| canvas.finish_whole().map(whole)
    } else {
        |canvas: Canvas| canvas.finish_reduced().map(|image| means(&image))
    };
    decode_to_canvas(bytes, times, Some(part), finish).ok()
}

fn whole(image: RgbImage) -> (Vec<u8>, (u32, u32)) {
    let size = image.dimensions();
    (image.into_raw(), size)
}

/// Rounds samples of 16 bits to 8.
fn means(image: &Reduced) -> (Vec<u8>, (u32, u32)) {
    let byte = |sample: u16| sample.saturating_add(128).to_be_bytes()[0];
    (image.pixels().iter().flat_map(|pixel| pixel.0.map(byte)).collect(), (image.width(), image.height()))
}
