//! Decodes the tiles of a HEIC image one after the other, and converts them to RGB in bands of a few rows.

use heifer::color::{ColorParams, frame_to_rgba_into};
use heifer::heifer_hevc_dec::decoder::{DecodeOptions, decode_picture};
use heifer::heifer_hevc_dec::nal::split_annex_b;
use heifer::heifer_hevc_dec::recon::Frame;
use heifer::{Sample, heifer_hevc_dec};
use heifer_isobmff::HeifFile;

use super::colours::{conversion, space};
use super::means;
use crate::domain::ImageFormat;
use crate::imaging::ImageError;
use crate::imaging::canvas::Canvas;
use crate::imaging::heif::item::Item;
use crate::imaging::heif::{self, Coding, Opacity, container_error};
use crate::imaging::tone::ToneMapping;

/// The rows that are converted at once: an even number, because two rows share their chroma.
const BAND: usize = 64;
/// The bytes of all tiles together may be this many times the bytes of the file: tiles share their headers.
const MAX_REPETITION: usize = 4;
/// Maximum number of slices of one tile. Each can decode the whole tile again, and encoders write one or a few.
const MAX_SLICES: usize = 64;

/// Puts the RGB over white of every tile onto the canvas. The tiles can extend beyond the image.
pub(super) fn decode_to_canvas(
    bytes: &[u8],
    file: &HeifFile<'_>,
    item: &Item,
    canvas: &mut Canvas,
) -> Result<(), ImageError> {
    let opacity = opacity(bytes, file, item)?;
    let tone = space(file, item).hdr();
    let mut rgb = Vec::new();
    each_frame(bytes, file, item, |(left, top), frame, params| {
        if let Some(times) = canvas.times()
            && opacity.is_none()
            && tone.is_none()
            && means::can_reduce(frame, params)
        {
            means::put(canvas, item, (left, top), times, frame, params);
            return;
        }
        let over_white = |y: usize, rgb: &mut [u8]| {
            if let Some(opacity) = &opacity {
                opacity.over_white(left, top + y, rgb);
            }
        };
        if let Some(hdr) = tone {
            let mapping = ToneMapping::new(hdr, frame.bit_depth[0].max(frame.bit_depth[1]));
            each_rgba_row::<u16>(frame, params, item.tile, |y, rgba| {
                rgb.clear();
                for &[red, green, blue, _] in rgba.as_chunks::<4>().0 {
                    rgb.extend_from_slice(&mapping.to_srgb([red, green, blue]));
                }
                over_white(y, &mut rgb);
                heif::put_row(canvas, item, left, top + y, &rgb);
            });
        } else {
            each_rgba_row::<u8>(frame, params, item.tile, |y, rgba| {
                rgb.clear();
                for &[red, green, blue, _] in rgba.as_chunks::<4>().0 {
                    rgb.extend_from_slice(&[red, green, blue]);
                }
                if has_limited_grays(frame, params) {
                    for value in &mut rgb {
                        *value = from_limited(*value);
                    }
                }
                over_white(y, &mut rgb);
                heif::put_row(canvas, item, left, top + y, &rgb);
            });
        }
    })
}

fn opacity(bytes: &[u8], file: &HeifFile<'_>, item: &Item) -> Result<Option<Opacity>, ImageError> {
    let Some(alpha) = &item.alpha else { return Ok(None) };
    let mut opacity = Opacity::new(alpha.size, item.is_premultiplied);
    each_frame(bytes, file, alpha, |(left, top), frame, params| {
        // Only the luma counts.
        let luma = Frame {
            widths: [frame.widths[0], 0, 0],
            heights: [frame.heights[0], 0, 0],
            planes: [frame.planes[0].clone(), Vec::new(), Vec::new()],
            ..*frame
        };
        let limited = has_limited_grays(&luma, params);
        each_rgba_row::<u8>(&luma, params, alpha.tile, |y, rgba| {
            let grays = rgba.as_chunks::<4>().0.iter().map(|&[gray, ..]| gray);
            opacity.put(left, top + y, grays.map(|gray| if limited { from_limited(gray) } else { gray }));
        });
    })?;
    Ok(Some(opacity))
}

