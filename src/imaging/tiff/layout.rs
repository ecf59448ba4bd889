//! How the pixels of a TIFF page are stored: strips or tiles, samples, colours, compression.

use super::colours::Colours;
use crate::domain::ImageFormat;
use crate::imaging::ImageError;
use crate::imaging::facts::tiff::{Directory, tags};

/// Maximum number of strips or tiles: strips of one row in an image of this height.
pub(super) const MAX_PARTS: usize = 1 << 17;
/// Maximum number of pixels of a tile that is larger than the image. What is outside the image must be decompressed too.
const MAX_TILE_PIXELS: u64 = 1 << 24;

pub(super) struct Layout<'a> {
    /// Width and height of the page in pixels.
    pub(super) size: (u32, u32),
    /// Width and height of a strip or tile, including what is outside the page.
    pub(super) part: (u32, u32),
    pub(super) samples: usize,
    pub(super) bits: u32,
    pub(super) colours: Colours,
    pub(super) compression: Compression,
    /// Whether each strip or tile has only one sample of each pixel.
    pub(super) is_planar: bool,
    /// The offset and length of each strip or tile in the file. Planes follow each other.
    pub(super) parts: Vec<(u64, u64)>,
    /// The tables of a JPEG compressed file.
    pub(super) jpeg_tables: Option<&'a [u8]>,
    /// Where the number of the kind of colours is in the file.
    pub(super) photometric_offset: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Jpeg,
    /// One that the `tiff` crate supports.
    Other,
}

impl<'a> Layout<'a> {
    pub(super) fn read(bytes: &[u8], page: &Directory<'a>) -> Result<Self, ImageError> {
        let number = |tag, default| page.number(tag).unwrap_or(default);
        let side = |tag| page.number(tag).and_then(|side| u32::try_from(side).ok()).filter(|&side| side > 0);
        let (Some(width), Some(height)) = (side(tags::WIDTH), side(tags::HEIGHT)) else {
            return Err(corrupt("its directory does not give a width and a height"));
        };
        let bits = page.numbers(tags::BITS, 16).unwrap_or_else(|| vec![1]);
        if bits.iter().any(|&other| other != bits[0]) {
            return Err(ImageError::coding("a TIFF file whose samples have different sizes".to_owned()));
        }
        let bits = u32::try_from(bits[0]).unwrap_or(u32::MAX);
        let samples = number(tags::SAMPLES, 1);
        if !matches!(bits, 1 | 2 | 4 | 8 | 16 | 32 | 64) || !(1..=32).contains(&samples) {
            return Err(ImageError::coding(format!("a TIFF file with {samples} samples of {bits} bits")));
        }
        let samples = usize::try_from(samples).unwrap_or(1);
        let compression = compression(number(tags::COMPRESSION, 1))?;
        let (part, offsets, lengths) = if let Some(tile) = side(tags::TILE_WIDTH).zip(side(tags::TILE_HEIGHT)) {
            let (pixels, tile_pixels) = (area((width, height)), area(tile));
            if tile_pixels > pixels.max(MAX_TILE_PIXELS) {
                return Err(corrupt(format!("its tiles have {} x {} pixels", tile.0, tile.1)));
            }
            (tile, tags::TILE_OFFSETS, tags::TILE_BYTES)
        } else {
            let rows = side(tags::ROWS_PER_STRIP).unwrap_or(height).min(height);
            ((width, rows), tags::STRIP_OFFSETS, tags::STRIP_BYTES)
        };
        let numbers = |tag| page.numbers(tag, MAX_PARTS).ok_or_else(|| corrupt("it does not say where its pixels are"));
        let (offsets, lengths) = (numbers(offsets)?, numbers(lengths)?);
        let is_planar = number(tags::PLANAR, 1) == 2 && samples > 1;
        let layout = Self {
            size: (width, height),
            part,
            samples,
            bits,
            colours: Colours::read(page, samples, bits)?,
            compression,
            is_planar,
            parts: offsets.into_iter().zip(lengths).collect(),
            jpeg_tables: page.bytes(tags::JPEG_TABLES),
            photometric_offset: page.value_offset(tags::PHOTOMETRIC).unwrap_or(bytes.len()),
        };
        let (across, down) = layout.grid();
        let expected = across.saturating_mul(down).saturating_mul(if is_planar { samples } else { 1 });
        if layout.parts.len() != expected {
            let found = layout.parts.len();
            return Err(corrupt(format!("it has {found} strips or tiles, but its size requires {expected}")));
        }
        Ok(layout)
    }

    /// Returns the number of parts in a row and in a column.
    pub(super) fn grid(&self) -> (usize, usize) {
        let ((width, height), (part_width, part_height)) = (self.size, self.part);
        (width.div_ceil(part_width) as usize, height.div_ceil(part_height) as usize)
    }

    /// Returns how many bytes are allocated to decode one part: its samples, the same as bytes, and a row of RGB.
    pub(super) fn part_bytes(&self) -> u64 {
        let (width, height) = (self.part.0.min(self.size.0), self.part.1.min(self.size.1));
        let samples = u64::from(width) * u64::from(height) * self.samples as u64;
        let decoded = samples.saturating_mul(u64::from(self.bits)).div_ceil(8);
        match self.compression {
            // The other JPEG decoder needs more; this is its worst case without a progressive coding.
            Compression::Jpeg => samples.saturating_mul(8),
            Compression::Other => decoded.saturating_add(samples),
        }
    }

    /// Returns the offset after the last byte of the pixels.
    pub(super) fn data_end(&self) -> u64 {
        self.parts.iter().map(|(offset, length)| offset.saturating_add(*length)).max().unwrap_or(u64::MAX)
    }
}

fn area((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

fn compression(number: u64) -> Result<Compression, ImageError> {
    let name = match number {
        1 | 4 | 5 | 8 | 32773 | 32946 => return Ok(Compression::Other),
        7 => return Ok(Compression::Jpeg),
        2 => "CCITT modified Huffman",
        3 => "CCITT Group 3",
        6 => "old-style JPEG",
        34712 | 33003..=33005 => "JPEG 2000",
        34887 => "LERC",
        34925 => "LZMA",
        34933 => "PNG",
        50000 => "Zstandard",
        34927 | 50001 => "WebP",
        50002 | 52546 => "JPEG XL",
        other => return Err(ImageError::coding(format!("a TIFF file with compression {other}"))),
    };
    Err(ImageError::coding(format!("a TIFF file with {name} compression")))
}

pub(super) fn corrupt(reason: impl Into<String>) -> ImageError {
    ImageError::corrupt(ImageFormat::Tiff, reason)
}
