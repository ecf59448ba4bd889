//! Reads single properties of the image in an XMP packet.

use std::borrow::Cow;

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, NamespaceResolver, QName, ResolveResult};
use quick_xml::reader::NsReader;

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

/// A property that is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Property {
    TakenAt,
    CreatedAt,
    Make,
    Model,
    Lens,
    Rating,
    Title,
    Caption,
    Keywords,
}

/// What an element is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    /// The description of a thing. The first one in a path is that of the image; others in it describe, for example, the images
    /// of which it was composed.
    Description,
    /// A list of values, or an item of it.
    List,
    Property(Property),
    Other,
}

impl Element {
    fn new(prefix: &[u8], local: &[u8]) -> Self {
        let property = match (prefix, local) {
            (b"rdf", b"Description") => return Self::Description,
            (b"rdf", b"Alt" | b"Bag" | b"Seq" | b"li") => return Self::List,
            (b"exif", b"DateTimeOriginal") | (b"photoshop", b"DateCreated") => Property::TakenAt,
            (b"xmp" | b"xap", b"CreateDate") => Property::CreatedAt,
            (b"tiff", b"Make") => Property::Make,
            (b"tiff", b"Model") => Property::Model,
            (b"aux", b"Lens") | (b"exifEX", b"LensModel") => Property::Lens,
            (b"xmp" | b"xap", b"Rating") => Property::Rating,
            (b"dc", b"title") => Property::Title,
            (b"dc", b"description") => Property::Caption,
            (b"dc", b"subject") => Property::Keywords,
            _ => return Self::Other,
        };
        Self::Property(property)
    }
}

/// Returns the usual prefix of a namespace.
fn usual_prefix(namespace: &[u8]) -> &'static [u8] {
    match namespace {
        b"http://www.w3.org/1999/02/22-rdf-syntax-ns#" => b"rdf",
        b"http://ns.adobe.com/exif/1.0/" => b"exif",
        b"http://ns.adobe.com/exif/1.0/aux/" => b"aux",
        b"http://cipa.jp/exif/1.0/" => b"exifEX",
        b"http://ns.adobe.com/photoshop/1.0/" => b"photoshop",
        b"http://ns.adobe.com/tiff/1.0/" => b"tiff",
        b"http://ns.adobe.com/xap/1.0/" => b"xmp",
        b"http://purl.org/dc/elements/1.1/" => b"dc",
        _ => b"",
    }
}

/// Returns what a name means. A prefix without a namespace, as in a part of a packet, is taken for the usual one.
fn element(resolved: &ResolveResult<'_>, name: QName<'_>) -> Element {
    let prefix = match resolved {
        ResolveResult::Bound(Namespace(namespace)) => usual_prefix(namespace),
        ResolveResult::Unbound | ResolveResult::Unknown(_) => {
            name.prefix().map_or(&b""[..], |prefix| prefix.into_inner())
        }
    };
    Element::new(prefix, name.local_name().as_ref())
}

/// Returns the property of the image of which an element in this path has a value.
fn property(path: &[Element]) -> Option<Property> {
    let description = path.iter().position(|element| *element == Element::Description)?;
    match &path[description + 1..] {
        [Element::Property(property), lists @ ..] => {
            lists.iter().all(|list| *list == Element::List).then_some(*property)
        }
        _ => None,
    }
}

/// Returns a packet in UTF-8. A packet can be in UTF-16, which the position of the zero byte of its first `<` shows, after a
/// byte order mark or without one.
fn to_utf8(packet: &[u8]) -> Cow<'_, [u8]> {
    let body = packet.strip_prefix(b"\xFE\xFF").or_else(|| packet.strip_prefix(b"\xFF\xFE")).unwrap_or(packet);
    let order: fn([u8; 2]) -> u16 = match body {
        [0, b'<', ..] => u16::from_be_bytes,
        [b'<', 0, ..] => u16::from_le_bytes,
        _ => return Cow::Borrowed(packet),
    };
    let units = body[..body.len().min(2 * MAX_PACKET)].as_chunks::<2>().0.iter().map(|pair| order(*pair));
    let text = char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    Cow::Owned(text.collect::<String>().into_bytes())
}

