//! Collects the metadata of a file, and reads the orientation of the image from EXIF and XMP. A damaged block is ignored; it
//! never makes the image fail.

use std::borrow::Cow;

use image::metadata::Orientation;

pub(crate) const PREFIX: &[u8] = b"Exif\0\0";
const ORIENTATION: u16 = 0x0112;
/// Maximum number of EXIF segments that are read. One segment holds 64 KB, so this is more EXIF than cameras write.
const MAX_SEGMENTS: usize = 32;
/// Bytes of the GUID of an extended XMP packet, in hexadecimal.
const GUID: usize = 32;
/// Maximum number of XMP packets that are kept. Files have one.
const MAX_PACKETS: usize = 4;

/// The metadata of one file. The orientation has the priorities of Pillow: the EXIF block, or else a raw profile in a text
/// chunk. XMP is used if neither of them has an orientation.
#[derive(Default)]
pub(crate) struct Metadata<'a> {
    blocks: Vec<&'a [u8]>,
    /// The last raw profile with EXIF.
    profile_block: Option<Vec<u8>>,
    /// The orientation from a raw profile.
    profile: Option<u8>,
    packets: Vec<Cow<'a, [u8]>>,
    xmp: Option<u8>,
    /// The parts of packets that are too long for one segment: after a GUID, the length of the whole, and the offset.
    extended_xmp: Vec<&'a [u8]>,
    /// The segments with the resources of Photoshop, or IPTC alone.
    iptc: Vec<Cow<'a, [u8]>>,
    /// Blocks with the directories of EXIF and GPS, if the first block does not contain them.
    parts: [Option<&'a [u8]>; 2],
    /// The offset of the directory of the image in the EXIF block, if it can be another than the first.
    image_directory: Option<u64>,
}

impl<'a> Metadata<'a> {
    /// Adds an EXIF block, with or without the prefix `Exif\0\0`. A large block can be split into several segments.
    pub(crate) fn exif(&mut self, block: &'a [u8]) {
        if self.blocks.len() < MAX_SEGMENTS {
            self.blocks.push(block);
        }
    }

    /// Adds an EXIF block from a raw profile. The last block with an orientation is used.
    pub(crate) fn raw_profile(&mut self, block: Vec<u8>) {
        self.profile = read_orientation_tag(&block).or(self.profile);
        self.profile_block = Some(block);
    }

    /// Adds an XMP packet. The last packet with an orientation is used.
    pub(crate) fn xmp(&mut self, packet: impl Into<Cow<'a, [u8]>>) {
        let packet = packet.into();
        self.xmp = orientation_of_xmp(&packet).or(self.xmp);
        if self.packets.len() < MAX_PACKETS {
            self.packets.push(packet);
        }
    }

    /// Adds the blocks with the directories of EXIF and GPS of a file that stores them separately.
    pub(crate) fn parts(&mut self, parts: [Option<&'a [u8]>; 2]) {
        self.parts = parts;
    }

    /// Sets the offset of the directory of the image, if it can be another than the first of the EXIF block.
    pub(crate) fn image_directory(&mut self, offset: Option<u64>) {
        self.image_directory = offset;
    }

    /// Adds the resources of Photoshop, which contain IPTC, or IPTC alone. Large ones are split into several
    /// segments.
    pub(crate) fn iptc(&mut self, resources: impl Into<Cow<'a, [u8]>>) {
        if self.iptc.len() < MAX_SEGMENTS {
            self.iptc.push(resources.into());
        }
    }

    /// Adds a part of an extended XMP packet: what follows `http://ns.adobe.com/xmp/extension/` and a zero byte in a segment
    /// (XMP Specification Part 3, 1.1.3.1).
    pub(crate) fn extended_xmp(&mut self, part: &'a [u8]) {
        if self.extended_xmp.len() < MAX_SEGMENTS {
            self.extended_xmp.push(part);
        }
    }

    /// Returns the EXIF blocks in the order in which they are to be read: the segments as one block, each segment, and a raw
    /// profile.
    pub(crate) fn exif_blocks(&self) -> Vec<Cow<'_, [u8]>> {
        let joined = (self.blocks.len() > 1).then(|| Cow::Owned(self.joined()));
        let segments = self.blocks.iter().map(|block| Cow::Borrowed(*block));
        joined.into_iter().chain(segments).chain(self.profile_block.as_deref().map(Cow::Borrowed)).collect()
    }

