//! Reads single tags of an EXIF block, which is a small TIFF file.
//!
//! Nothing is collected: a tag is found by a walk over the entries of its directory, each time. A parser that collects all
//! entries (kamadak-exif 0.6.2) took 323 MB for a block of 64 kB whose directories overlap.

use super::text;
use crate::imaging::facts::exif::{Order, strip_prefixes};

pub(super) const IMAGE_DESCRIPTION: u16 = 0x010E;
pub(super) const MAKE: u16 = 0x010F;
pub(super) const MODEL: u16 = 0x0110;
pub(super) const DATE_TIME: u16 = 0x0132;
pub(super) const RATING: u16 = 0x4746;
pub(super) const EXIF_IFD: u16 = 0x8769;
pub(super) const GPS_IFD: u16 = 0x8825;
pub(super) const DATE_TIME_ORIGINAL: u16 = 0x9003;
pub(super) const DATE_TIME_DIGITIZED: u16 = 0x9004;
pub(super) const OFFSET_TIME: u16 = 0x9010;
pub(super) const OFFSET_TIME_ORIGINAL: u16 = 0x9011;
pub(super) const OFFSET_TIME_DIGITIZED: u16 = 0x9012;
pub(super) const SUB_SEC_TIME_ORIGINAL: u16 = 0x9291;
pub(super) const SUB_SEC_TIME_DIGITIZED: u16 = 0x9292;
pub(super) const LENS_MODEL: u16 = 0xA434;
pub(super) const GPS_LATITUDE_REF: u16 = 1;
pub(super) const GPS_LATITUDE: u16 = 2;
pub(super) const GPS_LONGITUDE_REF: u16 = 3;
pub(super) const GPS_LONGITUDE: u16 = 4;
pub(super) const GPS_TIME_STAMP: u16 = 7;
pub(super) const GPS_DATE_STAMP: u16 = 29;

/// The types of values: 8-bit numbers and texts, and others.
const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;
/// Maximum bytes of a text that are read.
const MAX_TEXT: usize = 8 << 10;

/// An EXIF block.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    tiff: &'a [u8],
    order: Order,
}

/// A directory of tags.
#[derive(Clone, Copy)]
pub(super) struct Ifd<'a> {
    block: Block<'a>,
    entries: &'a [[u8; 12]],
}

impl<'a> Block<'a> {
    pub(super) fn parse(block: &'a [u8]) -> Option<Self> {
        let tiff = strip_prefixes(block);
        let order = Order::read(tiff)?;
        Some(Self { tiff, order }).filter(|block| !block.main().entries.is_empty())
    }

    /// Returns the first directory.
    pub(super) fn main(&self) -> Ifd<'a> {
        self.tiff
            .get(4..8)
            .and_then(|at| self.order.u32(at))
            .and_then(|at| self.ifd(at))
            .unwrap_or(Ifd { block: *self, entries: &[] })
    }

    /// Returns the directory to which a tag of the first one points.
    pub(super) fn child(&self, tag: u16) -> Option<Ifd<'a>> {
        self.ifd(self.main().integer(tag)?)
    }

    fn ifd(&self, at: u32) -> Option<Ifd<'a>> {
        let rest = self.tiff.get(usize::try_from(at).ok()?..)?;
        let (count, rest) = rest.split_at_checked(2)?;
        // The block can contain fewer entries than it declares.
        let entries = rest.as_chunks::<12>().0;
        let count = usize::from(self.order.u16(count)?).min(entries.len());
        Some(Ifd { block: *self, entries: &entries[..count] })
    }
}

impl<'a> Ifd<'a> {
    /// Returns the type and the bytes of the first entry with this tag.
    fn value(&self, tag: u16) -> Option<(u16, &'a [u8])> {
        let order = self.block.order;
        let entry = self.entries.iter().find(|entry| order.u16(&entry[..2]) == Some(tag))?;
        let kind = order.u16(&entry[2..4])?;
        let size = match kind {
            SHORT => 2,
            LONG => 4,
            RATIONAL => 8,
            _ => 1,
        };
        let bytes = usize::try_from(order.u32(&entry[4..8])?).ok()?.checked_mul(size)?;
        if bytes <= 4 {
            return Some((kind, &entry[8..8 + bytes]));
        }
        let at = usize::try_from(order.u32(&entry[8..12])?).ok()?;
        Some((kind, self.block.tiff.get(at..at.checked_add(bytes)?)?))
    }

    /// Returns the bytes of a text up to its end.
    pub(super) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        let (kind, bytes) = self.value(tag)?;
        // Some cameras declare texts as bytes; a text of EXIF 3.0 has the type 129.
        let is_text = matches!(kind, ASCII | 1 | 7 | 129);
        let end = memchr::memchr(0, bytes).unwrap_or(bytes.len()).min(MAX_TEXT);
        is_text.then(|| &bytes[..end])
    }

    pub(super) fn text(&self, tag: u16) -> Option<String> {
        self.bytes(tag).map(text::decode).filter(|text| !text.trim().is_empty())
    }

    pub(super) fn integer(&self, tag: u16) -> Option<u32> {
        match self.value(tag)? {
            (SHORT, bytes) => self.block.order.u16(bytes.get(..2)?).map(u32::from),
            (LONG, bytes) => self.block.order.u32(bytes.get(..4)?),
            _ => None,
        }
    }

    /// Returns three rational numbers. A denominator of zero is possible only in a number that is zero.
    pub(super) fn rationals(&self, tag: u16) -> Option<[f64; 3]> {
        let (RATIONAL, bytes) = self.value(tag)? else { return None };
        let mut numbers = [0.0; 3];
        for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks::<8>().0.get(..3)?) {
            let [over, under] = [&bytes[..4], &bytes[4..]].map(|part| self.block.order.u32(part));
            *number = match (over?, under?) {
                (0, 0) => 0.0,
                (_, 0) => return None,
                (over, under) => f64::from(over) / f64::from(under),
            };
        }
        Some(numbers)
    }
}