impl Xmp {
    /// Parses a packet as far as it can be read.
    pub(super) fn parse(packet: &[u8]) -> Self {
        let mut xmp = Self::default();
        let packet = to_utf8(packet);
        // Some software fills the packet with zero bytes.
        let packet = packet.trim_ascii_start();
        let end = memchr::memchr(0, packet).unwrap_or(packet.len()).min(MAX_PACKET);
        let mut reader = NsReader::from_reader(&packet[..end]);
        reader.config_mut().check_end_names = false;
        let (mut path, mut text, mut is_default) = (Vec::<Element>::new(), String::new(), false);
        loop {
            match reader.read_event() {
                Ok(Event::Start(tag)) if path.len() < MAX_DEPTH => {
                    is_default = xmp.start(&tag, &path, reader.resolver());
                    path.push(element(&reader.resolver().resolve_element(tag.name()).0, tag.name()));
                    text.clear();
                }
                Ok(Event::Empty(tag)) => {
                    xmp.start(&tag, &path, reader.resolver());
                }
                Ok(Event::Text(part)) if text.len() < MAX_VALUE => text.push_str(&String::from_utf8_lossy(&part)),
                Ok(Event::CData(part)) if text.len() < MAX_VALUE => text.push_str(&String::from_utf8_lossy(&part)),
                Ok(Event::GeneralRef(entity)) if text.len() < MAX_VALUE => {
                    let decoded = entity.resolve_char_ref().ok().flatten().or_else(|| predefined(&entity));
                    text.extend(decoded);
                }
                Ok(Event::End(_)) => {
                    if let Some(property) = property(&path) {
                        xmp.set(property, &text, is_default);
                    }
                    path.pop();
                    text.clear();
                }
                Ok(Event::Eof | Event::Start(_)) | Err(_) => return xmp,
                Ok(_) => {}
            }
        }
    }

    /// Reads the attributes of an element in this path. Returns whether it is the default of texts in several languages.
    fn start(&mut self, tag: &BytesStart<'_>, path: &[Element], names: &NamespaceResolver) -> bool {
        let own = element(&names.resolve_element(tag.name()).0, tag.name());
        let is_main = own == Element::Description && !path.contains(&Element::Description);
        let mut is_default = false;
        for attribute in tag.attributes().with_checks(false).flatten() {
            is_default |= attribute.key.as_ref() == b"xml:lang" && *attribute.value == *b"x-default";
            let meaning = element(&names.resolve_attribute(attribute.key).0, attribute.key);
            if let Element::Property(property) = meaning
                && is_main
                && attribute.value.len() <= MAX_VALUE
            {
                let value = String::from_utf8_lossy(&attribute.value);
                self.set(property, &quick_xml::escape::unescape(&value).unwrap_or_default(), false);
            }
        }
        is_default
    }

    /// Stores the value of a property, unless it has one. The default of texts in several languages replaces another.
    fn set(&mut self, property: Property, value: &str, is_default: bool) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        let field = match property {
            Property::TakenAt => &mut self.taken_at,
            Property::CreatedAt => &mut self.created_at,
            Property::Make => &mut self.make,
            Property::Model => &mut self.model,
            Property::Lens => &mut self.lens,
            Property::Title => &mut self.title,
            Property::Caption => &mut self.caption,
            Property::Keywords => {
                if self.keywords.len() < ExifFacts::MAX_KEYWORDS {
                    self.keywords.push(value.to_owned());
                }
                return;
            }
            // Some software writes `5.0`.
            Property::Rating => {
                let stars = value.strip_suffix(".0").unwrap_or(value).parse().ok();
                self.rating = self.rating.or(stars);
                return;
            }
        };
        if is_default || field.is_none() {
            *field = Some(value.to_owned());
        }
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
