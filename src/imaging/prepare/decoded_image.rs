//! Decodes a file: either every pixel, or only as many pixels as the result needs.

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use crate::domain::{ImageFormat, ImageMeta};
use crate::imaging::canvas::Canvas;
use crate::imaging::decode::decode;
use crate::imaging::facts::header::read_facts;
use crate::imaging::flatten::over_white;
use crate::imaging::reduced::{self, Reduced, Scale};
use crate::imaging::{
    Decode, Filter, Header, ImageError, Limits, Preprocessing, Resize, avif, gif, heic, jpeg, jxl, png, raw,
    read_header, repair, tiff, webp,
};

/// A decoded image in its stored orientation.
pub(crate) struct DecodedImage {
    pub(crate) pixels: Pixels,
    pub(crate) meta: ImageMeta,
    pub(crate) orientation: Orientation,
}

/// The pixels of an image in RGB.
pub(crate) enum Pixels {
    All(RgbImage),
    /// Fewer pixels. `extent` is the width and height of the image, measured in these pixels. A part of the last pixels
    /// can be outside the image.
    Reduced {
        image: Reduced,
        extent: (f64, f64),
    },
}

/// What will be made from an image. This determines how many pixels must be decoded.
#[derive(Clone, Copy, Default)]
pub(crate) struct DecodeTarget {
    pub(crate) model: Option<Preprocessing>,
    /// Side of the square that a thumbnail or preview fits into, in pixels.
    pub(crate) fitted: Option<u32>,
}

impl DecodedImage {
    /// Decodes a file. If `how` allows it, the result has only as many pixels as `target` needs.
    pub(crate) fn decode(bytes: &[u8], limits: &Limits, target: DecodeTarget, how: Decode) -> Result<Self, ImageError> {
        let bytes = &*repair::huffman_tables(bytes);
        let bytes = &*repair::colour_transform(bytes);
        let header = read_facts(bytes, limits)?;
        target.required_bytes(bytes, &header, limits, how)?;
        let must_be_reduced = header.decoded_bytes > limits.max_decode_bytes;
        let reduced = if how == Decode::Fast { target.reduced(bytes, &header, must_be_reduced) } else { None };
        let pixels = match reduced {
            Some(pixels) => pixels?,
            None if must_be_reduced => return Err(reduced_decode_error(bytes, header.meta.format)),
            None => Pixels::All(all_pixels(bytes, &header, limits)?),
        };
        Ok(Self { pixels, meta: header.meta, orientation: header.turn })
    }

    /// Returns the width and height from the header, in the stored orientation.
    pub(crate) fn size(&self) -> (u32, u32) {
        Header { meta: self.meta, decoded_bytes: 0, turn: self.orientation }.stored_size()
    }

    pub(crate) fn corrupt(&self, reason: String) -> ImageError {
        ImageError::corrupt(self.meta.format, reason)
    }
}

/// Returns the error for a file that should be reducible by its header, but whose reduced decode failed.
fn reduced_decode_error(bytes: &[u8], format: ImageFormat) -> ImageError {
    match format {
        ImageFormat::Jpeg if matches!(jpeg::ending(bytes), jpeg::Ending::Marked) => {
            ImageError::corrupt(format, "its data does not match its header")
        }
        ImageFormat::Webp => ImageError::corrupt(format, "its data cannot be decoded"),
        // Only the error is needed, so the file is decoded to as few pixels as possible.
        ImageFormat::Tiff => tiff::decode_reduced(bytes, 256).err().unwrap_or(ImageError::truncated(format)),
        ImageFormat::Png => png::decode_reduced(bytes, 256).err().unwrap_or(ImageError::truncated(format)),
        _ => ImageError::truncated(format),
    }
}

/// Decodes every pixel to RGB, in the stored orientation.
fn all_pixels(bytes: &[u8], header: &Header, limits: &Limits) -> Result<RgbImage, ImageError> {
    let meta = &header.meta;
    let image = over_white(decode(bytes, meta, limits)?);
    let (declared, actual) = (header.stored_size(), image.dimensions());
    if actual == declared {
        return Ok(image);
    }
    let reason =
        format!("it has {} x {} pixels, but its header declares {} x {}", actual.0, actual.1, declared.0, declared.1);
    Err(ImageError::corrupt(meta.format, reason))
}

/// Decodes every pixel to RGB, upright.
pub(crate) fn upright(bytes: &[u8], limits: &Limits) -> Result<(RgbImage, ImageMeta), ImageError> {
    let bytes = &*repair::huffman_tables(bytes);
    let bytes = &*repair::colour_transform(bytes);
    let header = read_header(bytes, limits)?;
    let mut image = DynamicImage::ImageRgb8(all_pixels(bytes, &header, limits)?);
    image.apply_orientation(header.turn);
    Ok((image.into_rgb8(), header.meta))
}