/// Whether the samples are grays from 16 to 235. `heifer` converts the range only for colours.
fn has_limited_grays(frame: &Frame, params: ColorParams) -> bool {
    frame.widths[1] == 0 && !params.full_range
}

/// Returns the full-range value of a sample from 16 to 235.
fn from_limited(gray: u8) -> u8 {
    let value = (u32::from(gray.saturating_sub(16)) * 255 + 109) / 219;
    u8::try_from(value).unwrap_or(u8::MAX)
}

/// Decodes the tiles and calls `take` with the place of each.
fn each_frame(
    bytes: &[u8],
    file: &HeifFile<'_>,
    item: &Item,
    mut take: impl FnMut((usize, usize), &Frame, ColorParams),
) -> Result<(), ImageError> {
    let options = DecodeOptions { max_pixels: item.max_coded_pixels(), ..DecodeOptions::default() };
    let mut allowed = bytes.len().saturating_mul(MAX_REPETITION);
    for (number, &tile) in (0..).zip(&item.tiles) {
        let stream = file.hevc_bitstream(tile).map_err(|error| container_error(bytes, &error, Coding::Hevc))?;
        allowed = allowed
            .checked_sub(stream.len())
            .ok_or_else(|| super::corrupt("its tiles share the same data too often"))?;
        // The first byte has the type; those below 32 are slices.
        let is_slice = |unit: &&[u8]| unit.first().is_some_and(|byte| byte >> 1 & 63 < 32);
        if split_annex_b(&stream).filter(is_slice).count() > MAX_SLICES {
            return Err(ImageError::coding(format!("a HEIC image in more than {MAX_SLICES} slices")));
        }
        let frame = decode_picture(&stream, options).map_err(|error| explain(&error))?;
        let (width, height) = (frame.widths[0], frame.heights[0]);
        if width < item.tile.0 || height < item.tile.1 {
            return Err(super::corrupt(format!(
                "its HEVC image has {width} x {height} pixels, but its header declares {} x {}",
                item.tile.0, item.tile.1
            )));
        }
        let (column, row): (u32, u32) = (number % item.columns, number / item.columns);
        let place = (column as usize * item.tile.0 as usize, row as usize * item.tile.1 as usize);
        take(place, &frame, conversion(file, tile, &frame));
    }
    Ok(())
}

/// Converts the first rows and columns of a frame and calls `take` for each row.
pub(super) fn each_rgba_row<S: Sample>(
    frame: &Frame,
    params: ColorParams,
    (width, height): (u32, u32),
    mut take: impl FnMut(usize, &[S]),
) {
    let (width, height) = (width as usize, height as usize);
    let mut rgba = vec![S::default(); width * 4 * (BAND + 2).min(height)];
    for top in (0..height).step_by(BAND) {
        // Two rows more, because chroma is interpolated between rows.
        let count = (height - top).min(BAND + 2);
        let mut rows: Vec<&mut [S]> = rgba.chunks_exact_mut(width * 4).take(count).collect();
        frame_to_rgba_into(&band(frame, top, BAND + 2), params, &mut rows, width, count);
        for (y, row) in rows.iter().take(BAND).enumerate() {
            take(top + y, row);
        }
    }
}

/// Returns a copy of these rows of a frame.
fn band(frame: &Frame, top: usize, count: usize) -> Frame {
    let mut heights = frame.heights;
    let planes = [0, 1, 2].map(|plane| {
        let (width, height) = (frame.widths[plane] as usize, frame.heights[plane] as usize);
        let scale = (frame.heights[0] as usize).checked_div(height).unwrap_or(1).max(1);
        let (top, end) = ((top / scale).min(height), ((top + count) / scale).min(height));
        heights[plane] = u32::try_from(end - top).unwrap_or(0);
        frame.planes[plane].get(top * width..end * width).unwrap_or_default().to_vec()
    });
    Frame { heights, planes, ..*frame }
}

fn explain(error: &heifer_hevc_dec::Error) -> ImageError {
    match error {
        heifer_hevc_dec::Error::UnexpectedEof => ImageError::truncated(ImageFormat::Heic),
        heifer_hevc_dec::Error::Unimplemented(feature) => ImageError::coding(format!("a HEIC image ({feature})")),
        other => super::corrupt(other.to_string()),
    }
}
