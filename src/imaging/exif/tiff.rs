//! Reads single tags of an EXIF block, which is a small TIFF file; or of a whole file with the same structure: TIFF, `BigTIFF`, and
//! camera RAW files.
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
const LONG8: u16 = 16;
/// The offset of a directory, in `BigTIFF`.
const IFD8: u16 = 18;
/// Maximum bytes of a text that are read.
const MAX_TEXT: usize = 8 << 10;

/// An EXIF block.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    tiff: &'a [u8],
    order: Order,
    /// Whether offsets have 64 bits.
    is_big: bool,
    /// The offset of the directory of the image, if it can be another than the first.
    image: Option<u64>,
}

/// A directory of tags.
#[derive(Clone, Copy)]
pub(super) struct Ifd<'a> {
    block: Block<'a>,
    entries: &'a [u8],
    /// The entries of the first directory, which describes the file, if this is another one.
    general: &'a [u8],
}

impl<'a> Block<'a> {
    pub(super) fn parse(block: &'a [u8]) -> Option<Self> {
        let tiff = strip_prefixes(block);
        let (order, is_big) = match tiff.get(..4)? {
            b"II+\0" => (Order::Little, true),
            b"MM\0+" => (Order::Big, true),
            // Olympus, and Panasonic.
            b"IIRO" | b"IIRS" | b"IIU\0" => (Order::Little, false),
            b"MMOR" => (Order::Big, false),
            _ => (Order::read(tiff)?, false),
        };
        Some(Self { tiff, order, is_big, image: None }).filter(|block| !block.main().entries.is_empty())
    }

    /// Returns the block with the directory of the image at this offset.
    pub(super) fn of_image(self, offset: Option<u64>) -> Self {
        Self { image: offset, ..self }
    }

    /// Returns the directory of the image, which has the tags of the first directory that it lacks.
    pub(super) fn main(&self) -> Ifd<'a> {
        let start = if self.is_big { 8 } else { 4 };
        let first = self.tiff.get(start..).and_then(|at| self.offset(at));
        let entries = |at| self.ifd(at).map_or(&[][..], |directory| directory.entries);
        let general = first.map_or(&[][..], entries);
        match self.image.filter(|&image| Some(image) != first) {
            Some(image) => Ifd { block: *self, entries: entries(image), general },
            None => Ifd { block: *self, entries: general, general: &[] },
        }
    }

    /// Returns the directory to which a tag of the first one points.
    pub(super) fn child(&self, tag: u16) -> Option<Ifd<'a>> {
        self.ifd(self.main().integer(tag)?)
    }

    fn ifd(&self, at: u64) -> Option<Ifd<'a>> {
        let rest = self.tiff.get(usize::try_from(at).ok()?..)?;
        let (count, rest) = rest.split_at_checked(if self.is_big { 8 } else { 2 })?;
        let count = if self.is_big { self.order.u64(count)? } else { self.order.u16(count)?.into() };
        // The block can contain fewer entries than it declares.
        let bytes = usize::try_from(count).ok()?.saturating_mul(self.entry_bytes()).min(rest.len());
        Some(Ifd { block: *self, entries: &rest[..bytes], general: &[] })
    }

    /// Returns the bytes of an entry: tag, type, count, and a value or its offset.
    fn entry_bytes(&self) -> usize {
        if self.is_big { 20 } else { 12 }
    }

    fn offset(&self, bytes: &[u8]) -> Option<u64> {
        if self.is_big { self.order.u64(bytes) } else { self.order.u32(bytes).map(u64::from) }
    }
}

impl<'a> Ifd<'a> {
    /// Returns the type and the bytes of the first entry with this tag.
    fn value(&self, tag: u16) -> Option<(u16, &'a [u8])> {
        let Block { tiff, order, .. } = self.block;
        let [entries, general] = [self.entries, self.general].map(|part| part.chunks_exact(self.block.entry_bytes()));
        let mut entries = entries.chain(general);
        let entry = entries.find(|entry| order.u16(entry) == Some(tag))?;
        let kind = order.u16(&entry[2..])?;
        let size = match kind {
            SHORT => 2,
            LONG => 4,
            RATIONAL | LONG8 | IFD8 => 8,
            _ => 1,
        };
        let (count, value) = entry[4..].split_at((entry.len() - 4) / 2);
        let bytes = usize::try_from(self.block.offset(count)?).ok()?.checked_mul(size)?;
        if bytes <= value.len() {
            return Some((kind, &value[..bytes]));
        }
        let at = usize::try_from(self.block.offset(value)?).ok()?;
        Some((kind, tiff.get(at..at.checked_add(bytes)?)?))
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

    pub(super) fn integer(&self, tag: u16) -> Option<u64> {
        let order = self.block.order;
        match self.value(tag)? {
            (SHORT, bytes) => order.u16(bytes).map(u64::from),
            (LONG, bytes) => order.u32(bytes).map(u64::from),
            (LONG8 | IFD8, bytes) => order.u64(bytes),
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
