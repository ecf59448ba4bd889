//! Reads single properties of an XMP packet. The prefixes of namespaces are the usual ones.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::domain::ExifFacts;

/// What XMP says about an image.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Xmp {
    /// When the image was taken, in ISO 8601.
    pub(super) taken_at: Option<String>,
    /// When the file was created.
    pub(super) created_at: Option<String>,
    pub(super) make: Option<String>,
    pub(super) model: Option<String>,
    pub(super) lens: Option<String>,
    pub(super) rating: Option<i8>,
    pub(super) title: Option<String>,
    pub(super) caption: Option<String>,
    pub(super) keywords: Vec<String>,
}

/// Maximum bytes of a packet that are read.
const MAX_PACKET: usize = 1 << 20;
/// Maximum depth of elements.
const MAX_DEPTH: usize = 32;
/// Maximum bytes of a value that are kept.
const MAX_VALUE: usize = 2 * ExifFacts::MAX_CAPTION_BYTES;

impl Xmp {
    /// Reads a packet as far as it can be read.
    pub(super) fn parse(packet: &[u8]) -> Self {
        let mut xmp = Self::default();
        // Some software fills the packet with zero bytes.
        let packet = packet.trim_ascii_start();
        let end = memchr::memchr(0, packet).unwrap_or(packet.len()).min(MAX_PACKET);
        let mut reader = Reader::from_reader(&packet[..end]);
        reader.config_mut().check_end_names = false;
        let (mut path, mut text) = (Vec::<Vec<u8>>::new(), String::new());
        loop {
            match reader.read_event() {
                Ok(Event::Start(tag)) if path.len() < MAX_DEPTH => {
                    xmp.set_attributes(&tag);
                    path.push(tag.name().as_ref().to_vec());
                    text.clear();
                }
                Ok(Event::Empty(tag)) => xmp.set_attributes(&tag),
                Ok(Event::Text(part)) if text.len() < MAX_VALUE => text.push_str(&String::from_utf8_lossy(&part)),
                Ok(Event::CData(part)) if text.len() < MAX_VALUE => text.push_str(&String::from_utf8_lossy(&part)),
                Ok(Event::GeneralRef(entity)) if text.len() < MAX_VALUE => {
                    let decoded = entity.resolve_char_ref().ok().flatten().or_else(|| predefined(&entity));
                    text.extend(decoded);
                }
                Ok(Event::End(_)) => {
                    // The items of a list are in the element of the property.
                    let property = path.iter().rev().find(|name| !name.starts_with(b"rdf:")).cloned();
                    xmp.set(&property.unwrap_or_default(), &text);
                    path.pop();
                    text.clear();
                }
                Ok(Event::Eof | Event::Start(_)) | Err(_) => return xmp,
                Ok(_) => {}
            }
        }
    }

    fn set_attributes(&mut self, tag: &BytesStart<'_>) {
        for attribute in tag.attributes().with_checks(false).flatten() {
            if attribute.value.len() <= MAX_VALUE {
                let value = String::from_utf8_lossy(&attribute.value);
                let value = quick_xml::escape::unescape(&value).unwrap_or_default().into_owned();
                self.set(attribute.key.as_ref(), &value);
            }
        }
    }

    /// Stores the value of a property, unless it has one: of the texts in several languages, the first is the default.
    fn set(&mut self, property: &[u8], value: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        let field = match property {
            b"exif:DateTimeOriginal" | b"photoshop:DateCreated" => &mut self.taken_at,
            b"xmp:CreateDate" => &mut self.created_at,
            b"tiff:Make" => &mut self.make,
            b"tiff:Model" => &mut self.model,
            b"aux:Lens" | b"exifEX:LensModel" => &mut self.lens,
            b"dc:title" => &mut self.title,
            b"dc:description" => &mut self.caption,
            b"dc:subject" if self.keywords.len() < ExifFacts::MAX_KEYWORDS => {
                return self.keywords.push(value.to_owned());
            }
            // Some software writes `5.0`.
            b"xmp:Rating" => {
                let stars = value.strip_suffix(".0").unwrap_or(value).parse().ok();
                self.rating = self.rating.or(stars);
                return;
            }
            _ => return,
        };
        field.get_or_insert_with(|| value.to_owned());
    }

    /// Adds what only another packet has.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            taken_at: self.taken_at.or(other.taken_at),
            created_at: self.created_at.or(other.created_at),
            make: self.make.or(other.make),
            model: self.model.or(other.model),
            lens: self.lens.or(other.lens),
            rating: self.rating.or(other.rating),
            title: self.title.or(other.title),
            caption: self.caption.or(other.caption),
            keywords: if self.keywords.is_empty() { other.keywords } else { self.keywords },
        }
    }
}

/// Returns the character of an entity that every XML document has.
fn predefined(entity: &[u8]) -> Option<char> {
    Some(match entity {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        _ => return None,
    })
}
