//! JPEG files with EXIF.

/// What a camera writes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Exif<'a> {
    /// `2024:07:01 00:30:00`
    pub(crate) taken_at: &'a str,
    /// `+02:00`
    pub(crate) offset: &'a str,
    pub(crate) model: &'a str,
    /// Latitude and longitude in whole degrees, north and east.
    pub(crate) position: Option<[u32; 2]>,
}

impl Exif<'_> {
    /// Returns the JPEG file with this EXIF before everything else.
    pub(crate) fn in_jpeg(&self, jpeg: &[u8]) -> Vec<u8> {
        let block = [&b"Exif\0\0"[..], &self.block()].concat();
        let length = u16::try_from(block.len() + 2).unwrap().to_be_bytes();
        [&jpeg[..2], &[0xFF, 0xE1], &length, &block, &jpeg[2..]].concat()
    }

    fn block(&self) -> Vec<u8> {
        let mut tiff = b"MM\0*\0\0\0\0".to_vec();
        let exif = directory(&mut tiff, &[text(0x9003, self.taken_at), text(0x9011, self.offset)]);
        let degrees = |degrees: u32| [degrees, 1, 0, 1, 0, 1].map(u32::to_be_bytes).concat();
        let [lat, lon] = self.position.unwrap_or_default().map(degrees);
        let gps = [text(1, "N"), (2, 5, lat), text(3, "E"), (4, 5, lon)];
        let gps = directory(&mut tiff, if self.position.is_some() { &gps } else { &[] });
        let pointers = [(0x8769, 4, exif.to_be_bytes().to_vec()), (0x8825, 4, gps.to_be_bytes().to_vec())];
        let main = directory(&mut tiff, &[&[text(0x0110, self.model)][..], &pointers].concat());
        tiff[4..8].copy_from_slice(&main.to_be_bytes());
        tiff
    }
}

type Entry = (u16, u16, Vec<u8>);

fn text(tag: u16, text: &str) -> Entry {
    (tag, 2, [text.as_bytes(), &[0]].concat())
}

/// Appends a directory and its values, and returns its position.
fn directory(tiff: &mut Vec<u8>, entries: &[Entry]) -> u32 {
    let at = tiff.len();
    let mut values_at = at + 2 + entries.len() * 12 + 4;
    tiff.extend(u16::try_from(entries.len()).unwrap().to_be_bytes());
    let mut values: Vec<u8> = Vec::new();
    for (tag, kind, value) in entries {
        let size = [1, 1, 1, 2, 4, 8][usize::from(*kind)];
        tiff.extend(tag.to_be_bytes());
        tiff.extend(kind.to_be_bytes());
        tiff.extend(u32::try_from(value.len() / size).unwrap().to_be_bytes());
        if value.len() <= 4 {
            tiff.extend([&value[..], &[0; 4][value.len()..]].concat());
        } else {
            tiff.extend(u32::try_from(values_at).unwrap().to_be_bytes());
            values_at += value.len();
            values.extend(value);
        }
    }
    tiff.extend([0; 4]);
    tiff.extend(values);
    u32::try_from(at).unwrap()
}