fn pixel_count(meta: &ImageMeta) -> u64 {
    u64::from(meta.width) * u64::from(meta.height)
}

/// A PNG, GIF or TIFF image with more pixels than this is reduced to the means of squares of pixels. Smaller images are
/// decoded whole, so that their embeddings stay the same as before.
const MAX_WHOLE_PIXELS: u64 = 40_000_000;
/// The same if only a thumbnail is made, which needs no exact pixels: below this number, decoding takes less than 64
/// MB.
const MAX_WHOLE_THUMBNAIL_PIXELS: u64 = 8_000_000;

/// Returns how many pixels per side are reduced to one if only this share of each side must be kept, or `None` if all
/// pixels must be kept.
fn times(share: f64) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 2 and 256")]
    (share <= 0.5).then(|| (1.0 / share).clamp(2.0, 256.0) as u32)
}

/// The minimum side of a reduced image, as a multiple of the side of the square. With this margin, the reduction does
/// not change the embedding measurably: measured in ADR 0006, checked by `tests/it/imaging/parity.rs`.
const MIN_SIDE_RATIO: f64 = 2.75;

impl DecodeTarget {
    /// Decodes the image reduced. Returns `None` if no decoder can reduce it far enough to save time, or if the full decoder
    /// reports what is wrong.
    fn reduced(self, bytes: &[u8], header: &Header, must_be_reduced: bool) -> Option<Result<Pixels, ImageError>> {
        let (meta, (width, height)) = (&header.meta, header.stored_size());
        // Only a part of a strip is resized, and that part needs every pixel.
        if meta.width.max(meta.height) / meta.width.min(meta.height) >= 8 {
            return None;
        }
        let share = self.share(meta);
        match meta.format {
            ImageFormat::Jpeg | ImageFormat::Raw => {
                let scale = Scale::smallest_for_share(share)?;
                let extent = (scale.extent(width), scale.extent(height));
                Some(Ok(Pixels::Reduced { image: reduced::decode(embedded_jpeg(bytes, meta.format)?, scale)?, extent }))
            }
            // If most of the pixels are kept, the reduction costs more than it saves.
            ImageFormat::Webp if share <= 0.5 => {
                let (kept_width, kept_height) = kept_size((width, height), share);
                let image = webp::decode_reduced(bytes, kept_width, kept_height)?;
                Some(Ok(Pixels::Reduced { image, extent: (f64::from(kept_width), f64::from(kept_height)) }))
            }
            ImageFormat::Png | ImageFormat::Gif | ImageFormat::Tiff
                if must_be_reduced || pixel_count(meta) > self.max_whole_pixels() =>
            {
                let times = times(share)?;
                let extent = (f64::from(width) / f64::from(times), f64::from(height) / f64::from(times));
                // On an error, the full decoder or the limit reports what is wrong.
                let image = match meta.format {
                    ImageFormat::Gif => gif::decode_reduced(bytes, (width, height), times)?,
                    ImageFormat::Tiff => tiff::decode_reduced(bytes, times).ok()?,
                    _ => png::decode_reduced(bytes, times).ok().flatten()?,
                };
                Some(Ok(Pixels::Reduced { image, extent }))
            }
            ImageFormat::Heic | ImageFormat::Avif | ImageFormat::Jxl => {
                let times = times(share)?;
                let extent = (f64::from(width) / f64::from(times), f64::from(height) / f64::from(times));
                let image = match meta.format {
                    ImageFormat::Heic => heic::decode_reduced(bytes, times),
                    ImageFormat::Avif => avif::decode_reduced(bytes, times),
                    _ => jxl::decode_reduced(bytes, times),
                };
                // The full decoder would report the same error again, and at the same cost.
                Some(image.map(|image| Pixels::Reduced { image, extent }))
            }
            ImageFormat::Webp | ImageFormat::Png | ImageFormat::Gif | ImageFormat::Tiff | ImageFormat::Bmp => None,
        }
    }

    /// Returns approximately how many bytes decoding will allocate: for every pixel if that is allowed, or else for the
    /// reduced image.
    ///
    /// # Errors
    /// Returns [`ImageError::TooManyPixels`] if neither is within the limit.
    pub(crate) fn required_bytes(
        self,
        bytes: &[u8],
        header: &Header,
        limits: &Limits,
        how: Decode,
    ) -> Result<u64, ImageError> {
        if header.decoded_bytes <= limits.max_decode_bytes {
            return Ok(header.decoded_bytes);
        }
        let reduced = if how == Decode::Fast { self.reduced_bytes(bytes, header) } else { None };
        reduced.filter(|&needed| needed <= limits.max_decode_bytes).ok_or_else(|| header.too_much_memory(limits))
    }

