//! Writes the PNG of an image for the wire: filter Paeth on every line, the fast compressor of `fdeflate`.
//!
//! `png` writes the same, but its encoder is generic over its output, so it is compiled in this crate, without
//! optimisation across codegen units: it takes twice as long.

use std::io::{Cursor, Result};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Bytes per pixel.
const RGB: usize = 3;
/// The byte before a line that is filtered with Paeth, and before one that is not filtered.
const PAETH: u8 = 4;
const UNFILTERED: u8 = 0;

/// Returns the PNG of a square of `side` pixels. `rgb` has `side * side * 3` bytes.
pub(super) fn encode(rgb: &[u8], side: u32) -> Result<Vec<u8>> {
    let line = side as usize * RGB;
    let mut data = fdeflate::compress_to_vec(&filtered(rgb, line));
    if data.len() > fdeflate::StoredOnlyCompressor::<()>::compressed_size(rgb.len() + side as usize) {
        data = stored(rgb, line)?;
    }
    let mut png = Vec::with_capacity(data.len() + 64);
    png.extend_from_slice(SIGNATURE);
    let [a, b, c, d] = side.to_be_bytes();
    // Width, height, 8 bits per sample, RGB, and the only methods of compression, filter and no interlace.
    chunk(&mut png, *b"IHDR", &[a, b, c, d, a, b, c, d, 8, 2, 0, 0, 0]);
    chunk(&mut png, *b"IDAT", &data);
    chunk(&mut png, *b"IEND", &[]);
    Ok(png)
}

fn chunk(png: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    png.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    let start = png.len();
    png.extend_from_slice(&kind);
    png.extend_from_slice(data);
    let checksum = crc32fast::hash(&png[start..]);
    png.extend_from_slice(&checksum.to_be_bytes());
}

/// Returns the lines without a filter and without compression. Noise is shortest in this form.
fn stored(rgb: &[u8], line: usize) -> Result<Vec<u8>> {
    let mut compressor = fdeflate::StoredOnlyCompressor::new(Cursor::new(Vec::new()))?;
    for line in rgb.chunks_exact(line) {
        compressor.write_data(&[UNFILTERED])?;
        compressor.write_data(line)?;
    }
    Ok(compressor.finish()?.into_inner())
}

/// Returns the lines, each as its difference from the values that Paeth predicts.
fn filtered(rgb: &[u8], line: usize) -> Vec<u8> {
    let mut filtered = vec![0; rgb.len() + rgb.len() / line];
    let first = vec![0; line];
    let mut above = &first[..];
    for (out, line) in filtered.chunks_exact_mut(line + 1).zip(rgb.chunks_exact(line)) {
        out[0] = PAETH;
        filter(&mut out[1..], line, above);
        above = line;
    }
    filtered
}

fn filter(out: &mut [u8], line: &[u8], above: &[u8]) {
    for x in 0..RGB {
        out[x] = line[x].wrapping_sub(above[x]);
    }
    // Slices of one length, so that the compiler leaves out the checks and filters several samples at once.
    let count = line.len() - RGB;
    let (out, current, left) = (&mut out[RGB..][..count], &line[RGB..][..count], &line[..count]);
    let (above_left, above) = (&above[..count], &above[RGB..][..count]);
    for x in 0..count {
        out[x] = current[x].wrapping_sub(paeth(left[x], above[x], above_left[x]));
    }
}

/// Returns the neighbour that is nearest to `left + above - above_left`; of several, the first one in the order of the
/// arguments.
#[inline]
fn paeth(left: u8, above: u8, above_left: u8) -> u8 {
    let (l, a, c) = (i16::from(left), i16::from(above), i16::from(above_left));
    let (to_left, to_above, to_above_left) = ((a - c).abs(), (l - c).abs(), (l + a - c - c).abs());
    let (nearest, distance) = if to_above < to_left { (above, to_above) } else { (left, to_left) };
    if to_above_left < distance { above_left } else { nearest }
}