    /// Returns the packets, and then the extended packet that one of them names.
    pub(crate) fn xmp_packets(&self) -> impl Iterator<Item = Cow<'_, [u8]>> {
        self.packets.iter().map(|packet| Cow::Borrowed(&**packet)).chain(self.extended_packet().map(Cow::Owned))
    }

    /// Joins the parts of the extended packet whose GUID is in a packet.
    fn extended_packet(&self) -> Option<Vec<u8>> {
        let is_named = |guid: &[u8]| self.packets.iter().any(|packet| memchr::memmem::find(packet, guid).is_some());
        let guid = self.extended_xmp.iter().filter_map(|part| part.get(..GUID)).find(|guid| is_named(guid))?;
        let mut parts: Vec<(u32, &[u8])> = Vec::new();
        for part in self.extended_xmp.iter().filter_map(|part| part.strip_prefix(guid)) {
            let (_whole_length, rest) = part.split_at_checked(4)?;
            let (offset, data) = rest.split_first_chunk::<4>()?;
            parts.push((u32::from_be_bytes(*offset), data));
        }
        parts.sort_by_key(|(offset, _)| *offset);
        Some(parts.iter().flat_map(|(_, data)| *data).copied().collect())
    }

    /// Returns the resources of Photoshop; empty if there are none.
    pub(crate) fn iptc_block(&self) -> Cow<'_, [u8]> {
        match &self.iptc[..] {
            [one] => Cow::Borrowed(one),
            _ => Cow::Owned(self.iptc.concat()),
        }
    }

    /// Returns the blocks with the directories of EXIF and GPS, if they are stored separately.
    pub(crate) fn part_blocks(&self) -> [Option<&'a [u8]>; 2] {
        self.parts
    }

    /// Returns the offset of the directory of the image in the EXIF block.
    pub(crate) fn offset_of_image_directory(&self) -> Option<u64> {
        self.image_directory
    }

    /// Returns the resulting orientation. If the first source that has a value has an invalid one, the result is `None`
    /// and the other sources are not used.
    pub(crate) fn orientation(&self) -> Option<Orientation> {
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
    let tiff = strip_prefixes(block);
    let order = Order::read(tiff)?;
    let start = usize::try_from(order.u32(tiff.get(4..8)?)?).ok()?;
    let count = usize::from(order.u16(tiff.get(start..start.checked_add(2)?)?)?);
    // The block can contain fewer entries than it declares.
    let entries = tiff[start + 2..].as_chunks::<12>().0;
    entries
        .iter()
        .take(count)
        .find_map(|entry| (order.u16(&entry[..2])? == ORIENTATION).then(|| order.integer(tiff, entry)).flatten())
}

/// Returns a block without `Exif\0\0`, which some software writes several times.
pub(crate) fn strip_prefixes(block: &[u8]) -> &[u8] {
    let mut tiff = block;
    while let Some(rest) = tiff.strip_prefix(PREFIX) {
        tiff = rest;
    }
    tiff
}

/// The order of the bytes of a number.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    /// Reads the order from the beginning of a block. The magic number can have the wrong order.
    pub(crate) fn read(tiff: &[u8]) -> Option<Self> {
        match tiff.get(..4)? {
            b"II*\0" | b"II\0*" => Some(Self::Little),
            b"MM\0*" | b"MM*\0" => Some(Self::Big),
            _ => None,
        }
    }

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

    pub(crate) fn u16(self, bytes: &[u8]) -> Option<u16> {
        let bytes = *bytes.first_chunk()?;
        Some(if matches!(self, Self::Little) { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    pub(crate) fn u32(self, bytes: &[u8]) -> Option<u32> {
        let bytes = *bytes.first_chunk()?;
        Some(if matches!(self, Self::Little) { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    pub(crate) fn u64(self, bytes: &[u8]) -> Option<u64> {
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

/// Parses the profile that ImageMagick writes into PNG text: name, length, then hexadecimal digits over many lines.
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
