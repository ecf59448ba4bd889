//! Finds the JPEG that a camera embeds in a RAW file. The data of the sensor is not developed.
//!
//! The largest JPEG is used: it is the image that the camera shows, and a reduced decode makes it as cheap as any other JPEG.

use image::metadata::Orientation;

use super::ImageError;
use super::facts::tiff::{Directory, Tiff, tags};
use super::facts::walk::jpeg_segment;
use super::jpeg::coding;

/// A JPEG with a shorter side of fewer pixels is only a thumbnail.
const MIN_SIDE: u32 = 160;
/// Maximum number of places at which a JPEG can begin. A file of the size limit has a few of them by chance.
const MAX_CANDIDATES: usize = 256;
/// The first bytes of a JPEG.
const START: [u8; 2] = [0xFF, 0xD8];

/// The embedded JPEG and what the RAW file says about it.
pub(crate) struct Preview<'a> {
    pub(crate) jpeg: &'a [u8],
    /// The orientation of the RAW file. It applies if the JPEG has none.
    pub(crate) orientation: Option<Orientation>,
}

/// Returns the embedded JPEG.
///
/// # Errors
/// Returns [`ImageError::UnsupportedCoding`] if no embedded JPEG has a useful size.
pub(crate) fn preview(bytes: &[u8]) -> Result<Preview<'_>, ImageError> {
    let (mut candidates, orientation, is_dng) = from_directories(bytes);
    if let Some(&[o3, o2, o1, o0, l3, l2, l1, l0]) = bytes.get(84..92)
        && bytes.starts_with(b"FUJIFILM")
    {
        candidates.extend(part(bytes, [o3, o2, o1, o0].map(u64::from), [l3, l2, l1, l0].map(u64::from)));
    }
    let mut best = largest(candidates);
    // The main image of a lossy DNG consists of JPEGs that show only parts of it.
    if best.is_none() && !is_dng {
        best = largest(scan(bytes));
    }
    let jpeg = best.ok_or_else(|| {
        ImageError::coding(format!("a camera RAW file without an embedded JPEG of at least {MIN_SIDE} pixels a side"))
    })?;
    Ok(Preview { jpeg, orientation: orientation.or_else(|| canon_orientation(bytes)) })
}

/// Returns the JPEGs that the directories of the file refer to, its orientation, and whether it is a DNG.
fn from_directories(bytes: &[u8]) -> (Vec<&[u8]>, Option<Orientation>, bool) {
    let Some((file, first)) = Tiff::open(bytes) else { return (Vec::new(), None, false) };
    let mut directories = file.chain(first);
    directories.truncate(32);
    let orientation = directories.first().and_then(orientation);
    let is_dng = directories.first().is_some_and(|first| first.contains(tags::DNG_VERSION));
    let children: Vec<_> = directories.iter().flat_map(Directory::children).collect();
    directories.extend(children);
    (directories.iter().flat_map(|directory| jpegs(bytes, directory)).collect(), orientation, is_dng)
}

fn orientation(directory: &Directory<'_>) -> Option<Orientation> {
    let number = directory.number(tags::ORIENTATION)?;
    Orientation::from_exif(u8::try_from(number).ok()?)
}

/// Returns the JPEGs of one directory.
fn jpegs<'a>(bytes: &'a [u8], directory: &Directory<'a>) -> Vec<&'a [u8]> {
    /// The offset and length of a JPEG, and the tags in which Panasonic stores a whole JPEG.
    const JPEG_OFFSET: u16 = 513;
    const JPEG_LENGTH: u16 = 514;
    const JPEG_FROM_RAW: [u16; 2] = [0x002E, 0x0127];
    let range = |offset, length| {
        let (offset, length) = (directory.numbers(offset, 2)?, directory.numbers(length, 2)?);
        // A JPEG in several strips is data of the sensor.
        let (&[offset], &[length]) = (&offset[..], &length[..]) else { return None };
        let from = usize::try_from(offset).ok()?;
        bytes.get(from..from.checked_add(usize::try_from(length).ok()?)?)
    };
    let strip = range(tags::STRIP_OFFSETS, tags::STRIP_BYTES);
    let whole = JPEG_FROM_RAW.into_iter().filter_map(|tag| directory.bytes(tag));
    whole.chain(range(JPEG_OFFSET, JPEG_LENGTH)).chain(strip).collect()
}

