//! Converts the samples of a decoded AV1 frame to RGB (ITU-T H.273, 8.3): every number of bits, subsampling, matrix and range.

use super::frame::Frame;
use crate::imaging::ImageError;

/// Bits behind the point of the coefficients.
const POINT: u32 = 13;

/// How luma and chroma become red, green and blue.
enum Matrix {
    /// The coefficients of Cr for red, Cb and Cr for green, and Cb for blue.
    Chroma([i32; 4]),
    /// The samples are green, blue and red.
    Identity,
    /// Luma and two differences (`YCgCo`).
    Differences,
    /// Only luma counts.
    Gray,
}

/// Converts the rows of one frame.
pub(super) struct Converter {
    matrix: Matrix,
    /// Zero of luma.
    black: i32,
    luma_scale: i32,
    /// Zero of chroma.
    middle: i32,
    /// The largest sample of the result.
    max: i32,
    luma: Vec<u16>,
    chroma: [Vec<u16>; 2],
    blended: Vec<u16>,
}

impl Converter {
    /// Creates the converter for this matrix of ITU-T H.273.
    ///
    /// # Errors
    /// Fails if the matrix cannot be converted.
    pub(super) fn new(frame: &Frame, matrix: u16, primaries: u16, is_full_range: bool) -> Result<Self, ImageError> {
        let max = (1 << frame.bits()) - 1;
        let unit = 1 << (frame.bits() - 8);
        let (black, luma_range, chroma_range) =
            if is_full_range { (0, max, max) } else { (16 * unit, 219 * unit, 224 * unit) };
        let scale = |range: i32| f64::from(max) / f64::from(range);
        let chroma = |red: f64, blue: f64| {
            let green = 1.0 - red - blue;
            let factors = [
                2.0 - 2.0 * red,
                -(2.0 - 2.0 * blue) * blue / green,
                -(2.0 - 2.0 * red) * red / green,
                2.0 - 2.0 * blue,
            ];
            Matrix::Chroma(factors.map(|factor| fixed(factor * scale(chroma_range))))
        };
        let matrix = match matrix {
            _ if !frame.has_chroma() => Matrix::Gray,
            0 => Matrix::Identity,
            1 => chroma(0.2126, 0.0722),
            4 => chroma(0.30, 0.11),
            // Without a declaration, encoders use that of JPEG.
            2 | 3 | 5 | 6 => chroma(0.299, 0.114),
            7 => chroma(0.212, 0.087),
            8 => Matrix::Differences,
            9 => chroma(0.2627, 0.0593),
            // The matrix follows from the primaries.
            12 => match primaries {
                9 => chroma(0.2627, 0.0593),
                11 | 12 => chroma(0.2290, 0.0793),
                _ => chroma(0.2126, 0.0722),
            },
            other => return Err(ImageError::coding(format!("an AVIF image with the colour matrix {other}"))),
        };
        Ok(Self {
            matrix,
            black,
            luma_scale: fixed(scale(luma_range)),
            middle: 1 << (frame.bits() - 1),
            max,
            luma: Vec::new(),
            chroma: [Vec::new(), Vec::new()],
            blended: Vec::new(),
        })
    }

    /// Writes the RGB samples of a row, of 0 to the largest sample of the frame's bits.
    pub(super) fn row(&mut self, frame: &Frame, y: usize, rgb: &mut Vec<u16>) {
        self.luma.clear();
        frame.samples(0, y, &mut self.luma);
        if !matches!(self.matrix, Matrix::Gray) {
            for plane in [1, 2] {
                upsample(frame, plane, y, &mut self.blended, &mut self.chroma[plane - 1]);
            }
        }
        rgb.clear();
        let (max, half) = (self.max, 1 << (POINT - 1));
        let sample = |value: i32| u16::try_from(((value + half) >> POINT).clamp(0, max)).unwrap_or(u16::MAX);
        let luma = |value: u16| (i32::from(value) - self.black) * self.luma_scale;
        let planes = self.luma.iter().zip(&self.chroma[0]).zip(&self.chroma[1]);
        let middle = self.middle;
        match self.matrix {
            Matrix::Gray => rgb.extend(self.luma.iter().flat_map(|&gray| [sample(luma(gray)); 3])),
            Matrix::Chroma([red_cr, green_cb, green_cr, blue_cb]) => {
                for ((&y, &cb), &cr) in planes {
                    let (y, cb, cr) = (luma(y), i32::from(cb) - middle, i32::from(cr) - middle);
                    rgb.extend_from_slice(&[
                        sample(y + red_cr * cr),
                        sample(y + green_cb * cb + green_cr * cr),
                        sample(y + blue_cb * cb),
                    ]);
                }
            }
            Matrix::Identity => {
                for ((&green, &blue), &red) in planes {
                    rgb.extend_from_slice(&[sample(luma(red)), sample(luma(green)), sample(luma(blue))]);
                }
            }
            Matrix::Differences => {
                for ((&y, &cg), &co) in planes {
                    let (cg, co) = (i32::from(cg) - middle, i32::from(co) - middle);
                    let (y, cg, co) = (luma(y), cg * self.luma_scale, co * self.luma_scale);
                    rgb.extend_from_slice(&[sample(y - cg + co), sample(y + cg), sample(y - cg - co)]);
                }
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "coefficients are less than 3")]
fn fixed(factor: f64) -> i32 {
    (factor * f64::from(1 << POINT)).round() as i32
}

/// Returns a row of a chroma plane with a sample for each pixel. The samples of a subsampled plane are between the pixels, so
/// that the nearest one counts three times as much as the next one.
fn upsample(frame: &Frame, plane: usize, y: usize, blended: &mut Vec<u16>, row: &mut Vec<u16>) {
    let (half_width, half_height) = frame.subsampling();
    blended.clear();
    if half_height {
        let near = y / 2;
        let far = if y.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(frame.rows(plane) - 1) };
        frame.samples(plane, near, blended);
        row.clear();
        frame.samples(plane, far, row);
        for (near, far) in blended.iter_mut().zip(row.iter()) {
            *near = *near * 3 + far;
        }
    } else {
        frame.samples(plane, y, blended);
        for sample in blended.iter_mut() {
            *sample *= 4;
        }
    }
    row.clear();
    let Some(&last) = blended.last() else { return };
    if half_width {
        let mut before = blended[0];
        for place in 0..blended.len() {
            let (own, after) = (blended[place], blended.get(place + 1).copied().unwrap_or(last));
            let mix = |other: u16| u16::try_from((u32::from(own) * 3 + u32::from(other) + 8) >> 4).unwrap_or(u16::MAX);
            row.extend_from_slice(&[mix(before), mix(after)]);
            before = own;
        }
    } else {
        row.extend(blended.iter().map(|sample| (sample + 2) >> 2));
    }
}
