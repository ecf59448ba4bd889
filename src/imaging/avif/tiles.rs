//! Decodes the tiles of an AVIF image one after the other. This runs only in the helper process.

use heifer_isobmff::HeifFile;
use heifer_isobmff::boxes::Property;

use super::frame::Frame;
use super::sequence::Sequence;
use super::yuv::Converter;
use crate::imaging::ImageError;
use crate::imaging::heif::item::Item;
use crate::imaging::heif::{Coding, Opacity, colours, find, item_data};
use crate::imaging::tone::ToneMapping;

/// The bytes of all tiles together may be this many times the bytes of the file: tiles can share data.
const MAX_REPETITION: usize = 4;

/// Calls `take` with the place and the RGB over white of every row of every tile. The tiles can extend beyond the image.
pub(super) fn each_row(
    bytes: &[u8],
    file: &HeifFile<'_>,
    item: &Item,
    mut take: impl FnMut(usize, usize, &[u8]),
) -> Result<(), ImageError> {
    let opacity = opacity(bytes, file, item)?;
    let hdr = super::space(bytes, file, item).hdr();
    let (mut samples, mut rgb) = (Vec::new(), Vec::new());
    each_frame(bytes, file, item, |(left, top), frame, converter| {
        let tone = hdr.map(|hdr| ToneMapping::new(hdr, u8::try_from(frame.bits()).unwrap_or(u8::MAX)));
        let to_byte = bytes_of_samples(frame.bits());
        for y in 0..item.tile.1 as usize {
            converter.row(frame, y, &mut samples);
            rgb.clear();
            match &tone {
                Some(tone) => {
                    rgb.extend(samples.as_chunks::<3>().0.iter().flat_map(|&pixel| tone.to_srgb(pixel)));
                }
                None => rgb.extend(samples.iter().map(|&sample| to_byte[usize::from(sample)])),
            }
            rgb.truncate(item.tile.0 as usize * 3);
            if let Some(opacity) = &opacity {
                opacity.over_white(left, top + y, &mut rgb);
            }
            take(left, top + y, &rgb);
        }
    })
}

/// Returns the byte for each sample of this number of bits.
fn bytes_of_samples(bits: u32) -> Vec<u8> {
    let max = (1_u32 << bits) - 1;
    (0..=max).map(|sample| u8::try_from((sample * 255 + max / 2) / max).unwrap_or(u8::MAX)).collect()
}

fn opacity(bytes: &[u8], file: &HeifFile<'_>, item: &Item) -> Result<Option<Opacity>, ImageError> {
    let Some(alpha) = &item.alpha else { return Ok(None) };
    let mut opacity = Opacity::new(alpha.size, item.is_premultiplied);
    let mut samples = Vec::new();
    each_frame(bytes, file, alpha, |(left, top), frame, converter| {
        let to_byte = bytes_of_samples(frame.bits());
        for y in 0..alpha.tile.1 as usize {
            converter.row(frame, y, &mut samples);
            let row = samples.as_chunks::<3>().0.iter().take(alpha.tile.0 as usize);
            // Encoders write gray images; of others, green is the nearest to luma.
            opacity.put(left, top + y, row.map(|pixel| to_byte[usize::from(pixel[1])]));
        }
    })?;
    Ok(Some(opacity))
}

/// Decodes the tiles and calls `take` with the place of each.
fn each_frame(
    bytes: &[u8],
    file: &HeifFile<'_>,
    item: &Item,
    mut take: impl FnMut((usize, usize), &Frame, &mut Converter),
) -> Result<(), ImageError> {
    let mut allowed = bytes.len().saturating_mul(MAX_REPETITION);
    for (number, &tile) in (0..).zip(&item.tiles) {
        let units = item_data(bytes, file, tile, Coding::Av1)?;
        allowed = allowed
            .checked_sub(units.len())
            .ok_or_else(|| super::corrupt("its tiles share the same data too often"))?;
        let sequence = super::check_sequence(&units, item)?;
        let point = find(file, tile, |property| match property {
            Property::Unknown(kind, content) if kind.0 == *b"a1op" => content.first().copied(),
            _ => None,
        });
        let frame = Frame::decode(&units, point.unwrap_or(0), item.max_coded_pixels())?;
        let (width, height) = frame.size();
        if width < item.tile.0 as usize || height < item.tile.1 as usize {
            return Err(super::corrupt(format!(
                "its AV1 image has {width} x {height} pixels, but its header declares {} x {}",
                item.tile.0, item.tile.1
            )));
        }
        let Sequence { primaries, matrix, is_full_range, .. } = sequence;
        // The container overrides the coded image.
        let (matrix, is_full_range) = colours::matrix(file, tile).unwrap_or((matrix, is_full_range));
        let mut converter = Converter::new(&frame, matrix, primaries, is_full_range)?;
        let (column, row): (u32, u32) = (number % item.columns, number / item.columns);
        let place = (column as usize * item.tile.0 as usize, row as usize * item.tile.1 as usize);
        take(place, &frame, &mut converter);
    }
    Ok(())
}
