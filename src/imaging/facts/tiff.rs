//! Reads the directories of TIFF files, of `BigTIFF`, and of camera RAW files, which have the same structure. Every offset
//! and count comes from the file and is checked.

use std::collections::HashSet;

/// Tags that more than one module reads.
pub(crate) mod tags {
    pub(crate) const NEW_SUBFILE_TYPE: u16 = 254;
    pub(crate) const WIDTH: u16 = 256;
    pub(crate) const HEIGHT: u16 = 257;
    pub(crate) const BITS: u16 = 258;
    pub(crate) const COMPRESSION: u16 = 259;
    pub(crate) const PHOTOMETRIC: u16 = 262;
    pub(crate) const MAKE: u16 = 271;
    pub(crate) const STRIP_OFFSETS: u16 = 273;
    pub(crate) const ORIENTATION: u16 = 274;
    pub(crate) const SAMPLES: u16 = 277;
    pub(crate) const ROWS_PER_STRIP: u16 = 278;
    pub(crate) const STRIP_BYTES: u16 = 279;
    pub(crate) const PLANAR: u16 = 284;
    pub(crate) const COLOUR_MAP: u16 = 320;
    pub(crate) const TILE_WIDTH: u16 = 322;
    pub(crate) const TILE_HEIGHT: u16 = 323;
    pub(crate) const TILE_OFFSETS: u16 = 324;
    pub(crate) const TILE_BYTES: u16 = 325;
    pub(crate) const SUB_IFDS: u16 = 330;
    pub(crate) const EXTRA_SAMPLES: u16 = 338;
    pub(crate) const JPEG_TABLES: u16 = 347;
    pub(crate) const XMP: u16 = 700;
    pub(crate) const IPTC: u16 = 33723;
    pub(crate) const PHOTOSHOP: u16 = 34377;
    pub(crate) const ICC: u16 = 34675;
    pub(crate) const DNG_VERSION: u16 = 50706;
}

/// Maximum number of directories that are read. More pages than this are not counted.
const MAX_DIRECTORIES: usize = 4096;
/// Maximum number of tags in a directory. Cameras write about a hundred.
const MAX_TAGS: u64 = 4096;

/// A file that consists of directories.
#[derive(Clone, Copy)]
pub(crate) struct Tiff<'a> {
    bytes: &'a [u8],
    little: bool,
    big: bool,
}

/// One directory: the tags of one image.
#[derive(Clone, Copy)]
pub(crate) struct Directory<'a> {
    file: Tiff<'a>,
    /// The offset of the first entry.
    first: usize,
    count: usize,
    next: u64,
}

impl<'a> Tiff<'a> {
    /// Returns the file and the offset of its first directory, or `None` if it does not begin like a TIFF file or like a
    /// RAW file of Olympus or Panasonic.
    pub(crate) fn open(bytes: &'a [u8]) -> Option<(Self, u64)> {
        let (little, big) = match bytes.get(..4)? {
            b"II*\0" | b"IIRO" | b"IIRS" | b"IIU\0" => (true, false),
            b"MM\0*" | b"MMOR" => (false, false),
            b"II+\0" => (true, true),
            b"MM\0+" => (false, true),
            _ => return None,
        };
        let file = Self { bytes, little, big };
        let first = if big { file.number(8, 8) } else { file.number(4, 4) };
        Some((file, first.unwrap_or(u64::MAX)))
    }

    /// Returns the directory at this offset, or `None` if it is not completely in the file.
    pub(crate) fn directory(self, offset: u64) -> Option<Directory<'a>> {
        let at = usize::try_from(offset).ok()?;
        let (count_size, entry_size) = if self.big { (8, 20) } else { (2, 12) };
        let count = usize::try_from(self.number(at, count_size).filter(|&count| count <= MAX_TAGS)?).ok()?;
        let first = at.checked_add(count_size)?;
        let end = first.checked_add(count.checked_mul(entry_size)?).filter(|&end| end <= self.bytes.len())?;
        let next = self.number(end, if self.big { 8 } else { 4 }).unwrap_or(0);
        Some(Directory { file: self, first, count, next })
    }

    /// Returns the directories from this offset on, each linked to the next. Stops at a damaged one.
    pub(crate) fn chain(self, first: u64) -> Vec<Directory<'a>> {
        let (mut directories, mut visited, mut at) = (Vec::new(), HashSet::new(), first);
        while at != 0
            && directories.len() < MAX_DIRECTORIES
            && visited.insert(at)
            && let Some(directory) = self.directory(at)
        {
            at = directory.next;
            directories.push(directory);
        }
        directories
    }

    fn number(self, at: usize, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        let append = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.little { bytes.iter().rev().fold(0, append) } else { bytes.iter().fold(0, append) })
    }
}

/// The value of a tag: where it is in the file, and how it is stored.
#[derive(Clone, Copy)]
struct Value {
    offset: usize,
    count: usize,
    /// Bytes of one number.
    size: usize,
}

impl<'a> Directory<'a> {
    /// Returns the numbers of a tag, at most `max` of them. Returns `None` if the tag is missing or not within the file.
    pub(crate) fn numbers(&self, tag: u16, max: usize) -> Option<Vec<u64>> {
        let value = self.value(tag)?;
        (0..value.count.min(max)).map(|index| self.file.number(value.offset + index * value.size, value.size)).collect()
    }

    /// Returns the first number of a tag.
    pub(crate) fn number(&self, tag: u16) -> Option<u64> {
        self.numbers(tag, 1)?.first().copied()
    }

    /// Returns the bytes of a tag.
    pub(crate) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        let value = self.value(tag)?;
        self.file.bytes.get(value.offset..value.offset.checked_add(value.count.checked_mul(value.size)?)?)
    }

    /// Whether the directory contains a tag.
    pub(crate) fn contains(&self, tag: u16) -> bool {
        self.value(tag).is_some()
    }

    /// Returns the offset of the value of a tag in the file.
    pub(crate) fn value_offset(&self, tag: u16) -> Option<usize> {
        self.value(tag).map(|value| value.offset)
    }

    /// Returns the directories that this one refers to: for RAW files, the images beside the preview.
    pub(crate) fn children(&self) -> Vec<Directory<'a>> {
        let offsets = self.numbers(tags::SUB_IFDS, 32).unwrap_or_default();
        offsets.into_iter().filter_map(|offset| self.file.directory(offset)).collect()
    }

    fn value(&self, tag: u16) -> Option<Value> {
        let (entry_size, count_size) = if self.file.big { (20, 8) } else { (12, 4) };
        let mut entries = (0..self.count).map(|index| self.first + index * entry_size);
        let at = entries.find(|&at| self.file.number(at, 2) == Some(tag.into()))?;
        let size = match self.file.number(at + 2, 2)? {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16..=18 => 8,
            _ => return None,
        };
        let count = usize::try_from(self.file.number(at + 4, count_size)?).ok()?;
        let inline = at + 4 + count_size;
        let length = count.checked_mul(size)?;
        let offset =
            if length <= count_size { inline } else { usize::try_from(self.file.number(inline, count_size)?).ok()? };
        (count > 0 && offset.checked_add(length)? <= self.file.bytes.len()).then_some(Value { offset, count, size })
    }
}
