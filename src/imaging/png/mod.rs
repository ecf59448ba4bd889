//! Decodes PNG. Only the chunks with pixels and palette are read, so a wrong checksum or a damaged or huge profile
//! neither makes the decode fail nor takes memory. Rows are converted one by one, so 16 bits or transparency take no
//! more memory than RGB. HDR images (PQ, HLG) are mapped to sRGB here, because their samples are not usable as colours.

pub(crate) mod hdr;
pub(crate) mod text;

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use fast_image_resize::images::TypedImage;
use fast_image_resize::pixels::U16x3;
use image::{DynamicImage, GrayAlphaImage, GrayImage, ImageBuffer, RgbImage, RgbaImage};
use png::{BitDepth, ColorType, Decoder, DecodingError, Reader, Transformations};

use crate::domain::ImageFormat;
use crate::imaging::ImageError;
use crate::imaging::flatten::over_white;
use crate::imaging::reduced::Reduced;
use crate::imaging::tone::ToneMapping;

/// Decodes every pixel of the still image to RGB. Transparent pixels are composited over white.
pub(crate) fn decode(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    let mut reader = open(bytes)?;
    let (width, height) = reader.info().size();
    if reader.info().interlaced {
        let mut pixels = vec![0; reader.output_buffer_size().ok_or_else(too_large)?];
        reader.next_frame(&mut pixels).map_err(|error| explain(&error))?;
        let tone = hdr::tone_mapping(bytes, reader.output_color_type().1);
        return rgb(&reader, width, height, pixels, tone.as_ref());
    }
    let mut pixels = Vec::with_capacity(rgb_bytes(width, height)?);
    each_row(bytes, &mut reader, |row| pixels.extend_from_slice(row))?;
    RgbImage::from_raw(width, height, pixels).ok_or_else(too_large)
}

/// Returns whether the image is interlaced (rows in seven passes), by its header.
pub(crate) fn is_interlaced(bytes: &[u8]) -> bool {
    bytes.get(28).is_some_and(|&method| method != 0)
}

/// Decodes the image and replaces each square of `times` x `times` pixels by its mean. Returns `None` if the image is
/// interlaced.
pub(crate) fn decode_reduced(bytes: &[u8], times: u32) -> Result<Option<Reduced>, ImageError> {
    let mut reader = open(bytes)?;
    if reader.info().interlaced {
        return Ok(None);
    }
    let ((width, height), times) = (reader.info().size(), times as usize);
    let across = (width as usize).div_ceil(times);
    let (mut sums, mut rows) = (vec![[0_u32; 3]; across], 0);
    let mut pixels = Vec::with_capacity(across * (height as usize).div_ceil(times));
    let mut flush = |sums: &mut Vec<[u32; 3]>, rows: usize| {
        for (place, sum) in sums.iter_mut().enumerate() {
            let columns = times.min(width as usize - place * times);
            let count = u64::try_from(rows * columns).unwrap_or(u64::MAX);
            // The value is in the high byte, as in every reduced image.
            let mean = |sum: u32| u16::try_from((u64::from(sum) << 8) / count).unwrap_or(u16::MAX);
            pixels.push(U16x3::new(std::mem::take(sum).map(mean)));
        }
    };
    each_row(bytes, &mut reader, |row| {
        for (sum, part) in sums.iter_mut().zip(row.chunks(times * 3)) {
            for pixel in part.as_chunks::<3>().0 {
                sum.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += u32::from(value));
            }
        }
        rows += 1;
        if rows == times {
            flush(&mut sums, rows);
            rows = 0;
        }
    })?;
    if rows > 0 {
        flush(&mut sums, rows);
    }
    let (across, down) = (width.div_ceil(u32::try_from(times).unwrap_or(u32::MAX)), pixels.len() / across);
    let down = u32::try_from(down).unwrap_or(u32::MAX);
    Ok(TypedImage::from_pixels(across, down, pixels).ok())
}

/// Calls `take` for every row of an image that is not interlaced, in RGB.
fn each_row(bytes: &[u8], reader: &mut Reader<Pixels<'_>>, mut take: impl FnMut(&[u8])) -> Result<(), ImageError> {
    let (width, height) = reader.info().size();
    let tone = hdr::tone_mapping(bytes, reader.output_color_type().1);
    let mut row = vec![0; reader.output_line_size(width).ok_or_else(too_large)?];
    for _ in 0..height {
        let has_row = reader.read_row(&mut row).map_err(|error| explain(&error))?.is_some();
        if !has_row {
            return Err(ImageError::truncated(ImageFormat::Png));
        }
        if reader.output_color_type() == (ColorType::Rgb, BitDepth::Eight) && tone.is_none() {
            take(&row);
        } else {
            // `rgb` consumes the samples, so the next row needs a new buffer.
            let samples = std::mem::take(&mut row);
            let length = samples.len();
            take(rgb(reader, width, 1, samples, tone.as_ref())?.as_raw());
            row = vec![0; length];
        }
    }
    Ok(())
}

