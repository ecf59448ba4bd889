//! Repairs the body of a listing page before the SDK reads it. For the SDK, one key that is not UTF-8, or one character
//! that XML does not allow, makes the whole page unreadable. After the repair, only that key is unreadable.

use std::borrow::Cow;
use std::fmt::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};
use memchr::memmem;

use super::page_values;
use crate::source::EncodingError;
use crate::source::encoding::decode;
use crate::source::members::is_gzip;

/// Replaces what cannot be read. Unicode guarantees that these code points are never characters. A key can have one of
/// them, but not this sequence.
pub(super) const UNREADABLE: &str = "\u{FDD0}\u{FDEF}\u{FDD0}";

/// Maximum size of a page in bytes.
const MAX_PAGE_BYTES: usize = 64 * 1024 * 1024;

/// Replaces a truncated page: the beginning of a page, which every parser refuses.
const TRUNCATED_PAGE: &[u8] = b"<ListBucketResult ";

/// Repairs the body of a reply before the SDK reads it.
#[derive(Debug)]
pub(super) struct RepairPage;

impl Intercept for RepairPage {
    fn name(&self) -> &'static str {
        "RepairPage"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.response().headers();
        let encoding = headers.get("content-encoding").unwrap_or_default().to_owned();
        let has_length = headers.get("content-length").is_some();
        let body = context.response_mut().body_mut();
        let inner = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(WholeBody { inner, encoding, has_length, read: BytesMut::new(), done: false });
        Ok(())
    }
}

/// A body that is read completely and then returned in one piece.
struct WholeBody {
    inner: SdkBody,
    /// `Content-Encoding`
    encoding: String,
    /// Whether the HTTP client checks that the body is whole (`Content-Length`).
    has_length: bool,
    read: BytesMut,
    done: bool,
}

impl Body for WholeBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.done {
            return Poll::Ready(None);
        }
        loop {
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if self.read.len() + data.len() > MAX_PAGE_BYTES {
                        self.done = true;
                        return Poll::Ready(Some(Err(format!(
                            "a page of the listing has more than {MAX_PAGE_BYTES} bytes"
                        )
                        .into())));
                    }
                    self.read.extend_from_slice(&data);
                }
                Some(Err(error)) => {
                    self.done = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.done = true;
                    let read = std::mem::take(&mut self.read).freeze();
                    return Poll::Ready(Some(readable_page(read, &self.encoding, self.has_length).map(Frame::data)));
                }
            }
        }
    }
}

/// Returns a page that the SDK can read.
fn readable_page(read: Bytes, encoding: &str, has_length: bool) -> Result<Bytes, BoxError> {
    let encoding = if encoding.is_empty() && is_gzip(&read) { "gzip" } else { encoding };
    let read = match decode(read.clone(), encoding, MAX_PAGE_BYTES as u64) {
        // The text is described in the message for the operator.
        Err(EncodingError::Unsupported(_)) => read,
        decoded => decoded.map_err(|error| format!("a page of the listing cannot be decoded: {error}"))?,
    };
    let repaired = match repair(&read) {
        Cow::Borrowed(_) => read,
        Cow::Owned(repaired) => repaired.into(),
    };
    let repaired = page_values::repair(repaired);
    match end_of_page(&repaired) {
        PageEnd::Whole => Ok(repaired),
        // Nothing else shows that the connection was closed too early.
        PageEnd::Truncated if !has_length => Err("a page of the listing ended too early".into()),
        PageEnd::Truncated | PageEnd::Invalid => Ok(Bytes::from_static(TRUNCATED_PAGE)),
    }
}

/// How a page ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageEnd {
    /// As it must, or the page is not a listing.
    Whole,
    /// In the middle.
    Truncated,
    /// The page is not well-formed, or contains an error.
    Invalid,
}

/// Checks the end of a listing. The SDK would treat the part before a fault as the whole page, and `sync` would remove
/// the records of all objects that are not in it.
fn end_of_page(bytes: &[u8]) -> PageEnd {
    if memmem::find(bytes, b"<ListBucketResult").is_none() {
        return PageEnd::Whole;
    }
    let (mut reader, mut depth) = (quick_xml::Reader::from_reader(bytes), 0_usize);
    loop {
        match reader.read_event() {
            // The service failed while it wrote the listing.
            Ok(quick_xml::events::Event::Start(tag)) if depth == 1 && tag.local_name().as_ref() == b"Error" => {
                return PageEnd::Invalid;
            }
            Ok(quick_xml::events::Event::Start(_)) => depth += 1,
            Ok(quick_xml::events::Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(quick_xml::events::Event::Eof) if depth > 0 => return PageEnd::Truncated,
            Ok(quick_xml::events::Event::Eof) => return PageEnd::Whole,
            Ok(_) => {}
            // The page ends inside a tag.
            Err(quick_xml::Error::Syntax(_)) => return PageEnd::Truncated,
            Err(_) => return PageEnd::Invalid,
        }
    }
}

/// Returns the bytes with [`UNREADABLE`] in place of everything that an XML parser refuses.
fn repair(bytes: &[u8]) -> Cow<'_, [u8]> {
    match without_markup(bytes) {
        Some(escaped) => repair_text(&escaped).into_owned().into(),
        None => repair_text(bytes),
    }
}