fn part(bytes: &[u8], offset: [u64; 4], length: [u64; 4]) -> Option<&[u8]> {
    let number = |digits: [u64; 4]| digits.into_iter().fold(0, |number, digit| number << 8 | digit);
    let from = usize::try_from(number(offset)).ok()?;
    bytes.get(from..from.checked_add(usize::try_from(number(length)).ok()?)?)
}

/// Returns the JPEGs that begin anywhere in the file, without those inside others: for files whose structure is not read
/// (CR3, ORF).
fn scan(bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let (mut at, mut candidates) = (0, 0);
    let finder = memchr::memmem::Finder::new(&[0xFF, 0xD8, 0xFF]);
    while let Some(next) = finder.find(&bytes[at..])
        && candidates < MAX_CANDIDATES
    {
        let from = at + next;
        at = from + 3;
        candidates += 1;
        if has_header(&bytes[from..])
            && let Some(end) = end(bytes, from)
        {
            found.push(&bytes[from..end]);
            at = end;
        }
    }
    found
}

/// Whether the bytes begin with a complete header of a JPEG, without anything between its segments: data of a sensor
/// contains the first bytes of a JPEG by chance, and a damaged file could make the search for a header long.
fn has_header(bytes: &[u8]) -> bool {
    /// Cameras write about 20 segments.
    const MAX_SEGMENTS: usize = 256;
    let (mut at, mut has_frame) = (2, false);
    if !bytes.starts_with(&START) {
        return false;
    }
    for _ in 0..MAX_SEGMENTS {
        let Some(&[0xFF, marker, l1, l0]) = bytes.get(at..at + 4) else { return false };
        match marker {
            0xC0..=0xC2 => has_frame = true,
            0xC4 | 0xDB | 0xDD | 0xE0..=0xEF | 0xFE => {}
            0xDA => return has_frame,
            _ => return false,
        }
        at += 2 + usize::from(u16::from_be_bytes([l1, l0])).max(2);
    }
    false
}

/// Returns the offset after the end marker of the JPEG at this offset.
fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from + 2;
    loop {
        let segment = jpeg_segment(bytes, at)?;
        at = segment.end;
        match segment.marker {
            0xD9 => return Some(at),
            // A second image begins: this one has no end.
            0xD8 => return None,
            _ => {}
        }
    }
}

fn largest(candidates: Vec<&[u8]>) -> Option<&[u8]> {
    let size = |jpeg: &[u8]| {
        let coding = if has_header(jpeg) { coding::read(jpeg)? } else { return None };
        (coding.width.min(coding.height) >= MIN_SIDE).then(|| u64::from(coding.width) * u64::from(coding.height))
    };
    let sized = candidates.into_iter().filter_map(|jpeg| Some((size(jpeg)?, jpeg)));
    sized.max_by_key(|(size, _)| *size).map(|(_, jpeg)| jpeg)
}

/// Returns the EXIF block: the file, if it consists of directories, or else a part of it.
pub(crate) fn exif(bytes: &[u8]) -> Option<&[u8]> {
    if Tiff::open(bytes).is_some() { Some(bytes) } else { canon_part(bytes, *b"CMT1") }
}

/// Returns the blocks with the directories of EXIF and GPS, which a CR3 file stores separately.
pub(crate) fn exif_parts(bytes: &[u8]) -> [Option<&[u8]>; 2] {
    [*b"CMT2", *b"CMT4"].map(|name| canon_part(bytes, name))
}

/// Returns the content of a box of a CR3 file which is a TIFF directory.
fn canon_part(bytes: &[u8], name: [u8; 4]) -> Option<&[u8]> {
    let head = bytes.get(..bytes.len().min(1 << 16)).filter(|head| head.get(8..12) == Some(b"crx "))?;
    Some(&head[memchr::memmem::find(head, &name)? + 4..])
}

fn canon_orientation(bytes: &[u8]) -> Option<Orientation> {
    let (file, first) = Tiff::open(canon_part(bytes, *b"CMT1")?)?;
    orientation(&file.directory(first)?)
}

#[cfg(test)]
#[path = "raw_tests.rs"]
mod tests;
