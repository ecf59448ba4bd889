//! Describes the coding of a JPEG by its frame header: codings that no decoder supports, the decoder for
//! each supported coding, and the memory that it needs.

use super::cmyk;
use crate::imaging::ImageError;
use crate::imaging::facts::walk::jpeg_segment;

/// The facts from the frame header and the first scan header of a JPEG.
pub(crate) struct Coding {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// One (gray), three (YCbCr or RGB) or four (CMYK or YCCK).
    pub(crate) components: u8,
    /// Horizontal and vertical sampling factor of each component.
    sampling: Vec<(u8, u8)>,
    progressive: bool,
    /// Whether the image is baseline and its first scan does not contain all components.
    several_scans: bool,
}

/// Reads the frame header from segments that the caller passes one by one.
#[derive(Default)]
pub(crate) struct CodingReader(Option<Result<Coding, ImageError>>);

impl CodingReader {
    /// Processes one segment. Only the first frame header is used.
    pub(crate) fn take(&mut self, marker: u8, body: &[u8]) {
        match (marker, &mut self.0) {
            (0xC4 | 0xC8 | 0xCC, _) => {}
            (0xDE | 0xF7 | 0xC0..=0xCF, None) => self.0 = Some(parse_frame_header(marker, body)),
            (0xDA, Some(Ok(coding))) => {
                let scanned = body.first().copied().unwrap_or(0);
                coding.several_scans = !coding.progressive && scanned < coding.components;
            }
            _ => {}
        }
    }

    /// Returns the frame header, if there was one.
    pub(crate) fn finish(self) -> Option<Result<Coding, ImageError>> {
        self.0
    }
}

/// Returns the coding of a file, or `None` if the file does not have a readable frame header.
pub(crate) fn read(bytes: &[u8]) -> Option<Coding> {
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

fn parse_frame_header(marker: u8, body: &[u8]) -> Result<Coding, ImageError> {
    if let Some(name) = unsupported_name(marker) {
        return Err(ImageError::coding(format!("{name} JPEG")));
    }
    let &[precision, h1, h0, w1, w0, components, ref declared @ ..] = body else {
        return Err(ImageError::corrupt(crate::domain::ImageFormat::Jpeg, "its frame header is too short"));
    };
    if precision != 8 {
        return Err(ImageError::coding(format!("a JPEG with {precision} bits per sample")));
    }
    if !matches!(components, 1 | 3 | 4) {
        return Err(ImageError::coding(format!("a JPEG with {components} components")));
    }
    let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
    if height == 0 && width > 0 {
        return Err(ImageError::coding("a JPEG with its height after the first scan (DNL)".to_owned()));
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
    /// Returns whether zune-jpeg decodes it correctly. It does not if a baseline image has several scans, or if the
    /// first component is not the one with the most samples. It rejects sampling factors of three.
    pub(crate) fn is_read_by_zune(&self) -> bool {
        let (across, down) = self.max_sampling();
        let has_supported_factors =
            self.sampling.iter().all(|&(across, down)| matches!((across, down), (1 | 2 | 4, 1 | 2 | 4)));
        !self.several_scans && has_supported_factors && self.sampling.first() == Some(&(across, down))
    }

    /// Returns whether the image is progressive.
    pub(crate) fn is_progressive(&self) -> bool {
        self.progressive
    }

    /// Returns whether the image is in CMYK (four components).
    pub(crate) fn is_cmyk(&self) -> bool {
        self.components == 4
    }

    /// Returns the bytes that its decoder allocates for this number of pixels, including the conversion to RGB.
    pub(crate) fn decoded_bytes(&self, pixels: u64) -> u64 {
        let (across, down) = self.max_sampling();
        let whole = u64::from(across) * u64::from(down);
        let samples: u64 = self.sampling.iter().map(|&(across, down)| u64::from(across) * u64::from(down)).sum();
        // Rounded up. A component has at most as many samples as the image has pixels.
        let samples = pixels.saturating_mul(samples).div_ceil(whole.max(1)).min(pixels.saturating_mul(4));
        let components = u64::from(self.components);
        let rgb = pixels.saturating_mul(3);
        let coefficients = samples.saturating_mul(2);
        // For its thumbnail, a small CMYK image is decoded a second time to its inks, by the other decoder.
        let inks = if self.is_cmyk() && pixels <= cmyk::MAX_PIXELS { coefficients } else { 0 };
        match (self.is_read_by_zune(), self.progressive) {
            (true, false) => rgb + inks,
            // A progressive image keeps 16-bit coefficients of every component until its last scan.
            (true, true) => rgb + coefficients + inks,
            // The coefficients that wait for the threads which transform them, the components, the image, and a second
            // image for the comparison.
            (false, _) => inks + coefficients + samples + pixels.saturating_mul(components) + rgb,
        }
    }

    fn max_sampling(&self) -> (u8, u8) {
        let across = self.sampling.iter().map(|&(across, _)| across).max().unwrap_or(1);
        (across, self.sampling.iter().map(|&(_, down)| down).max().unwrap_or(1))
    }
}
