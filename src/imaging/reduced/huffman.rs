//! Huffman codes as JPEG stores them (ITU-T T.81, annex C), as tables that answer by the next bits.

use super::bits::Bits;

const QUICK: u32 = 10;
const FAR: u32 = 12;

/// One table of codes.
#[derive(Clone)]
pub(super) struct Huffman {
    /// By the next 10 bits: length and symbol of the code that they begin with; 0 where it is longer.
    quick: Box<[u16; 1 << QUICK]>,
    symbols: Vec<u8>,
    /// By length: one after the last code of that length, at the top of 16 bits.
    limits: [u32; 17],
    /// By length: what leads from a code to its symbol's place.
    offsets: [i32; 17],
}

/// What the next 12 bits mean to someone who only wants to get past them. One number: the tables stay in the first cache.
#[derive(Clone, Copy, Default)]
pub(super) struct Step(u16);

const ENDS: u16 = 1 << 11;

impl Step {
    fn new(bits: u32, coefficients: u8, ends: bool) -> Option<Self> {
        let bits = u16::try_from(bits).ok().filter(|bits| *bits < 32)?;
        Some(Self(bits | u16::from(coefficients) << 5 | if ends { ENDS } else { 0 }))
    }

    /// How many bits, those of the values with them; 0 where the bits do not tell.
    #[inline]
    pub(super) fn bits(self) -> u32 {
        u32::from(self.0 & 31)
    }

    /// How many coefficients they stand for, up to 63.
    #[inline]
    pub(super) fn coefficients(self) -> usize {
        usize::from(self.0 >> 5 & 63)
    }

    /// Whether they end with the code that ends the block.
    #[inline]
    pub(super) fn ends(self) -> bool {
        self.0 & ENDS != 0
    }
}

impl Huffman {
    /// From the 16 counts and the symbols of a DHT segment. `None` where they are no code.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table =
            Self { quick: Box::new([0; 1 << QUICK]), symbols: symbols.to_vec(), limits: [0; 17], offsets: [0; 17] };
        let (mut code, mut place) = (0_u32, 0_u32);
        for (length, &count) in (1_u32..).zip(counts) {
            table.offsets[length as usize] = place.cast_signed() - code.cast_signed();
            for _ in 0..count {
                if length <= QUICK {
                    let first = (code << (QUICK - length)) as usize;
                    let symbol = *symbols.get(place as usize)?;
                    let entry = u16::try_from(length << 8).ok()? | u16::from(symbol);
                    table.quick.get_mut(first..first + (1 << (QUICK - length)))?.fill(entry);
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

    /// Length and symbol of the code at the top of 16 bits.
    fn find(&self, next: u32) -> Option<(u32, u8)> {
        match self.quick[(next >> (16 - QUICK)) as usize] {
            0 => {
                let length = (QUICK + 1..=16).find(|&length| next < self.limits[length as usize])?;
                let place = (next >> (16 - length)).cast_signed() + self.offsets[length as usize];
                Some((length, *self.symbols.get(usize::try_from(place).ok()?)?))
            }
            entry => Some((u32::from(entry >> 8), entry.to_be_bytes()[1])),
        }
    }

    /// The next symbol. The bits must have been refilled.
    #[inline]
    pub(super) fn symbol(&self, bits: &mut Bits<'_>) -> Option<u8> {
        let (length, symbol) = match self.quick[bits.peek::<QUICK>()] {
            0 => self.find(u32::try_from(bits.peek::<16>()).ok()?)?,
            entry => (u32::from(entry >> 8), entry.to_be_bytes()[1]),
        };
        bits.skip(length);
        Some(symbol)
    }

    /// For every 12 bits the codes that lie in them whole; of the first one the value may reach beyond them.
    pub(super) fn steps(&self) -> Box<[Step; 1 << FAR]> {
        let mut steps = Box::new([Step::default(); 1 << FAR]);
        for (next, step) in (0_u32..).zip(steps.iter_mut()) {
            let (mut used, mut coefficients, mut ends) = (0, 0_u8, false);
            while let Some((length, symbol)) = self.find((next << (16 - FAR + used)) & 0xFFFF) {
                let (run, size) = (symbol >> 4, u32::from(symbol & 15));
                let fits = used + length + if used == 0 { 0 } else { size } <= FAR;
                let known = size > 0 || run == 0 || run == 15;
                let after = if symbol == 0 { coefficients } else { coefficients + run + 1 };
                if !fits || !known || after > 63 {
                    break;
                }
                (used, coefficients, ends) = (used + length + size, after, symbol == 0);
                if ends || used >= FAR {
                    break;
                }
            }
            *step = Step::new(used, coefficients, ends).unwrap_or_default();
        }
        steps
    }
}

/// The step at the next bits.
#[inline]
pub(super) fn step(steps: &[Step; 1 << FAR], bits: &Bits<'_>) -> Step {
    steps[bits.peek::<FAR>()]
}
