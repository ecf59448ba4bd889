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
    pub(crate) const PREDICTOR: u16 = 317;
    pub(crate) const COLOUR_MAP: u16 = 320;
    pub(crate) const TILE_WIDTH: u16 = 322;
    pub(crate) const TILE_HEIGHT: u16 = 323;
    pub(crate) const TILE_OFFSETS: u16 = 324;
    pub(crate) const TILE_BYTES: u16 = 325;
    pub(crate) const SUB_IFDS: u16 = 330;
    pub(crate) const EXTRA_SAMPLES: u16 = 338;
    pub(crate) const SAMPLE_FORMAT: u16 = 339;
    pub(crate) const JPEG_TABLES: u16 = 347;
    pub(crate) const CHROMA_SUBSAMPLING: u16 = 530;
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
/// Maximum number of tags in all directories of a chain. The directories of a hostile file can overlap.
const MAX_CHAIN_TAGS: usize = 1 << 18;

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
    offset: u64,
    /// The offset of the first entry.
    first: usize,
    count: usize,
    next: u64,
    /// The offset after the last entry, at which the offset of the next directory is stored.
    end: usize,
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

    /// Returns the place in the file and the bytes of an offset.
    fn offset_bytes(self, at: usize, offset: u64) -> (u64, Vec<u8>) {
        let size = if self.big { 8 } else { 4 };
        let bytes =
            if self.little { offset.to_le_bytes()[..size].to_vec() } else { offset.to_be_bytes()[8 - size..].to_vec() };
        (at as u64, bytes)
    }

    /// Returns the directory at this offset, or `None` if it is not completely in the file.
    pub(crate) fn directory(self, offset: u64) -> Option<Directory<'a>> {
        let at = usize::try_from(offset).ok()?;
        let (count_size, entry_size) = if self.big { (8, 20) } else { (2, 12) };
        let count = usize::try_from(self.number(at, count_size).filter(|&count| count <= MAX_TAGS)?).ok()?;
        let first = at.checked_add(count_size)?;
        let end = first.checked_add(count.checked_mul(entry_size)?).filter(|&end| end <= self.bytes.len())?;
        let next = self.number(end, if self.big { 8 } else { 4 }).unwrap_or(0);
        Some(Directory { file: self, offset, first, count, next, end })
    }

    /// Returns the directories from this offset on, each linked to the next. Stops at a damaged one, and at one that was
    /// returned already.
    pub(crate) fn chain(self, first: u64) -> Vec<Directory<'a>> {
        let (mut directories, mut visited, mut at, mut tags) = (Vec::new(), HashSet::new(), first, 0);
        while at != 0
            && directories.len() < MAX_DIRECTORIES
            && visited.insert(at)
            && let Some(directory) = self.directory(at)
        {
            tags += directory.count;
            if tags > MAX_CHAIN_TAGS {
                break;
            }
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
    /// Returns the offset of the directory in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the changes of the file after which this directory is the only one: the places of two offsets, and their
    /// bytes.
    pub(crate) fn as_only_one(&self) -> [(u64, Vec<u8>); 2] {
        let first = if self.file.big { 8 } else { 4 };
        [self.file.offset_bytes(first, self.offset), self.file.offset_bytes(self.end, 0)]
    }

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

    /// Returns the largest number of values that an entry with one of these tags declares, whether they are in the file or not.
    pub(crate) fn largest_count(&self, wanted: &[u16]) -> u64 {
        let (entry_size, count_size) = if self.file.big { (20, 8) } else { (12, 4) };
        let entries = (0..self.count).map(|index| self.first + index * entry_size);
        let is_wanted =
            |at: usize| self.file.number(at, 2).is_some_and(|tag| wanted.iter().any(|&it| tag == u64::from(it)));
        entries.filter(|&at| is_wanted(at)).filter_map(|at| self.file.number(at + 4, count_size)).max().unwrap_or(0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_that_overlap_are_not_read_endlessly() {
        const STEP: usize = 6;
        let tags = usize::try_from(MAX_TAGS).unwrap();
        let number = |at: usize| u32::try_from(at).unwrap().to_le_bytes();
        // Each directory begins six bytes behind the one before: two bytes of its number of tags, and four of the offset
        // which is behind the tags of another one.
        let mut bytes = vec![0; 8 + MAX_DIRECTORIES * STEP + 2 + tags * 12 + 4];
        bytes[..8].copy_from_slice(b"II*\0\x08\0\0\0");
        for at in (0..MAX_DIRECTORIES).map(|place| 8 + place * STEP) {
            bytes[at..at + 2].copy_from_slice(&u16::try_from(tags).unwrap().to_le_bytes());
            let end = at + 2 + tags * 12;
            bytes[end..end + 4].copy_from_slice(&number(at + STEP));
        }
        let (file, first) = Tiff::open(&bytes).unwrap();
        assert_eq!(file.chain(first).len(), MAX_CHAIN_TAGS / tags);
    }
}
