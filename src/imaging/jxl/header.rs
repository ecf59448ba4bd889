//! Reads the header of a JPEG XL codestream (ISO/IEC 18181-1, annexes D and L), up to the number of channels. This is enough
//! for the size and for the memory that a decoder needs, and the decoder is not needed for it.

/// The facts from the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CodestreamHeader {
    /// Width and height after the orientation is applied.
    pub(super) size: (u32, u32),
    /// Whether all other fields have their defaults: 8 bits, no transparency, sRGB.
    pub(super) is_default: bool,
    /// Channels in addition to the colours, such as transparency.
    pub(super) extra_channels: u32,
    /// Bits for each sample.
    pub(super) bits: u32,
}

/// Returns the facts, or `None` if the bytes end too early.
pub(super) fn read(codestream: &[u8]) -> Option<CodestreamHeader> {
    let mut bits = Bits { bytes: codestream.strip_prefix(&[0xFF, 0x0A])?, at: 0 };
    let (width, height) = read_size(&mut bits)?;
    let default = CodestreamHeader { size: (width, height), is_default: true, extra_channels: 0, bits: 8 };
    if bits.flag()? {
        return Some(default);
    }
    let mut size = (width, height);
    if bits.flag()? {
        // Orientations 5 to 8 exchange the sides.
        if bits.number(3)? >= 4 {
            size = (height, width);
        }
        skip_optional_fields(&mut bits)?;
    }
    let is_float = bits.flag()?;
    let sample_bits = if is_float {
        let sample_bits = bits.choice([(0, 32), (0, 16), (0, 24), (6, 1)])?;
        bits.number(4)?;
        sample_bits
    } else {
        bits.choice([(0, 8), (0, 10), (0, 12), (6, 1)])?
    };
    // Whether 16 bits are enough for the samples.
    bits.flag()?;
    let extra_channels = bits.choice([(0, 0), (0, 1), (4, 2), (12, 1)])?;
    Some(CodestreamHeader { size, is_default: false, extra_channels, bits: sample_bits })
}

fn read_size(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    const SIDE: [(u32, u32); 4] = [(9, 1), (13, 1), (18, 1), (30, 1)];
    let is_small = bits.flag()?;
    let side = |bits: &mut Bits<'_>| if is_small { Some((bits.number(5)? + 1) * 8) } else { bits.choice(SIDE) };
    read_sides(bits, side)
}

/// Reads the height and the ratio, or else the width.
fn read_sides<'a>(bits: &mut Bits<'a>, side: impl Fn(&mut Bits<'a>) -> Option<u32>) -> Option<(u32, u32)> {
    let height = side(bits)?;
    let (over, under) = match bits.number(3)? {
        1 => (1, 1),
        2 => (12, 10),
        3 => (4, 3),
        4 => (3, 2),
        5 => (16, 9),
        6 => (5, 4),
        7 => (2, 1),
        _ => return Some((side(bits)?, height)),
    };
    Some((u32::try_from(u64::from(height) * over / under).ok()?, height))
}

/// Skips the intended size, the size of a preview, and the times of an animation.
fn skip_optional_fields(bits: &mut Bits<'_>) -> Option<()> {
    if bits.flag()? {
        read_size(bits)?;
    }
    if bits.flag()? {
        let has_blocks = bits.flag()?;
        let side = |bits: &mut Bits<'_>| {
            bits.choice(if has_blocks {
                [(0, 16), (0, 32), (5, 1), (9, 33)]
            } else {
                [(6, 1), (8, 65), (10, 321), (12, 1345)]
            })
        };
        read_sides(bits, side)?;
    }
    if bits.flag()? {
        bits.choice([(0, 100), (0, 1000), (10, 1), (30, 1)])?;
        bits.choice([(0, 1), (0, 1001), (8, 1), (10, 1)])?;
        bits.choice([(0, 0), (3, 0), (16, 0), (32, 0)])?;
        bits.flag()?;
    }
    Some(())
}

/// The first bit of a byte is its lowest one.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn number(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |number, place| {
            let bit = self.bytes.get(self.at / 8)? >> (self.at % 8) & 1;
            self.at += 1;
            Some(number | u32::from(bit) << place)
        })
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.number(1)? == 1)
    }

    /// Reads two bits that choose a count of bits and what is added to their number.
    fn choice(&mut self, choices: [(u32, u32); 4]) -> Option<u32> {
        let (count, added) = choices[self.number(2)? as usize];
        self.number(count)?.checked_add(added)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes numbers with their counts of bits.
    fn codestream(numbers: &[(u32, u32)]) -> Vec<u8> {
        let all: Vec<u32> =
            numbers.iter().flat_map(|&(number, count)| (0..count).map(move |bit| number >> bit & 1)).collect();
        let bytes = all.chunks(8).map(|byte| byte.iter().enumerate().map(|(at, bit)| bit << at).sum::<u32>());
        [0xFF, 0x0A].into_iter().chain(bytes.map(|byte| u8::try_from(byte).unwrap())).collect()
    }

    #[test]
    fn the_size_is_read_in_every_form() {
        let default = |size| CodestreamHeader { size, is_default: true, extra_channels: 0, bits: 8 };
        for (numbers, size) in [
            (&[(1, 1), (29, 5), (3, 3), (1, 1)][..], (320, 240)),
            (&[(1, 1), (29, 5), (0, 3), (9, 5), (1, 1)], (80, 240)),
            (&[(0, 1), (1, 2), (3999, 13), (0, 3), (2, 2), (30_000, 18), (1, 1)], (30_001, 4000)),
        ] {
            assert_eq!(read(&codestream(numbers)), Some(default(size)));
        }
        assert_eq!(read(&codestream(&[(1, 1), (29, 5)])), None);
        assert_eq!(read(b"\xFF\x0B\0\0\0\0"), None);
    }

    #[test]
    fn the_fields_before_the_number_of_channels_are_skipped() {
        let size = [(1, 1), (29, 5), (3, 3), (0, 1)];
        let optional = [
            // Orientation 6, an intended size, a preview, an animation.
            &[(1, 1), (5, 3), (1, 1), (1, 1), (3, 5), (1, 3)][..],
            &[(1, 1), (0, 1), (1, 2), (7, 8), (0, 3), (0, 2), (7, 6)],
            &[(1, 1), (2, 2), (24, 10), (0, 2), (1, 2), (5, 3), (0, 1)],
        ];
        let rest = [(0, 1), (3, 2), (15, 6), (0, 1), (2, 2), (1, 4)];
        let expected = CodestreamHeader { size: (240, 320), is_default: false, extra_channels: 3, bits: 16 };
        let numbers = [&size[..], &optional.concat(), &rest].concat();
        assert_eq!(read(&codestream(&numbers)), Some(expected));
        let float = [&size[..], &[(0, 1), (1, 1), (1, 2), (4, 4), (0, 1), (1, 2)]].concat();
        let expected = CodestreamHeader { size: (320, 240), is_default: false, extra_channels: 1, bits: 16 };
        assert_eq!(read(&codestream(&float)), Some(expected));
    }
}
