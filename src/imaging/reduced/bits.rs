//! Removes the byte stuffing from the entropy-coded data and reads bits from it.

/// The data between restart markers. Without restart markers, all data is one interval.
pub(super) struct Intervals {
    bytes: Vec<u8>,
    /// The offset after the last byte of each interval.
    ends: Vec<usize>,
}

/// One interval: all bytes from its first one on, and the number of bytes that belong to it.
pub(super) struct Interval<'a> {
    bytes: &'a [u8],
    own: usize,
}

/// Bytes that can be read beyond the end of the data without a check.
const SPARE: [u8; 8] = [0; 8];

impl Intervals {
    /// Reads up to the end marker. Returns `None` if it is missing or if another marker precedes it.
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let mut intervals = Self { bytes: Vec::with_capacity(data.len() + SPARE.len()), ends: Vec::new() };
        let mut rest = data;
        loop {
            let at = memchr::memchr(0xFF, rest)?;
            match *rest.get(at + 1)? {
                0x00 => intervals.bytes.extend_from_slice(&rest[..=at]),
                marker @ 0xD0..=0xD7 if usize::from(marker - 0xD0) == intervals.ends.len() % 8 => {
                    intervals.end(&rest[..at]);
                }
                0xD9 => {
                    intervals.end(&rest[..at]);
                    intervals.bytes.extend_from_slice(&SPARE);
                    return Some(intervals);
                }
                _ => return None,
            }
            rest = &rest[at + 2..];
        }
    }

    fn end(&mut self, last: &[u8]) {
        self.bytes.extend_from_slice(last);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Interval<'_>> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| Interval { bytes: &self.bytes[begin..], own: end - begin })
    }
}

/// A reader of bits, from the most significant bit on.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The offset of the next byte that is not in `word` yet. It can be beyond the end, where all bits are zero.
    at: usize,
    /// The next bits, at the top. The bits below the first `count` bits are also correct, or zero.
    word: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(interval: &Interval<'a>) -> Self {
        Self { bytes: interval.bytes, at: 0, word: 0, count: 0 }
    }

    /// Makes at least 32 bits available. This is enough for any code with its value.
    #[inline]
    pub(super) fn refill(&mut self) {
        if self.count < 32 {
            let next = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>);
            self.word |= next.map_or(0, |bytes| u64::from_be_bytes(*bytes)) >> self.count;
            let taken = (63 - self.count) / 8;
            self.at += taken as usize;
            self.count += taken * 8;
        }
    }

    /// Returns the next `BITS` bits (1 to 16) without consuming them.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most 16 bits are left")]
    pub(super) fn peek<const BITS: u32>(&self) -> usize {
        (self.word >> (64 - BITS)) as usize
    }

    /// Consumes this number of bits.
    #[inline]
    pub(super) fn skip(&mut self, bits: u32) {
        self.word <<= bits;
        self.count -= bits;
    }

    /// Reads a number of `size` bits (1 to 15) whose first bit gives the sign (ITU-T T.81, F.2.2.1: EXTEND).
    #[inline]
    pub(super) fn signed(&mut self, size: u32) -> i32 {
        let value = i32::try_from(self.word >> (64 - size)).unwrap_or(0);
        self.skip(size);
        if value < 1 << (size - 1) { value - (1 << size) + 1 } else { value }
    }

    /// Returns whether the interval was read exactly to its end. Unused bits in the last byte are allowed.
    pub(super) fn is_exhausted(&self, interval: &Interval<'_>) -> bool {
        let (used, own) = (self.at * 8 - self.count as usize, interval.own * 8);
        used <= own && own - used < 8
    }
}
