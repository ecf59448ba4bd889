//! Reads the sequence header of AV1 (AV1 Bitstream & Decoding Process Specification, 5.5): the largest size of a frame, and
//! the colours.

/// The fields of a sequence header that are needed before the decoder runs. The numbers of colours are those of ITU-T H.273.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    /// Maximum width and height of a frame.
    pub(super) size: (u32, u32),
    pub(super) primaries: u16,
    pub(super) transfer: u16,
    pub(super) matrix: u16,
    pub(super) is_full_range: bool,
}

const NOT_SPECIFIED: u32 = 2;
const SRGB_TRANSFER: u32 = 13;
const IDENTITY_MATRIX: u32 = 0;

/// Returns the first sequence header of the units of a coded image.
pub(super) fn find(units: &[u8]) -> Option<Sequence> {
    const SEQUENCE_HEADER: u8 = 1;
    let mut rest = units;
    while let Some((&head, after)) = rest.split_first() {
        let (kind, has_extension, has_size) = (head >> 3 & 15, head & 4 != 0, head & 2 != 0);
        let after = after.get(usize::from(has_extension)..)?;
        let (size, after) = if has_size { leb128(after)? } else { (after.len(), after) };
        let content = after.get(..size)?;
        if kind == SEQUENCE_HEADER {
            return read(&mut Bits { bytes: content, at: 0 });
        }
        rest = &after[size..];
    }
    None
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (place, &byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 127) << (7 * place);
        if byte & 128 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[place + 1..]));
        }
    }
    None
}

/// The first bit of a byte is its highest one.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn number(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |number, _| {
            let bit = self.bytes.get(self.at / 8)? >> (7 - self.at % 8) & 1;
            self.at += 1;
            Some(number << 1 | u32::from(bit))
        })
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.number(1)? == 1)
    }

    /// Skips a number with a unary length.
    fn skip_uvlc(&mut self) -> Option<()> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        if zeros < 32 { self.number(zeros).map(|_| ()) } else { Some(()) }
    }
}

fn read(bits: &mut Bits<'_>) -> Option<Sequence> {
    let profile = bits.number(3)?;
    let _is_still = bits.flag()?;
    let is_reduced = bits.flag()?;
    if is_reduced {
        bits.number(5)?;
    } else {
        skip_operating_points(bits)?;
    }
    let (width_bits, height_bits) = (bits.number(4)? + 1, bits.number(4)? + 1);
    let size = (bits.number(width_bits)? + 1, bits.number(height_bits)? + 1);
    if !is_reduced && bits.flag()? {
        // The lengths of the numbers of frames.
        bits.number(4 + 3)?;
    }
    // 128 x 128 superblocks, and two kinds of intra prediction.
    bits.number(3)?;
    if !is_reduced {
        skip_inter_tools(bits)?;
    }
    // Super-resolution, CDEF and restoration.
    bits.number(3)?;
    read_colours(bits, profile, size)
}

fn skip_operating_points(bits: &mut Bits<'_>) -> Option<()> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.number(32)?;
        bits.number(32)?;
        if bits.flag()? {
            bits.skip_uvlc()?;
        }
        if bits.flag()? {
            delay_bits = Some(bits.number(5)? + 1);
            bits.number(32)?;
            bits.number(5 + 5)?;
        }
    }
    let has_initial_delay = bits.flag()?;
    for _ in 0..=bits.number(5)? {
        bits.number(12)?;
        // Levels above 7 have a tier.
        if bits.number(5)? > 7 {
            bits.number(1)?;
        }
        if let Some(count) = delay_bits
            && bits.flag()?
        {
            bits.number(count)?;
            bits.number(count)?;
            bits.number(1)?;
        }
        if has_initial_delay && bits.flag()? {
            bits.number(4)?;
        }
    }
    Some(())
}

fn skip_inter_tools(bits: &mut Bits<'_>) -> Option<()> {
    bits.number(4)?;
    let has_order_hint = bits.flag()?;
    if has_order_hint {
        bits.number(2)?;
    }
    // Whether each frame chooses its tools for screen content, or else which ones are used.
    let uses_screen_tools = bits.flag()? || bits.flag()?;
    if uses_screen_tools && !bits.flag()? {
        bits.number(1)?;
    }
    if has_order_hint {
        bits.number(3)?;
    }
    Some(())
}

fn read_colours(bits: &mut Bits<'_>, profile: u32, size: (u32, u32)) -> Option<Sequence> {
    let is_deep = bits.flag()?;
    if profile == 2 && is_deep {
        bits.number(1)?;
    }
    let is_gray = profile != 1 && bits.flag()?;
    let (primaries, transfer, matrix) = if bits.flag()? {
        (bits.number(8)?, bits.number(8)?, bits.number(8)?)
    } else {
        (NOT_SPECIFIED, NOT_SPECIFIED, NOT_SPECIFIED)
    };
    let is_rgb = !is_gray && (primaries, transfer, matrix) == (1, SRGB_TRANSFER, IDENTITY_MATRIX);
    let is_full_range = is_rgb || bits.flag()?;
    let [primaries, transfer, matrix] = [primaries, transfer, matrix].map(|number| u16::try_from(number).ok());
    Some(Sequence { size, primaries: primaries?, transfer: transfer?, matrix: matrix?, is_full_range })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes numbers with their counts of bits.
    fn bits(numbers: &[(u32, u32)]) -> Vec<u8> {
        let all: Vec<u32> =
            numbers.iter().flat_map(|&(number, count)| (0..count).rev().map(move |bit| number >> bit & 1)).collect();
        all.chunks(8)
            .map(|byte| u8::try_from(byte.iter().enumerate().map(|(at, bit)| bit << (7 - at)).sum::<u32>()).unwrap())
            .collect()
    }

    #[test]
    fn a_still_and_a_video_header_are_read() {
        let colours = [(0, 1), (0, 1), (1, 1), (9, 8), (16, 8), (9, 8), (1, 1)];
        let size = [(9, 4), (8, 4), (639, 10), (479, 9)];
        let still = [&[(0, 3), (1, 1), (1, 1), (8, 5)][..], &size, &[(0, 3), (0, 3)], &colours].concat();
        let timing = [(1, 1), (1, 32), (25, 32), (1, 1), (1, 3), (0, 2), (1, 1), (9, 5), (1, 32), (0, 10)];
        let points = [(1, 1), (0, 5), (0, 12), (8, 5), (0, 1), (1, 1), (3, 10), (3, 10), (0, 1), (1, 1), (5, 4)];
        let tools = [(0, 4), (1, 1), (0, 2), (0, 1), (1, 1), (0, 1), (1, 1), (0, 3)];
        let video = [&[(0, 3), (0, 1), (0, 1)][..], &timing, &points, &size, &[(0, 1), (0, 3)], &tools, &[(0, 3)]];
        let video = [&video.concat()[..], &colours].concat();
        for numbers in [still, video] {
            let header = bits(&numbers);
            let length = u8::try_from(header.len()).unwrap();
            // A temporal delimiter comes first.
            let units = [&[0x12, 0, 0x0A, length][..], &header].concat();
            let expected = Sequence { size: (640, 480), primaries: 9, transfer: 16, matrix: 9, is_full_range: true };
            assert_eq!(find(&units), Some(expected));
            assert_eq!((find(&units[..6]), find(&[]), find(&[0x12, 0])), (None, None, None));
        }
    }
}