    /// Returns the bytes that the reduced decode allocates, or `None` if this file cannot be reduced.
    fn reduced_bytes(self, bytes: &[u8], header: &Header) -> Option<u64> {
        /// Bytes per pixel: the three components, and three samples of 16 bits.
        const BYTES_PER_PIXEL: u64 = 3 + 6;
        let meta = &header.meta;
        let is_strip = meta.width.max(meta.height) / meta.width.min(meta.height) >= 8;
        let (share, pixels) = (self.share(meta), pixel_count(meta));
        match meta.format {
            _ if is_strip => None,
            ImageFormat::Jpeg | ImageFormat::Raw => {
                let bytes = embedded_jpeg(bytes, meta.format)?;
                let kept = u64::from(Scale::smallest_for_share(share)?.pixels_per_block_side());
                // The entropy-coded data is copied without its stuffing.
                reduced::reads(bytes).then(|| pixels * BYTES_PER_PIXEL * kept * kept / 64 + bytes.len() as u64)
            }
            ImageFormat::Png if png::is_interlaced(bytes) => None,
            ImageFormat::Png | ImageFormat::Gif => {
                let times = u64::from(times(share)?);
                Some(pixels / (times * times) * BYTES_PER_PIXEL + u64::from(meta.width.max(meta.height)) * 64)
            }
            ImageFormat::Tiff | ImageFormat::Heic | ImageFormat::Avif | ImageFormat::Jxl => {
                let times = u64::from(times(share)?);
                let part_bytes = header.decoded_bytes - pixels * Canvas::BYTES_PER_PIXEL;
                Some(part_bytes + (pixels / (times * times) + pixels.isqrt()) * Canvas::BYTES_PER_MEAN)
            }
            ImageFormat::Webp if share <= 0.5 => {
                let planes = if webp::is_lossless(bytes)? { pixels * 4 } else { 0 };
                let (kept_width, kept_height) = kept_size(header.stored_size(), share);
                Some(planes + u64::from(kept_width) * u64::from(kept_height) * BYTES_PER_PIXEL)
            }
            ImageFormat::Webp | ImageFormat::Bmp => None,
        }
    }

    /// Returns the number of pixels above which a PNG or GIF image is reduced.
    fn max_whole_pixels(self) -> u64 {
        if self.model.is_some() { MAX_WHOLE_PIXELS } else { MAX_WHOLE_THUMBNAIL_PIXELS }
    }

    /// Returns the share of each side that must be kept.
    fn share(self, meta: &ImageMeta) -> f64 {
        let (shortest, longest) = (meta.width.min(meta.height), meta.width.max(meta.height));
        let model = self.model.map_or(0.0, |model| {
            let side = match model.resize {
                Resize::Crop | Resize::CropFloor | Resize::CropEven | Resize::Squash => shortest,
                Resize::Pad(_) => longest,
            };
            match model.filter {
                // Their results depend on single pixels, which a reduction replaces by means.
                Filter::Nearest | Filter::Box => 1.0,
                Filter::Lanczos | Filter::Bilinear | Filter::Bicubic | Filter::Hamming => {
                    MIN_SIDE_RATIO * f64::from(model.edge) / f64::from(side)
                }
            }
        });
        let fitted = self.fitted.map_or(0.0, |side| f64::from(side) / f64::from(longest));
        model.max(fitted)
    }
}

/// Returns the JPEG that contains the pixels: the file, or a part of a camera RAW file.
fn embedded_jpeg(bytes: &[u8], format: ImageFormat) -> Option<&[u8]> {
    if format == ImageFormat::Raw { Some(raw::preview(bytes).ok()?.jpeg) } else { Some(bytes) }
}

/// Returns the width and height of a WebP image after each side is reduced to this share.
fn kept_size((width, height): (u32, u32), share: f64) -> (u32, u32) {
    (round_up(f64::from(width) * share), round_up(f64::from(height) * share))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the side that it is a share of")]
fn round_up(side: f64) -> u32 {
    side.ceil() as u32
}

/// Returns an image as its decoder would return it.
#[cfg(test)]
pub(crate) fn whole(image: &RgbImage, orientation: Orientation) -> DecodedImage {
    let (width, height) = match orientation.to_exif() {
        1..5 => image.dimensions(),
        _ => (image.height(), image.width()),
    };
    let meta = ImageMeta { format: ImageFormat::Png, width, height, frames: 1, orientation: orientation.to_exif() };
    DecodedImage { pixels: Pixels::All(image.clone()), meta, orientation }
}
