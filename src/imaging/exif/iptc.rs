//! Reads the records of IPTC (IIM) in the resources that Photoshop writes.

use super::text;
use crate::domain::ExifFacts;

/// What IPTC says about an image.
#[derive(Default)]
pub(super) struct Iptc {
    pub(super) title: Option<String>,
    pub(super) caption: Option<String>,
    pub(super) keywords: Vec<String>,
}

/// The number of the resource with IPTC.
const IPTC: u16 = 0x0404;
/// The first byte of a dataset.
const START: u8 = 0x1C;
/// The record with the data about the content, and its datasets.
const APPLICATION: u8 = 2;
const TITLE: u8 = 5;
const KEYWORD: u8 = 25;
const CAPTION: u8 = 120;

/// Parses the resources after `Photoshop 3.0`, or records alone, as TIFF has them.
pub(super) fn parse(mut resources: &[u8]) -> Iptc {
    if resources.first() == Some(&START) {
        return datasets(resources);
    }
    while let Some((id, data, rest)) = resource(resources) {
        if id == IPTC {
            return datasets(data);
        }
        resources = rest;
    }
    Iptc::default()
}

/// Returns the number and the data of the first resource, and what follows it.
fn resource(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (id, rest) = bytes.strip_prefix(b"8BIM")?.split_first_chunk::<2>()?;
    // A name with its length in one byte, and data with its length in four: each is padded to an even length.
    let name = usize::from(*rest.first()?) + 1;
    let (length, rest) = rest.get(name.next_multiple_of(2)..)?.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let data = rest.get(..length)?;
    Some((u16::from_be_bytes(*id), data, rest.get(length.next_multiple_of(2)..).unwrap_or_default()))
}

fn datasets(mut bytes: &[u8]) -> Iptc {
    let mut iptc = Iptc::default();
    while let [START, record, number, high, low, rest @ ..] = bytes {
        // A length above 32,767 is the number of bytes of the length: only other data is so long.
        let Some((value, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low]))) else { break };
        bytes = rest;
        match (*record, *number) {
            (APPLICATION, TITLE) => iptc.title = iptc.title.or_else(|| Some(text::decode(value))),
            (APPLICATION, CAPTION) => iptc.caption = iptc.caption.or_else(|| Some(text::decode(value))),
            (APPLICATION, KEYWORD) if iptc.keywords.len() < ExifFacts::MAX_KEYWORDS => {
                iptc.keywords.push(text::decode(value));
            }
            _ => {}
        }
    }
    iptc
}
