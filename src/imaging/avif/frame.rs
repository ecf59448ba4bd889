//! Decodes one AV1 image. This runs only in the helper process: the decoder contains `unsafe` code.

use re_rav1d::dav1d::{Decoder, Error, Picture, PixelLayout, PlanarImageComponent, Plane, Settings};

use crate::domain::ImageFormat;
use crate::imaging::ImageError;

/// The planes of one decoded image.
pub(super) struct Frame {
    planes: Vec<(Plane, usize)>,
    size: (usize, usize),
    layout: PixelLayout,
    bits: u32,
}

impl Frame {
    /// Decodes the units of one image.
    pub(super) fn decode(units: &[u8], operating_point: u8, max_pixels: u64) -> Result<Self, ImageError> {
        let mut settings = Settings::new();
        settings.set_n_threads(1);
        settings.set_max_frame_delay(1);
        settings.set_frame_size_limit(u32::try_from(max_pixels).unwrap_or(u32::MAX));
        // Of several layers, only the largest one is returned.
        settings.set_all_layers(false);
        settings.set_operating_point(operating_point.into());
        let mut decoder = Decoder::with_settings(&settings).map_err(explain)?;
        let mut sent = decoder.send_data(units.to_vec(), None, None, None);
        loop {
            match decoder.get_picture() {
                Ok(decoded) => return Self::new(&decoded),
                Err(Error::Again) if matches!(sent, Err(Error::Again)) => sent = decoder.send_pending_data(),
                Err(Error::Again) => {
                    sent.map_err(explain)?;
                    return Err(ImageError::truncated(ImageFormat::Avif));
                }
                Err(error) => return Err(explain(error)),
            }
        }
    }

    fn new(decoded: &Picture) -> Result<Self, ImageError> {
        let layout = decoded.pixel_layout();
        let components = [PlanarImageComponent::Y, PlanarImageComponent::U, PlanarImageComponent::V];
        let count = if layout == PixelLayout::I400 { 1 } else { 3 };
        let planes = components[..count].iter().map(|&it| (decoded.plane(it), decoded.stride(it) as usize)).collect();
        let bits = match decoded.bits_per_component() {
            Some(bits) if bits.0 == 8 => 8,
            Some(bits) if bits.0 == 10 => 10,
            Some(bits) if bits.0 == 12 => 12,
            _ => return Err(super::corrupt("its samples have an unknown number of bits")),
        };
        Ok(Self { planes, size: (decoded.width() as usize, decoded.height() as usize), layout, bits })
    }

    /// Returns the width and height in pixels.
    pub(super) fn size(&self) -> (usize, usize) {
        self.size
    }

    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    pub(super) fn has_chroma(&self) -> bool {
        self.layout != PixelLayout::I400
    }

    /// Whether the chroma planes have half the width, and half the height.
    pub(super) fn subsampling(&self) -> (bool, bool) {
        match self.layout {
            PixelLayout::I420 => (true, true),
            PixelLayout::I422 => (true, false),
            PixelLayout::I400 | PixelLayout::I444 => (false, false),
        }
    }

    /// Returns the number of rows of a plane.
    pub(super) fn rows(&self, plane: usize) -> usize {
        if plane > 0 && self.subsampling().1 { self.size.1.div_ceil(2) } else { self.size.1 }
    }

    /// Appends the samples of a row of a plane.
    pub(super) fn samples(&self, plane: usize, y: usize, row: &mut Vec<u16>) {
        let Some((samples, stride)) = self.planes.get(plane) else { return };
        let width = if plane > 0 && self.subsampling().0 { self.size.0.div_ceil(2) } else { self.size.0 };
        let bytes = samples.get(y * stride..).unwrap_or_default();
        if self.bits == 8 {
            row.extend(bytes.iter().take(width).map(|&sample| u16::from(sample)));
        } else {
            row.extend(bytes.as_chunks::<2>().0.iter().take(width).map(|&sample| u16::from_ne_bytes(sample)));
        }
    }
}

fn explain(error: Error) -> ImageError {
    match error {
        Error::NotEnoughMemory => super::corrupt("its decoder needs more memory than its header requires"),
        other => super::corrupt(format!("its AV1 data cannot be decoded ({other})")),
    }
}