/// Begin and end of markup inside a text. The SDK ends the text there.
const MARKUP: [Markup; 3] = [(CDATA, b"]]>"), (b"<!--", b"-->"), (b"<?", b"?>")];
type Markup = (&'static [u8], &'static [u8]);
const CDATA: &[u8] = b"<![CDATA[";

/// Returns the page without comments and processing instructions, and with escaped text in place of its CDATA sections;
/// `None` if it has none of them after its first line.
fn without_markup(bytes: &[u8]) -> Option<Vec<u8>> {
    // Every page may begin with `<?xml`.
    let prolog = if bytes.starts_with(b"<?xml") { memmem::find(bytes, b"?>").map_or(0, |end| end + 2) } else { 0 };
    let (mut out, mut rest) = (bytes[..prolog].to_vec(), &bytes[prolog..]);
    while let Some((start, (begin, end))) = next_markup(rest) {
        let text = &rest[start + begin.len()..];
        let Some(length) = memmem::find(text, end) else { break };
        out.extend_from_slice(&rest[..start]);
        if begin == CDATA {
            escape(&text[..length], &mut out);
        }
        rest = &text[length + end.len()..];
    }
    if rest.len() == bytes.len() - prolog {
        return None;
    }
    out.extend_from_slice(rest);
    Some(out)
}

fn next_markup(bytes: &[u8]) -> Option<(usize, Markup)> {
    memchr::memchr_iter(b'<', bytes)
        .find_map(|at| MARKUP.into_iter().find(|(begin, _)| bytes[at..].starts_with(begin)).map(|found| (at, found)))
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            byte => out.push(*byte),
        }
    }
}

fn repair_text(bytes: &[u8]) -> Cow<'_, [u8]> {
    let good =
        std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_allowed) && has_only_valid_references(text));
    if good {
        return Cow::Borrowed(bytes);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if is_allowed(letter) { text.push(letter) } else { text.push_str(UNREADABLE) }
        }
        if !chunk.invalid().is_empty() {
            text.push_str(UNREADABLE);
        }
    }
    Cow::Owned(repair_references(&text).into_bytes())
}

/// Whether XML 1.0 allows a character.
fn is_allowed(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The text after an ampersand.
enum Reference {
    /// A valid reference, with its length in bytes.
    Valid(usize),
    /// A number that is not a character, or an entity that XML does not define, with the length of the reference in bytes.
    NotACharacter(usize),
    /// No reference: the ampersand was not escaped.
    None,
}

/// Parses the text after an ampersand.
fn parse_reference(rest: &str) -> Reference {
    let Some(end) = rest.as_bytes().iter().take(12).position(|byte| *byte == b';') else { return Reference::None };
    let name = &rest[..end];
    let number = match name.strip_prefix('#') {
        None if matches!(name, "amp" | "lt" | "gt" | "quot" | "apos") => return Reference::Valid(end + 1),
        None if is_entity_name(name) => return Reference::NotACharacter(end + 1),
        None => return Reference::None,
        Some(digits) => match digits.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => digits.parse(),
        },
    };
    match number {
        Ok(number) if char::from_u32(number).is_some() => Reference::Valid(end + 1),
        Ok(_) => Reference::NotACharacter(end + 1),
        Err(_) => Reference::None,
    }
}

/// Whether a text is the name of an entity. A listing has no definitions of others than the five of XML.
fn is_entity_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.'))
}

fn has_only_valid_references(text: &str) -> bool {
    text.match_indices('&').all(|(at, _)| matches!(parse_reference(&text[at + 1..]), Reference::Valid(_)))
}

fn repair_references(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let length = match parse_reference(after) {
            Reference::Valid(length) => {
                write!(out, "&{}", &after[..length]).ok();
                length
            }
            Reference::NotACharacter(length) => {
                out.push_str(UNREADABLE);
                length
            }
            Reference::None => {
                out.push_str("&amp;");
                0
            }
        };
        rest = &after[length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
#[path = "page_body_tests.rs"]
mod tests;
