//! Reads the body of a listing page before the SDK does: decompresses and repairs it, and checks that it is whole.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};
use memchr::memmem;

use super::page_text::repair;
use super::page_values;
use crate::source::EncodingError;
use crate::source::encoding::decode;
use crate::source::members::is_gzip;

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

#[cfg(test)]
#[path = "page_body_tests.rs"]
mod tests;
