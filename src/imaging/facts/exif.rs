//! Reads the orientation of an image from EXIF and XMP. A damaged block is ignored; it never makes the image fail.

use image::metadata::Orientation;

const PREFIX: &[u8] = b"Exif\0\0";
const ORIENTATION: u16 = 0x0112;
/// Maximum number of EXIF segments that are read. One segment holds 64 KB, so this is more EXIF than cameras write.
const MAX_SEGMENTS: usize = 32;

/// Collects the orientation from the metadata of one file, with the priorities of Pillow: the EXIF block, or else a raw
/// profile in a text chunk. XMP is used if neither of them has an orientation.
#[derive(Default)]
pub(crate) struct Metadata<'a> {
    blocks: Vec<&'a [u8]>,
    /// The orientation from a raw profile.
    profile: Option<u8>,
    xmp: Option<u8>,
}

impl<'a> Metadata<'a> {
    /// Adds an EXIF block, with or without the prefix `Exif\0\0`. A large block can be split into several segments.
    pub(crate) fn exif(&mut self, block: &'a [u8]) {
        if self.blocks.len() < MAX_SEGMENTS {
            self.blocks.push(block);
        }
    }

    /// Adds an EXIF block from a raw profile. The last block with an orientation is used.
    pub(crate) fn raw_profile(&mut self, block: &[u8]) {
        self.profile = read_orientation_tag(block).or(self.profile);
    }

    /// Adds an XMP packet. The last packet with an orientation is used.
    pub(crate) fn xmp(&mut self, packet: &[u8]) {
        self.xmp = orientation_of_xmp(packet).or(self.xmp);
    }

    /// Returns the resulting orientation. If the first source that has a value has an invalid one, the result is `None`
    /// and the other sources are not used.
    pub(crate) fn orientation(self) -> Option<Orientation> {
        let by_exif = match self.blocks[..] {
            [] => self.profile,
            [one] => read_orientation_tag(one),
            _ => read_orientation_tag(&self.joined())
                .or_else(|| self.blocks.iter().find_map(|block| read_orientation_tag(block))),
        };
        by_exif.or(self.xmp).and_then(Orientation::from_exif)
    }

    fn joined(&self) -> Vec<u8> {
        self.blocks.iter().flat_map(|block| block.strip_prefix(PREFIX).unwrap_or(block)).copied().collect()
    }
}

/// Returns the orientation tag of an EXIF block: 0 if the number is not a byte, `None` if the
/// tag is missing.
fn read_orientation_tag(block: &[u8]) -> Option<u8> {
    let mut tiff = block;
    while let Some(rest) = tiff.strip_prefix(PREFIX) {
        tiff = rest;
    }
    let order = match tiff.get(..4)? {
        b"II*\0" | b"II\0*" => Order::Little,
        b"MM\0*" | b"MM*\0" => Order::Big,
        _ => return None,
    };
    let start = usize::try_from(order.u32(tiff.get(4..8)?)?).ok()?;
    let count = usize::from(order.u16(tiff.get(start..start.checked_add(2)?)?)?);
    // The block can contain fewer entries than it declares.
    let entries = tiff[start + 2..].as_chunks::<12>().0;
    entries
        .iter()
        .take(count)
        .find_map(|entry| (order.u16(&entry[..2])? == ORIENTATION).then(|| order.integer(tiff, entry)).flatten())
}

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    /// Returns the first number of an entry of any numeric type: 0 if it is not a byte, `None` if it is missing.
    fn integer(self, tiff: &[u8], entry: &[u8; 12]) -> Option<u8> {
        let kind = self.u16(&entry[2..4])?;
        let size = match kind {
            1 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16 | 17 => 8,
            _ => return None,
        };
        let count = usize::try_from(self.u32(&entry[4..8])?).ok().filter(|&count| count > 0)?;
        let data = if size * count <= 4 {
            &entry[8..8 + size]
        } else {
            let at = usize::try_from(self.u32(&entry[8..12])?).ok()?;
            tiff.get(at..at.checked_add(size)?)?
        };
        let number = match kind {
            3 | 8 => self.u16(data)?.into(),
            4 | 9 | 13 => self.u32(data)?.into(),
            5 | 10 => {
                let (over, under) = (self.u32(&data[..4])?, self.u32(&data[4..])?);
                if under == 0 || over % under != 0 { 0 } else { u64::from(over / under) }
            }
            11 => return Some(to_orientation(f32::from_bits(self.u32(data)?).into())),
            12 => return Some(to_orientation(f64::from_bits(self.u64(data)?))),
            16 | 17 => self.u64(data)?,
            _ => u64::from(data[0]),
        };
        Some(u8::try_from(number).unwrap_or(0))
    }

    fn u16(self, bytes: &[u8]) -> Option<u16> {
        let bytes = *bytes.first_chunk()?;
        Some(if matches!(self, Self::Little) { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn u32(self, bytes: &[u8]) -> Option<u32> {
        let bytes = *bytes.first_chunk()?;
        Some(if matches!(self, Self::Little) { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn u64(self, bytes: &[u8]) -> Option<u64> {
        let bytes = *bytes.first_chunk()?;
        Some(if matches!(self, Self::Little) { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
    }
}

fn to_orientation(number: f64) -> u8 {
    (1..=8).find(|&value| (f64::from(value) - number).abs() < f64::EPSILON).unwrap_or(0)
}

/// Returns the orientation from XMP, where `tiff:Orientation` is an attribute or an element. The first value is used.
fn orientation_of_xmp(xmp: &[u8]) -> Option<u8> {
    const TAG: &[u8] = b"tiff:Orientation";
    let mut rest = xmp;
    loop {
        rest = &rest[memchr::memmem::find(rest, TAG)? + TAG.len()..];
        match rest {
            [b'=', b'"' | b'\'', digit @ b'0'..=b'9', ..] | [b'>', digit @ b'0'..=b'9', ..] => {
                return Some(digit - b'0');
            }
            _ => {}
        }
    }
}

/// Parses the EXIF block that ImageMagick writes into PNG text: name, length, then hexadecimal digits over many lines.
pub(crate) fn from_raw_profile(text: &[u8]) -> Option<Vec<u8>> {
    let mut lines = text.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).skip(2);
    let mut digits: Vec<u8> = lines.by_ref().flatten().copied().filter(u8::is_ascii_hexdigit).collect();
    // The caller truncates long text, possibly in the middle of a byte.
    digits.truncate(digits.len() & !1);
    hex::decode(digits).ok()
}

#[cfg(test)]
pub(crate) fn block(orientation: u16) -> Vec<u8> {
    let mut block = b"MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    block.extend(orientation.to_be_bytes());
    block.extend([0; 6]);
    block
}

#[cfg(test)]
#[path = "exif_tests.rs"]
mod tests;
