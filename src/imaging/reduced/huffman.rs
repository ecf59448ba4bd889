//! Huffman codes as JPEG stores them (ITU-T T.81, annex C), in tables that are indexed by the next bits.

use super::bits::Bits;

const QUICK_BITS: u32 = 10;
const STEP_BITS: u32 = 12;

/// One table of codes.
#[derive(Clone)]
pub(super) struct Huffman {
    /// Indexed by the next 10 bits: length and symbol of the code at their start; 0 if the code is longer than 10 bits.
    quick: Box<[u16; 1 << QUICK_BITS]>,
    symbols: Vec<u8>,
    /// Indexed by length: the value after the last code of that length, at the top of 16 bits.
    limits: [u32; 17],
    /// Indexed by length: the difference between a code and the index of its symbol.
    offsets: [i32; 17],
}

/// The information that is needed to skip the codes in the next 12 bits. It is packed into one number, so that the
/// tables fit into the L1 cache.
#[derive(Clone, Copy, Default)]
pub(super) struct Step(u16);

const ENDS: u16 = 1 << 11;

impl Step {
    fn new(bits: u32, coefficients: u8, ends: bool) -> Option<Self> {
        let bits = u16::try_from(bits).ok().filter(|bits| *bits < 32)?;
        Some(Self(bits | u16::from(coefficients) << 5 | if ends { ENDS } else { 0 }))
    }

    /// Returns the number of bits, including those of the values; 0 if the 12 bits are not sufficient.
    #[inline]
    pub(super) fn bits(self) -> u32 {
        u32::from(self.0 & 31)
    }

    /// Returns the number of coefficients that these bits contain, up to 63.
    #[inline]
    pub(super) fn coefficients(self) -> usize {
        usize::from(self.0 >> 5 & 63)
    }

    /// Returns whether the last code is the one that ends the block.
    #[inline]
    pub(super) fn ends(self) -> bool {
        self.0 & ENDS != 0
    }
}

impl Huffman {
    /// Builds the table from the 16 counts and the symbols of a DHT segment. Returns `None` if they are not a valid
    /// code.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            quick: Box::new([0; 1 << QUICK_BITS]),
            symbols: symbols.to_vec(),
            limits: [0; 17],
            offsets: [0; 17],
        };
        let (mut code, mut place) = (0_u32, 0_u32);
        for (length, &count) in (1_u32..).zip(counts) {
            table.offsets[length as usize] = place.cast_signed() - code.cast_signed();
            for _ in 0..count {
                if length <= QUICK_BITS {
                    let first = (code << (QUICK_BITS - length)) as usize;
                    let symbol = *symbols.get(place as usize)?;
                    let entry = u16::try_from(length << 8).ok()? | u16::from(symbol);
                    table.quick.get_mut(first..first + (1 << (QUICK_BITS - length)))?.fill(entry);
                }
                code += 1;
                place += 1;
            }
            if code > 1 << length {
                return None;
            }
            table.limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        (place as usize == symbols.len()).then_some(table)
    }

    /// Returns the length and symbol of the code at the top of 16 bits.
    fn find(&self, next: u32) -> Option<(u32, u8)> {
        match self.quick[(next >> (16 - QUICK_BITS)) as usize] {
            0 => {
                let length = (QUICK_BITS + 1..=16).find(|&length| next < self.limits[length as usize])?;
                let place = (next >> (16 - length)).cast_signed() + self.offsets[length as usize];
                Some((length, *self.symbols.get(usize::try_from(place).ok()?)?))
            }
            entry => Some((u32::from(entry >> 8), entry.to_be_bytes()[1])),
        }
    }

    /// Reads the next symbol. The caller must have refilled the bits.
    #[inline]
    pub(super) fn symbol(&self, bits: &mut Bits<'_>) -> Option<u8> {
        let (length, symbol) = match self.quick[bits.peek::<QUICK_BITS>()] {
            0 => self.find(u32::try_from(bits.peek::<16>()).ok()?)?,
            entry => (u32::from(entry >> 8), entry.to_be_bytes()[1]),
        };
        bits.skip(length);
        Some(symbol)
    }

    /// Returns, for every value of 12 bits, the codes that are completely within them. The value of the first code can
    /// extend beyond the 12 bits.
    pub(super) fn steps(&self) -> Box<[Step; 1 << STEP_BITS]> {
        let mut steps = Box::new([Step::default(); 1 << STEP_BITS]);
        for (next, step) in (0_u32..).zip(steps.iter_mut()) {
            let (mut used, mut coefficients, mut ends) = (0, 0_u8, false);
            while let Some((length, symbol)) = self.find((next << (16 - STEP_BITS + used)) & 0xFFFF) {
                let (run, size) = (symbol >> 4, u32::from(symbol & 15));
                let fits = used + length + if used == 0 { 0 } else { size } <= STEP_BITS;
                let is_valid = size > 0 || run == 0 || run == 15;
                let after = if symbol == 0 { coefficients } else { coefficients + run + 1 };
                if !fits || !is_valid || after > 63 {
                    break;
                }
                (used, coefficients, ends) = (used + length + size, after, symbol == 0);
                if ends || used >= STEP_BITS {
                    break;
                }
            }
            *step = Step::new(used, coefficients, ends).unwrap_or_default();
        }
        steps
    }
}

/// Returns the step for the next bits.
#[inline]
pub(super) fn step(steps: &[Step; 1 << STEP_BITS], bits: &Bits<'_>) -> Step {
    steps[bits.peek::<STEP_BITS>()]
}
