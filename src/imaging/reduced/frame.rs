//! Reads the headers before the entropy-coded data of a JPEG: sizes, components and tables.

use super::huffman::Huffman;
use crate::imaging::facts::walk::jpeg_segment;

/// The headers of an image that [`super::decode`] can decode.
pub(super) struct Frame<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    /// One component (gray) or three components (luma, then two of colour).
    pub(super) components: Vec<Component>,
    /// The number of units between two restart markers; 0 if there are no restart markers.
    pub(super) restart_interval: usize,
    /// All data after the header of the scan.
    pub(super) data: &'a [u8],
}

/// One component. `across` and `down` are its numbers of blocks per unit; colour has one block per unit.
pub(super) struct Component {
    pub(super) across: usize,
    pub(super) down: usize,
    /// The quantization table in zigzag order.
    pub(super) quantization: [u16; 64],
    pub(super) dc: Huffman,
    pub(super) ac: Huffman,
}

#[derive(Default)]
struct Tables {
    quantization: [Option<[u16; 64]>; 4],
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
}

/// A component in the frame header: identifier, sampling across and down, quantization table.
type Declared = (u8, u8, u8, u8);

impl<'a> Frame<'a> {
    /// Reads the headers up to the scan. Returns `None` if the file is not a baseline image in gray or YCbCr with a
    /// single scan.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut tables = Tables::default();
        let mut size = None;
        let mut restart_interval = 0;
        let mut at = 2;
        loop {
            let segment = jpeg_segment(bytes, at)?;
            at = segment.end;
            match (segment.marker, segment.body) {
                (0xDB, body) => tables.read_quantization(body)?,
                (0xC4, body) => tables.read_codes(body)?,
                (0xDD, &[high, low]) => restart_interval = usize::from(u16::from_be_bytes([high, low])),
                (0xC0 | 0xC1, &[8, h1, h0, w1, w0, count, ref declared @ ..]) if size.is_none() => {
                    let declared = declared_components(count, declared)?;
                    size = Some((u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]), declared));
                }
                // The Adobe segment of an image whose colours are not stored as YCbCr.
                (0xEE, &[b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) if transform != 1 => {
                    return None;
                }
                (0xDA, body) => {
                    let (width, height, declared) = size?;
                    let components = scan_components(body, &declared, &tables)?;
                    let (width, height) = (u32::from(width), u32::from(height));
                    let is_valid = width > 0 && height > 0;
                    return is_valid.then(|| Self { width, height, components, restart_interval, data: &bytes[at..] });
                }
                (0xE0..=0xEF | 0xFE, _) => {}
                _ => return None,
            }
        }
    }

    /// Returns the number of units across and down. A unit contains, for each component, the blocks that cover the area
    /// of one block of the component with the lowest resolution.
    pub(super) fn units(&self) -> (usize, usize) {
        let luma = &self.components[0];
        let across = (self.width as usize).div_ceil(8 * luma.across);
        (across, (self.height as usize).div_ceil(8 * luma.down))
    }
}

fn declared_components(count: u8, declared: &[u8]) -> Option<Vec<Declared>> {
    let (each, []) = declared.as_chunks::<3>() else { return None };
    let all = each.iter().map(|&[id, sampling, table]| (id, sampling >> 4, sampling & 15, table)).collect::<Vec<_>>();
    let is_supported = match all[..] {
        // Writers that store RGB use these identifiers.
        [(b'R', ..), (b'G', ..), (b'B', ..)] => false,
        [_] | [(_, 1 | 2, 1 | 2, _), (_, 1, 1, _), (_, 1, 1, _)] => true,
        _ => false,
    };
    (is_supported && all.len() == usize::from(count)).then_some(all)
}

/// Returns the components of the scan. The scan must contain all components of the frame, in the same order, with all
/// of their coefficients.
fn scan_components(body: &[u8], declared: &[Declared], tables: &Tables) -> Option<Vec<Component>> {
    let (&count, rest) = body.split_first()?;
    let (each, [0, 63, 0]) = rest.split_at_checked(rest.len().checked_sub(3)?)? else { return None };
    let (each, []) = each.as_chunks::<2>() else { return None };
    if usize::from(count) != each.len() || each.len() != declared.len() {
        return None;
    }
    let is_gray = declared.len() == 1;
    each.iter()
        .zip(declared)
        .map(|(&[id, codes], &(declared_id, across, down, quantization))| {
            let (across, down) = if is_gray { (1, 1) } else { (usize::from(across), usize::from(down)) };
            (id == declared_id).then_some(())?;
            Some(Component {
                across,
                down,
                quantization: (*tables.quantization.get(usize::from(quantization))?)?,
                dc: tables.dc.get(usize::from(codes >> 4))?.clone()?,
                ac: tables.ac.get(usize::from(codes & 15))?.clone()?,
            })
        })
        .collect()
}

impl Tables {
    fn read_quantization(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((&table_info, rest)) = body.split_first() {
            let mut table = [0; 64];
            let size = if table_info >> 4 == 0 { 1 } else { 2 };
            let (values, rest) = rest.split_at_checked(64 * size)?;
            for (entry, value) in table.iter_mut().zip(values.chunks_exact(size)) {
                *entry = value.iter().fold(0, |sum, &byte| sum << 8 | u16::from(byte));
            }
            *self.quantization.get_mut(usize::from(table_info & 15))? = Some(table);
            body = rest;
        }
        Some(())
    }

    fn read_codes(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((&table_info, rest)) = body.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(total)?;
            let tables = match table_info >> 4 {
                // A symbol is the size of a difference of means, in bits.
                0 if symbols.iter().all(|&size| size <= 11) => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *tables.get_mut(usize::from(table_info & 15))? = Some(Huffman::new(counts, symbols)?);
            body = rest;
        }
        Some(())
    }
}
