//! The body of a page of a listing, made readable for the SDK. One key that is not UTF-8, or a character that XML forbids,
//! would make the whole page unreadable; here it makes that key unreadable and no other.

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

use super::page_values;

/// Stands for what could not be read. Unicode promises that no text has this character.
pub(super) const UNREADABLE: char = '\u{FDD0}';

/// Bytes of one page.
const MAX_PAGE: usize = 64 * 1024 * 1024;

/// Stands for a page that is cut off: the beginning of one, which no reader takes for a whole one.
const BROKEN: &[u8] = b"<ListBucketResult ";

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
        let body = context.response_mut().body_mut();
        let inner = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(Whole { inner, read: BytesMut::new(), done: false });
        Ok(())
    }
}

/// A body that is read whole and then given in one piece.
struct Whole {
    inner: SdkBody,
    read: BytesMut,
    done: bool,
}

impl Body for Whole {
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
                    if self.read.len() + data.len() > MAX_PAGE {
                        self.done = true;
                        return Poll::Ready(Some(Err(
                            format!("a page of a listing has more than {MAX_PAGE} bytes").into()
                        )));
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
                    let repaired = match repair(&read) {
                        Cow::Borrowed(_) => read,
                        Cow::Owned(repaired) => repaired.into(),
                    };
                    let repaired = page_values::repair(repaired);
                    let readable = if is_cut_or_broken(&repaired) { Bytes::from_static(BROKEN) } else { repaired };
                    return Poll::Ready(Some(Ok(Frame::data(readable))));
                }
            }
        }
    }
}

/// Whether a listing ends before its last element does, its elements do not fit into each other, or it has an error in it.
/// The SDK would take
/// what it has read until then for the whole page, and `sync` would remove what the page does not name.
fn is_cut_or_broken(bytes: &[u8]) -> bool {
    if memchr::memmem::find(bytes, b"<ListBucketResult").is_none() {
        return false;
    }
    let (mut reader, mut depth) = (quick_xml::Reader::from_reader(bytes), 0_usize);
    loop {
        match reader.read_event() {
            // A service that fails while it writes the listing.
            Ok(quick_xml::events::Event::Start(tag)) if depth == 1 && tag.local_name().as_ref() == b"Error" => {
                return true;
            }
            Ok(quick_xml::events::Event::Start(_)) => depth += 1,
            Ok(quick_xml::events::Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(quick_xml::events::Event::Eof) => return depth > 0,
            Ok(_) => {}
            Err(_) => return true,
        }
    }
}

/// The same bytes if an XML reader takes every one of them; else [`UNREADABLE`] in the place of those that it refuses.
fn repair(bytes: &[u8]) -> Cow<'_, [u8]> {
    let good = std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_allowed) && references_are_right(text));
    if good {
        return Cow::Borrowed(bytes);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.extend(chunk.valid().chars().map(|letter| if is_allowed(letter) { letter } else { UNREADABLE }));
        if !chunk.invalid().is_empty() {
            text.push(UNREADABLE);
        }
    }
    Cow::Owned(repair_references(&text).into_bytes())
}

/// Whether a character may stand in XML 1.0.
fn is_allowed(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// What follows an ampersand.
enum Reference {
    /// A correct one; its length in bytes.
    Right(usize),
    /// A number that is not a character; the length of the reference in bytes.
    NoCharacter(usize),
    /// Not a reference: the ampersand was not escaped.
    None,
}

/// Reads what follows an ampersand.
fn reference(rest: &str) -> Reference {
    let Some(end) = rest.as_bytes().iter().take(12).position(|byte| *byte == b';') else { return Reference::None };
    let name = &rest[..end];
    let number = match name.strip_prefix('#') {
        None if matches!(name, "amp" | "lt" | "gt" | "quot" | "apos") => return Reference::Right(end + 1),
        None => return Reference::None,
        Some(digits) => match digits.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => digits.parse(),
        },
    };
    match number {
        Ok(number) if char::from_u32(number).is_some() => Reference::Right(end + 1),
        Ok(_) => Reference::NoCharacter(end + 1),
        Err(_) => Reference::None,
    }
}

fn references_are_right(text: &str) -> bool {
    text.match_indices('&').all(|(at, _)| matches!(reference(&text[at + 1..]), Reference::Right(_)))
}

fn repair_references(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let taken = match reference(after) {
            Reference::Right(length) => {
                write!(out, "&{}", &after[..length]).ok();
                length
            }
            Reference::NoCharacter(length) => {
                out.push(UNREADABLE);
                length
            }
            Reference::None => {
                out.push_str("&amp;");
                0
            }
        };
        rest = &after[taken..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_allows_is_left_as_it_is() {
        for text in ["<Key>a&amp;b &#x1F600; \u{1F600}\n</Key>", "", "<Key>\u{FFFD}</Key>", "&quot;1&quot;&#10;"] {
            assert!(matches!(repair(text.as_bytes()), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn what_it_forbids_is_marked_and_the_rest_is_kept() {
        let repaired = |bytes: &[u8]| String::from_utf8(repair(bytes).into_owned()).unwrap();
        assert_eq!(repaired(b"<Key>caf\xE9.jpg</Key>"), format!("<Key>caf{UNREADABLE}.jpg</Key>"));
        assert_eq!(repaired(b"<Key>a\x01b</Key><Key>c</Key>"), format!("<Key>a{UNREADABLE}b</Key><Key>c</Key>"));
        assert_eq!(repaired(b"&#xD83D;&#xDE00; &amp; &lt;"), format!("{UNREADABLE}{UNREADABLE} &amp; &lt;"));
        assert_eq!(repaired(b"black & white &amp; more"), "black &amp; white &amp; more");
    }
}
