//! The orientation of an image by EXIF and XMP. A broken block never costs the image: it then says nothing.

use image::metadata::Orientation;

const PREFIX: &[u8] = b"Exif\0\0";
const ORIENTATION: u16 = 0x0112;
/// Segments with EXIF that are looked at: one holds 64 KB, so this is more EXIF than cameras write.
const MAX_SEGMENTS: usize = 32;

/// What the metadata of one file says of its orientation, in Pillow's order: the EXIF block, else a raw profile in a text
/// chunk; XMP if there is no orientation in them.
#[derive(Default)]
pub(super) struct Metadata<'a> {
    blocks: Vec<&'a [u8]>,
    /// Orientation by a raw profile.
    profile: Option<u8>,
    xmp: Option<u8>,
}

impl<'a> Metadata<'a> {
    /// Takes an EXIF block, with or without its `Exif\0\0`. A large one may be cut into several.
    pub(super) fn exif(&mut self, block: &'a [u8]) {
        if self.blocks.len() < MAX_SEGMENTS {
            self.blocks.push(block);
        }
    }

    /// Takes an EXIF block out of a raw profile. The last one with an orientation counts.
    pub(super) fn raw_profile(&mut self, block: &[u8]) {
        self.profile = tag(block).or(self.profile);
    }

    /// Takes an XMP packet. The last one with an orientation counts.
    pub(super) fn xmp(&mut self, packet: &[u8]) {
        self.xmp = orientation_of_xmp(packet).or(self.xmp);
    }

    /// The orientation that all of them give. A value that is not allowed is an answer too.
    pub(super) fn orientation(self) -> Option<Orientation> {
        let by_exif = match self.blocks[..] {
            [] => self.profile,
            [one] => tag(one),
            _ => tag(&self.joined()).or_else(|| self.blocks.iter().find_map(|block| tag(block))),
        };
        by_exif.or(self.xmp).and_then(Orientation::from_exif)
    }

    fn joined(&self) -> Vec<u8> {
        self.blocks.iter().flat_map(|block| block.strip_prefix(PREFIX).unwrap_or(block)).copied().collect()
    }
}

/// The orientation tag of an EXIF block: 0 for a number that is not a byte, `None` if there is no such tag.
fn tag(block: &[u8]) -> Option<u8> {
    let mut tiff = block;
    while let Some(rest) = tiff.strip_prefix(PREFIX) {
        tiff = rest;
    }
    let order = match tiff.get(..4)? {
        b"II*\0" | b"II\0*" => Order::Little,
        b"MM\0*" | b"MM*\0" => Order::Big,
        _ => return None,
    };
    let begin = usize::try_from(order.u32(tiff.get(4..8)?)?).ok()?;
    let count = usize::from(order.u16(tiff.get(begin..begin.checked_add(2)?)?)?);
    // The block may end before all entries that it announces.
    let entries = tiff[begin + 2..].as_chunks::<12>().0;
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
    /// The first number of an entry, of any numeric type. 0 if it is not a byte; `None` if it is not there.
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
            11 => return Some(whole(f32::from_bits(self.u32(data)?).into())),
            12 => return Some(whole(f64::from_bits(self.u64(data)?))),
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

fn whole(number: f64) -> u8 {
    (1..=8).find(|&value| (f64::from(value) - number).abs() < f64::EPSILON).unwrap_or(0)
}

/// Orientation by XMP, as an attribute or as an element of `tiff:Orientation`. The first one counts.
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

/// The EXIF block that ImageMagick writes into PNG text: name, length, then hexadecimal digits over many lines.
pub(super) fn from_raw_profile(text: &[u8]) -> Option<Vec<u8>> {
    let mut lines = text.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).skip(2);
    let mut digits: Vec<u8> = lines.by_ref().flatten().copied().filter(u8::is_ascii_hexdigit).collect();
    // The text may have been cut at its limit, in the middle of a byte.
    digits.truncate(digits.len() & !1);
    hex::decode(digits).ok()
}

#[cfg(test)]
pub(super) fn block(orientation: u16) -> Vec<u8> {
    let mut block = b"MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    block.extend(orientation.to_be_bytes());
    block.extend([0; 6]);
    block
}

#[cfg(test)]
#[path = "exif_tests.rs"]
mod tests;
