//! Decodes large GIF images reduced, row by row: the decoder of `image` needs seven bytes per pixel.

use fast_image_resize::images::TypedImage;
use fast_image_resize::pixels::U16x3;
use gif::{ColorOutput, DecodeOptions};

use super::reduced::Reduced;
use super::repair;
use crate::domain::ImageFormat;

/// Decodes the first frame and replaces each square of `times` x `times` pixels by its mean. Transparent pixels, and
/// pixels outside the frame, are white. `size` is the size of the image in pixels. Returns `None` if the file is
/// invalid or truncated.
pub(super) fn decode_reduced(bytes: &[u8], size: (u32, u32), times: u32) -> Option<Reduced> {
    let decoded = decode_as_is(bytes, size, times);
    decoded.or_else(|| decode_as_is(&repair::after(bytes, ImageFormat::Gif, false)?, size, times))
}

fn decode_as_is(bytes: &[u8], (width, height): (u32, u32), times: u32) -> Option<Reduced> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    let mut decoder = options.read_info(bytes).ok()?;
    let frame = decoder.next_frame_info().ok()??.clone();
    let palette = decoder.palette().ok()?.to_vec();
    let colours: Vec<[u8; 3]> = palette.as_chunks::<3>().0.to_vec();
    let visible = |index: u8| if frame.transparent == Some(index) { None } else { colours.get(usize::from(index)) };

    let (across, down) = (width.div_ceil(times), height.div_ceil(times));
    let area = |column: u32, row: u32| times.min(width - column * times) * times.min(height - row * times);
    let cells = (0..down).flat_map(|row| (0..across).map(move |column| (column, row)));
    let areas: Vec<u32> = cells.map(|(column, row)| area(column, row)).collect();
    // Every pixel is white at first.
    let mut sums: Vec<[u32; 3]> = areas.iter().map(|&area| [area * 255; 3]).collect();

    let mut indexes = vec![0; frame.width.into()];
    for row in rows(frame.height.into(), frame.interlaced) {
        if !decoder.fill_buffer(&mut indexes).ok()? {
            return None;
        }
        let first = (u32::from(frame.top) + row) / times * across;
        for (column, &index) in (u32::from(frame.left)..).zip(&indexes) {
            let sum = sums.get_mut((first + column / times) as usize)?;
            if let Some(colour) = visible(index) {
                sum.iter_mut().zip(colour).for_each(|(sum, &value)| *sum = sum.saturating_sub(255 - u32::from(value)));
            }
        }
    }
    // The value is in the high byte, as in every reduced image.
    let mean = |sum: u32, area: u32| u16::try_from((u64::from(sum) << 8) / u64::from(area)).unwrap_or(u16::MAX);
    let pixels = sums.iter().zip(areas).map(|(sum, area)| U16x3::new(sum.map(|sum| mean(sum, area)))).collect();
    TypedImage::from_pixels(across, down, pixels).ok()
}

/// Returns the rows of a frame in the order in which they are stored.
fn rows(height: u32, interlaced: bool) -> impl Iterator<Item = u32> {
    let passes: &[(u32, usize)] = if interlaced { &[(0, 8), (4, 8), (2, 4), (1, 2)] } else { &[(0, 1)] };
    passes.iter().flat_map(move |&(first, step)| (first..height).step_by(step))
}

#[cfg(test)]
mod tests {
    use gif::{Encoder, Frame};

    use super::*;

    fn encode(frame: &Frame<'_>, width: u16, height: u16) -> Vec<u8> {
        let mut file = Vec::new();
        let palette = [0, 0, 0, 200, 100, 50, 10, 20, 30];
        Encoder::new(&mut file, width, height, &palette).unwrap().write_frame(frame).unwrap();
        file
    }

    fn means(image: &Reduced) -> Vec<[u8; 3]> {
        image.pixels().iter().map(|pixel| pixel.0.map(|value| u8::try_from(value >> 8).unwrap())).collect()
    }

    #[test]
    fn rows_are_read_in_their_stored_order() {
        let mut all: Vec<u32> = rows(37, true).collect();
        assert_eq!(all[..6], [0, 8, 16, 24, 32, 4]);
        all.sort_unstable();
        assert_eq!(all, rows(37, false).collect::<Vec<_>>());
    }

    #[test]
    fn the_means_of_squares_are_those_of_the_pixels() {
        // Left half colour 1, right half colour 2; 5 x 4 pixels at (1, 0) of a screen of 6 x 4.
        let indexes: Vec<u8> = (0..4).flat_map(|_| [1, 1, 2, 2, 0]).collect();
        let frame =
            Frame { width: 5, height: 4, left: 1, transparent: Some(0), buffer: indexes.into(), ..Frame::default() };
        let image = decode_reduced(&encode(&frame, 6, 4), (6, 4), 2).unwrap();
        let row = [[227, 177, 152], [105, 60, 40], [132, 137, 142]];
        assert_eq!(means(&image), [row, row].concat());
    }

    #[test]
    fn an_interlaced_or_truncated_file_is_recognized() {
        let rows_of_one_colour: Vec<u8> = (0..16).flat_map(|row| [u8::from(row >= 8); 8]).collect();
        let stored: Vec<u8> =
            rows(16, true).flat_map(|row| rows_of_one_colour[row as usize * 8..][..8].to_vec()).collect();
        let frame = Frame { width: 8, height: 16, interlaced: true, buffer: stored.into(), ..Frame::default() };
        let file = encode(&frame, 8, 16);
        let image = decode_reduced(&file, (8, 16), 8).unwrap();
        assert_eq!(means(&image), [[0, 0, 0], [200, 100, 50]]);
        assert!(decode_reduced(&file[..file.len() - 6], (8, 16), 8).is_none());
    }
}
