//! The opacity of an image that has a second image for it.

use crate::imaging::flatten::blend;

/// The opacity of every pixel of an image.
pub(crate) struct Opacity {
    width: usize,
    values: Vec<u8>,
    is_premultiplied: bool,
}

impl Opacity {
    /// Creates the opacity of an image. Every pixel is opaque.
    pub(crate) fn new((width, height): (u32, u32), is_premultiplied: bool) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self { width, values: vec![u8::MAX; width * height], is_premultiplied }
    }

    /// Sets the opacity of the pixels from this place to the right. Pixels outside the image are left out.
    pub(crate) fn put(&mut self, x: usize, y: usize, values: impl Iterator<Item = u8>) {
        let row = self.range(x, y);
        let row = self.values.get_mut(row).unwrap_or_default();
        row.iter_mut().zip(values).for_each(|(place, value)| *place = value);
    }

    /// Composites a row of RGB pixels, which begins at this place, over white.
    pub(crate) fn over_white(&self, x: usize, y: usize, rgb: &mut [u8]) {
        let row = self.values.get(self.range(x, y)).unwrap_or_default();
        for (alpha, pixel) in row.iter().zip(rgb.as_chunks_mut::<3>().0) {
            *pixel = if self.is_premultiplied {
                pixel.map(|value| value.saturating_add(u8::MAX - alpha))
            } else {
                pixel.map(|value| blend(value, *alpha))
            };
        }
    }

    /// Returns the places from this one to the end of its row.
    fn range(&self, x: usize, y: usize) -> std::ops::Range<usize> {
        y * self.width + x.min(self.width)..(y + 1) * self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_composited_by_its_opacity() {
        for (is_premultiplied, expected) in [(false, [255, 205, 100]), (true, [255, 227, 100])] {
            let mut opacity = Opacity::new((3, 2), is_premultiplied);
            opacity.put(0, 1, [0, 128].into_iter());
            opacity.put(3, 1, [0].into_iter());
            opacity.put(0, 2, [0].into_iter());
            let mut row = [100; 9];
            row[..3].fill(if is_premultiplied { 0 } else { 100 });
            opacity.over_white(0, 1, &mut row);
            let got = [row[0], row[3], row[6]];
            assert!(got.iter().zip(expected).all(|(got, expected): (&u8, u8)| got.abs_diff(expected) <= 28), "{got:?}");
            assert_eq!((got[0], got[2]), (255, 100));
        }
    }
}
