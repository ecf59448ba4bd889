//! How a JPEG is coded, by its frame header: what no decoder here reads, what takes which decoder, and what it costs.

use super::walk::jpeg_segment;
use super::{ImageError, cmyk};

/// The frame header of a JPEG, and how its first scan begins.
pub(super) struct Coding {
    pub(super) width: u32,
    pub(super) height: u32,
    /// One (gray), three (YCbCr or RGB) or four (CMYK or YCCK).
    pub(super) components: u8,
    /// Horizontal and vertical sampling factor of each component.
    sampling: Vec<(u8, u8)>,
    progressive: bool,
    /// Baseline, and not all components are in the first scan.
    several_scans: bool,
}

/// Reads the frame header out of segments that are offered one by one.
#[derive(Default)]
pub(super) struct CodingReader(Option<Result<Coding, ImageError>>);

impl CodingReader {
    /// Takes one segment. Only the first frame header counts.
    pub(super) fn take(&mut self, marker: u8, body: &[u8]) {
        match (marker, &mut self.0) {
            (0xC4 | 0xC8 | 0xCC, _) => {}
            (0xDE | 0xF7 | 0xC0..=0xCF, None) => self.0 = Some(frame(marker, body)),
            (0xDA, Some(Ok(coding))) => {
                let scanned = body.first().copied().unwrap_or(0);
                coding.several_scans = !coding.progressive && scanned < coding.components;
            }
            _ => {}
        }
    }

    /// The frame header, if there was one.
    pub(super) fn finish(self) -> Option<Result<Coding, ImageError>> {
        self.0
    }
}

/// The coding of a whole file; `None` if it has no frame header that can be read.
pub(super) fn read(bytes: &[u8]) -> Option<Coding> {
    let mut reader = CodingReader::default();
    let mut at = 2;
    while let Some(segment) = jpeg_segment(bytes, at) {
        at = segment.end;
        reader.take(segment.marker, segment.body);
        if segment.marker == 0xDA {
            break;
        }
    }
    reader.finish()?.ok()
}

fn frame(marker: u8, body: &[u8]) -> Result<Coding, ImageError> {
    if let Some(name) = unsupported_name(marker) {
        return Err(ImageError::coding(format!("{name} JPEG")));
    }
    let &[precision, h1, h0, w1, w0, components, ref declared @ ..] = body else {
        return Err(ImageError::corrupt(crate::domain::ImageFormat::Jpeg, "its frame header is too short"));
    };
    if precision != 8 {
        return Err(ImageError::coding(format!("a JPEG with {precision} bits a sample")));
    }
    if !matches!(components, 1 | 3 | 4) {
        return Err(ImageError::coding(format!("a JPEG of {components} components")));
    }
    let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
    if height == 0 && width > 0 {
        return Err(ImageError::coding("a JPEG that gives its height after the first scan (DNL)".to_owned()));
    }
    Ok(Coding {
        width: width.into(),
        height: height.into(),
        components,
        sampling: declared.as_chunks::<3>().0.iter().map(|&[_, factors, _]| (factors >> 4, factors & 15)).collect(),
        progressive: marker == 0xC2,
        several_scans: false,
    })
}

fn unsupported_name(marker: u8) -> Option<&'static str> {
    Some(match marker {
        0xC0..=0xC2 => return None,
        0xC3 => "a lossless",
        0xC5..=0xC7 | 0xDE => "a hierarchical",
        0xC9 | 0xCA => "an arithmetic-coded",
        0xCB => "a lossless arithmetic-coded",
        0xF7 => "a JPEG-LS coded",
        _ => "a hierarchical arithmetic-coded",
    })
}

impl Coding {
    /// Whether zune-jpeg decodes it to the right image. It does not if a baseline image has several scans, or if the first
    /// component is not the one with the most samples; it refuses factors of three.
    pub(super) fn is_read_by_zune(&self) -> bool {
        let (across, down) = self.densest();
        let usual = self.sampling.iter().all(|&(across, down)| matches!((across, down), (1 | 2 | 4, 1 | 2 | 4)));
        !self.several_scans && usual && self.sampling.first() == Some(&(across, down))
    }

    /// The image in CMYK: four components.
    pub(super) fn is_cmyk(&self) -> bool {
        self.components == 4
    }

    /// Bytes that its decoder allocates for this many pixels, with the conversion to RGB.
    pub(super) fn decoded_bytes(&self, pixels: u64) -> u64 {
        let (across, down) = self.densest();
        let whole = u64::from(across) * u64::from(down);
        let samples: u64 = self.sampling.iter().map(|&(across, down)| u64::from(across) * u64::from(down)).sum();
        // Rounded up; a component has at most as many samples as the image has pixels.
        let samples = pixels.saturating_mul(samples).div_ceil(whole.max(1)).min(pixels.saturating_mul(4));
        let components = u64::from(self.components);
        let rgb = pixels.saturating_mul(3);
        let coefficients = samples.saturating_mul(2);
        // The inks of a small CMYK image are decoded once more for its thumbnail, by the other decoder.
        let inks = if self.is_cmyk() && pixels <= cmyk::MAX_PIXELS { coefficients } else { 0 };
        match (self.is_read_by_zune(), self.progressive) {
            (true, false) => rgb + inks,
            // A progressive image keeps 16-bit coefficients of every component until its last scan.
            (true, true) => rgb + coefficients + inks,
            // Coefficients on their way to the threads that transform them, the components, the image, and a second one
            // that it is compared with.
            (false, _) => inks + coefficients + samples + pixels.saturating_mul(components) + rgb,
        }
    }

    fn densest(&self) -> (u8, u8) {
        let across = self.sampling.iter().map(|&(across, _)| across).max().unwrap_or(1);
        (across, self.sampling.iter().map(|&(_, down)| down).max().unwrap_or(1))
    }
}