/// Converts samples of the decoder's output colour type to RGB.
fn rgb(
    reader: &Reader<Pixels<'_>>,
    width: u32,
    height: u32,
    samples: Vec<u8>,
    tone: Option<&ToneMapping>,
) -> Result<RgbImage, ImageError> {
    if let Some(tone) = tone {
        let (colour, depth) = reader.output_color_type();
        let mapped = hdr::to_srgb(&samples, colour.samples(), depth == BitDepth::Sixteen, tone);
        return RgbImage::from_raw(width, height, mapped).ok_or_else(too_large);
    }
    let to_u16 = |samples: &[u8]| samples.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    let image = match reader.output_color_type() {
        (ColorType::Rgb, BitDepth::Eight) => RgbImage::from_raw(width, height, samples).map(DynamicImage::ImageRgb8),
        (ColorType::Rgba, BitDepth::Eight) => RgbaImage::from_raw(width, height, samples).map(DynamicImage::ImageRgba8),
        (ColorType::Grayscale, BitDepth::Eight) => {
            GrayImage::from_raw(width, height, samples).map(DynamicImage::ImageLuma8)
        }
        (ColorType::GrayscaleAlpha, BitDepth::Eight) => {
            GrayAlphaImage::from_raw(width, height, samples).map(DynamicImage::ImageLumaA8)
        }
        (ColorType::Rgb, BitDepth::Sixteen) => {
            ImageBuffer::from_raw(width, height, to_u16(&samples)).map(DynamicImage::ImageRgb16)
        }
        (ColorType::Rgba, BitDepth::Sixteen) => {
            ImageBuffer::from_raw(width, height, to_u16(&samples)).map(DynamicImage::ImageRgba16)
        }
        (ColorType::Grayscale, BitDepth::Sixteen) => {
            ImageBuffer::from_raw(width, height, to_u16(&samples)).map(DynamicImage::ImageLuma16)
        }
        (ColorType::GrayscaleAlpha, BitDepth::Sixteen) => {
            ImageBuffer::from_raw(width, height, to_u16(&samples)).map(DynamicImage::ImageLumaA16)
        }
        (colour, depth) => {
            return Err(ImageError::corrupt(
                ImageFormat::Png,
                format!("unexpected samples: {colour:?} with depth {depth:?}"),
            ));
        }
    };
    image.map(over_white).ok_or_else(too_large)
}

fn open(bytes: &[u8]) -> Result<Reader<Pixels<'_>>, ImageError> {
    let mut decoder = Decoder::new(Pixels::new(bytes));
    decoder.ignore_checksums(true);
    decoder.set_transformations(Transformations::EXPAND);
    decoder.read_info().map_err(|error| explain(&error))
}

fn rgb_bytes(width: u32, height: u32) -> Result<usize, ImageError> {
    usize::try_from(u64::from(width) * u64::from(height) * 3).map_err(|_| too_large())
}

fn too_large() -> ImageError {
    ImageError::corrupt(ImageFormat::Png, "the image has more pixels than this machine can address")
}

fn explain(error: &DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            ImageError::truncated(ImageFormat::Png)
        }
        other => ImageError::corrupt(ImageFormat::Png, other.to_string()),
    }
}

/// Reads the file without the chunks that are not needed for the pixels.
struct Pixels<'a> {
    /// The unread part of the current chunk, with its length and checksum.
    chunk: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Pixels<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let (chunk, rest) = bytes.split_at(bytes.len().min(8));
        Self { chunk, rest }
    }

    fn next_chunk(&mut self) {
        while self.chunk.is_empty() && !self.rest.is_empty() {
            let length = self.rest.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
            // A truncated chunk is returned as far as it exists.
            let (chunk, rest) = self.rest.split_at(length.saturating_add(12).min(self.rest.len()));
            self.rest = rest;
            if !matches!(chunk.get(4..8), Some(kind) if kind[0].is_ascii_lowercase() && kind != b"tRNS") {
                self.chunk = chunk;
            }
        }
    }
}

impl BufRead for Pixels<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.next_chunk();
        Ok(self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        self.chunk = &self.chunk[amount.min(self.chunk.len())..];
    }
}

impl Read for Pixels<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// The decoder requires this trait but does not use it.
impl Seek for Pixels<'_> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
