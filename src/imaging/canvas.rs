//! Collects an image that its decoder returns in parts: every pixel, or only the mean of each square of pixels.

use fast_image_resize::images::TypedImage;
use fast_image_resize::pixels::U16x3;
use image::RgbImage;

use super::reduced::Reduced;

/// An image that is put together from rows of RGB. Pixels that no row covers are black.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    content: Content,
}

enum Content {
    Whole(Vec<u8>),
    /// The sums of the squares of `times` x `times` pixels, row by row.
    Sums {
        times: usize,
        sums: Vec<[u32; 3]>,
    },
}

impl Canvas {
    /// Bytes for each pixel of a canvas that keeps every pixel.
    pub(super) const BYTES_PER_PIXEL: u64 = 3;
    /// Bytes for each mean of a reduced canvas: the sums, and three samples of 16 bits.
    pub(super) const BYTES_PER_MEAN: u64 = 12 + 6;

    /// Creates a canvas. If `times` is more than 1, it keeps the means of squares of `times` x `times` pixels; `times`
    /// is at most 256.
    pub(super) fn new((width, height): (u32, u32), times: u32) -> Self {
        let (width, height, times) = (width as usize, height as usize, times as usize);
        let content = if times > 1 {
            Content::Sums { times, sums: vec![[0; 3]; width.div_ceil(times) * height.div_ceil(times)] }
        } else {
            Content::Whole(vec![0; width * height * 3])
        };
        Self { width, height, content }
    }

    /// Puts a row of RGB pixels at this place. Pixels outside the image are dropped.
    pub(super) fn put(&mut self, x: usize, y: usize, rgb: &[u8]) {
        if x >= self.width || y >= self.height {
            return;
        }
        let count = (rgb.len() / 3).min(self.width - x);
        let rgb = &rgb[..count * 3];
        match &mut self.content {
            Content::Whole(pixels) => {
                let from = (y * self.width + x) * 3;
                pixels[from..from + rgb.len()].copy_from_slice(rgb);
            }
            Content::Sums { times, sums } => {
                let (mut place, first) = (y / *times * self.width.div_ceil(*times) + x / *times, *times - x % *times);
                let (head, rest) = rgb.split_at((first * 3).min(rgb.len()));
                for part in std::iter::once(head).chain(rest.chunks(*times * 3)) {
                    let mut sum = sums[place];
                    for pixel in part.as_chunks::<3>().0 {
                        for (sum, &value) in sum.iter_mut().zip(pixel) {
                            *sum += u32::from(value);
                        }
                    }
                    sums[place] = sum;
                    place += 1;
                    if place == sums.len() {
                        break;
                    }
                }
            }
        }
    }

    /// Returns the side of the squares, or `None` if every pixel is kept.
    #[cfg(feature = "heic")]
    pub(super) fn times(&self) -> Option<usize> {
        match self.content {
            Content::Whole(_) => None,
            Content::Sums { times, .. } => Some(times),
        }
    }

    /// Adds the sums of pixels of one square. Squares outside of the image are dropped.
    #[cfg(feature = "heic")]
    pub(super) fn add(&mut self, column: usize, row: usize, more: [u32; 3]) {
        if let Content::Sums { times, sums } = &mut self.content
            && let Some(square) = sums.get_mut(row * self.width.div_ceil(*times) + column)
        {
            for (sum, more) in square.iter_mut().zip(more) {
                *sum += more;
            }
        }
    }

    /// Returns the image, or `None` if it was reduced.
    pub(super) fn finish_whole(self) -> Option<RgbImage> {
        let [width, height] = [self.width, self.height].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        match self.content {
            Content::Whole(pixels) => RgbImage::from_raw(width, height, pixels),
            Content::Sums { .. } => None,
        }
    }

    /// Returns the means, or `None` if every pixel was kept.
    pub(super) fn finish_reduced(self) -> Option<Reduced> {
        let Content::Sums { times, ref sums } = self.content else { return None };
        let pixels = self.means(times, sums).map(U16x3::new).collect();
        let [across, down] =
            [self.width, self.height].map(|side| u32::try_from(side.div_ceil(times)).unwrap_or(u32::MAX));
        TypedImage::from_pixels(across, down, pixels).ok()
    }

    /// Returns the bytes of every pixel, or the means as samples of 16 bits, little-endian.
    #[cfg_attr(not(any(feature = "avif", feature = "jxl")), expect(dead_code, reason = "only helpers need them"))]
    pub(super) fn finish_bytes(self) -> Vec<u8> {
        match self.content {
            Content::Whole(pixels) => pixels,
            Content::Sums { times, ref sums } => {
                self.means(times, sums).flat_map(|mean| mean.into_iter().flat_map(u16::to_le_bytes)).collect()
            }
        }
    }

    /// Returns the means of the squares. The value is in the high byte, as in every reduced image.
    fn means(&self, times: usize, sums: &[[u32; 3]]) -> impl Iterator<Item = [u16; 3]> {
        let across = self.width.div_ceil(times);
        sums.iter().enumerate().map(move |(place, sum)| {
            let (column, row) = (place % across * times, place / across * times);
            let area = ((self.width - column).min(times) * (self.height - row).min(times)) as u64;
            sum.map(|sum| u16::try_from((u64::from(sum) << 8) / area).unwrap_or(u16::MAX))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_any_order_give_the_image_and_the_means_of_its_squares() {
        let rows: Vec<Vec<u8>> = (0..5_u8).map(|y| (0..7 * 3).map(|at| at * 7 + y * 11).collect()).collect();
        for times in [1, 2, 3, 9] {
            let mut canvas = Canvas::new((7, 5), times);
            for y in [4, 0, 2, 1, 3] {
                canvas.put(3, y, &[&rows[y][9..], &[255; 6][..]].concat());
                canvas.put(0, y, &rows[y][..9]);
            }
            canvas.put(0, 5, &[255; 3]);
            if times == 1 {
                assert_eq!(canvas.finish_whole().unwrap().into_raw(), rows.concat());
                continue;
            }
            let across = 7_u32.div_ceil(times);
            for (place, pixel) in (0_u32..).zip(canvas.finish_reduced().unwrap().pixels()) {
                let (left, top) = (place % across * times, place / across * times);
                let columns = left as usize..(left + times).min(7) as usize;
                let square: Vec<u32> = rows[top as usize..(top + times).min(5) as usize]
                    .iter()
                    .flat_map(|row| columns.clone().map(|x| u32::from(row[x * 3 + 1])))
                    .collect();
                let expected = square.iter().sum::<u32>() * 256 / u32::try_from(square.len()).unwrap();
                assert_eq!(u32::from(pixel.0[1]), expected, "{times} {place}");
            }
        }
    }
}
