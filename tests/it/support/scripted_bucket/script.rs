//! The content of a bucket, and how it answers.

use std::sync::Arc;

use axum::http::Method;
use bytes::Bytes;

use super::reply::{Delivery, Reply};
use super::{BUCKET, BucketRequest};
use crate::support::demo_image;

/// One object of the bucket.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// Any bytes, also if they are not UTF-8.
    pub(crate) key: Vec<u8>,
    pub(crate) bytes: Bytes,
    /// Without quotes.
    pub(crate) etag: String,
    /// `LastModified` of the listing.
    pub(crate) modified: String,
    /// `Last-Modified` of the reply to a GET, if it has one.
    pub(crate) last_modified: Option<String>,
    pub(crate) class: String,
    /// `RestoreStatus` of the listing, if the client requests it.
    pub(crate) restore: Option<String>,
    /// Additional headers of the reply to a GET.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) delivery: Delivery,
}

impl Object {
    pub(crate) fn new(key: impl AsRef<[u8]>, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            key: key.as_ref().to_vec(),
            etag: format!("{:08x}", crc32fast::hash(&bytes)),
            bytes,
            modified: "2026-01-01T00:00:00.000Z".to_owned(),
            last_modified: None,
            class: "STANDARD".to_owned(),
            restore: None,
            headers: Vec::new(),
            delivery: Delivery::default(),
        }
    }
}

/// How ETags are written, in listings and in replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Etags {
    #[default]
    Quoted,
    Unquoted,
    Weak,
    /// An element without text, and a header of two quotes.
    Empty,
    /// Two quotes in both.
    QuotedEmpty,
    /// No element; the reply to a GET has one.
    AbsentInListing,
    /// Neither has one.
    Absent,
    /// An object has another ETag when it is read.
    OtherInReply,
}

impl Etags {
    pub(super) fn in_listing(self, etag: &str) -> Option<String> {
        match self {
            Self::Quoted | Self::OtherInReply => Some(format!("\"{etag}\"")),
            Self::Unquoted => Some(etag.to_owned()),
            Self::Weak => Some(format!("W/\"{etag}\"")),
            Self::Empty => Some(String::new()),
            Self::QuotedEmpty => Some("\"\"".to_owned()),
            Self::AbsentInListing | Self::Absent => None,
        }
    }

    fn in_reply(self, etag: &str) -> Option<String> {
        match self {
            Self::AbsentInListing => Some(format!("\"{etag}\"")),
            Self::Empty => Some("\"\"".to_owned()),
            Self::OtherInReply => Some(format!("\"read-{etag}\"")),
            other => other.in_listing(etag),
        }
    }
}

/// How one page leads to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tokens {
    /// Like S3.
    #[default]
    Right,
    /// Every page is the first one, and has the same token.
    Same,
    /// This number of tokens in a circle, and the pages with them.
    Cycle(usize),
    /// Every page is the first one, each with a token of its own.
    FirstPageAgain,
    /// A truncated page has no token, but a marker, as in version 1 of the call.
    Missing,
    /// A truncated page has an empty token.
    Empty,
    /// This number of empty pages, each with a token of its own, before the first key.
    EmptyPagesFirst(usize),
    /// Every page begins with this number of keys of the previous page.
    Overlapping(usize),
    /// `IsTruncated` is false on every page, but a page that is not the last one has a token.
    Contradicting,
    /// The same with the marker of version 1 of the call.
    ContradictingMarker,
}

/// A reply that is sent in place of the normal one.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) reply: Reply,
    /// The number of requests that are answered normally before.
    pub(crate) after: usize,
    /// The number of requests that are answered with it.
    pub(crate) times: usize,
}

impl Fault {
    pub(crate) fn always(reply: Reply) -> Self {
        Self { reply, after: 0, times: usize::MAX }
    }

    fn apply(fault: &mut Option<Self>) -> Option<Reply> {
        let fault = fault.as_mut()?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        fault.times = fault.times.checked_sub(1)?;
        Some(fault.reply.clone())
    }
}

type Judge = Arc<dyn Fn(&BucketRequest) -> Option<Reply> + Send + Sync>;

/// The content of a bucket and how it answers. The default is an empty bucket without a fault.
#[derive(Clone)]
pub(crate) struct Script {
    /// In the order in which they are listed.
    pub(crate) objects: Vec<Object>,
    /// Keys of one page.
    pub(crate) page: usize,
    /// Whether keys are percent-encoded if the client requests it.
    pub(crate) encodes: bool,
    /// Whether keys are in CDATA sections.
    pub(crate) cdata: bool,
    /// How many entries `KeyCount` has more than the page; without a number, there is no `KeyCount`.
    pub(crate) missing_entries: Option<usize>,
    /// Whether objects of an archive class can be read.
    pub(crate) archive_is_read: bool,
    pub(crate) etags: Etags,
    pub(crate) tokens: Tokens,
    /// Any request.
    pub(crate) on_any: Option<Fault>,
    /// Pages of listings.
    pub(crate) on_list: Option<Fault>,
    /// Pages of listings that are request for with a token.
    pub(crate) on_next: Option<Fault>,
    /// Reads of objects.
    pub(crate) on_get: Option<Fault>,
    /// Called first; requests that it does not answer are answered by the rest.
    pub(crate) handler: Option<Judge>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            objects: Vec::new(),
            page: 2,
            encodes: true,
            cdata: false,
            missing_entries: None,
            archive_is_read: false,
            etags: Etags::default(),
            tokens: Tokens::default(),
            on_any: None,
            on_list: None,
            on_next: None,
            on_get: None,
            handler: None,
        }
    }
}

impl Script {
    /// Four images of different content.
    pub(crate) fn four() -> Self {
        let names = [("a.jpg", "cat.jpg"), ("b.jpg", "coffee.jpg"), ("d.jpg", "panda.jpg"), ("e.jpg", "rocket.jpg")];
        let objects = names.map(|(key, name)| Object::new(key, demo_image(name)));
        Self { objects: objects.to_vec(), ..Self::default() }
    }

    /// The object of that key.
    pub(crate) fn object(&mut self, key: &str) -> &mut Object {
        self.objects.iter_mut().find(|object| object.key == key.as_bytes()).unwrap()
    }

    pub(crate) fn answer(&mut self, request: &BucketRequest) -> Reply {
        if let Some(reply) = self.handler.as_ref().and_then(|handler| handler(request)) {
            return reply;
        }
        if let Some(reply) = Fault::apply(&mut self.on_any) {
            return reply;
        }
        if !request.is_listing() {
            return self.read(request);
        }
        if let Some(reply) = Fault::apply(&mut self.on_list) {
            return reply;
        }
        if request.query.contains_key("continuation-token")
            && let Some(reply) = Fault::apply(&mut self.on_next)
        {
            return reply;
        }
        // With or without a slash at its end: the bucket itself.
        match request.path.strip_suffix(b"/").unwrap_or(&request.path) {
            path if path == BUCKET.as_bytes() => self.list(request),
            _ => Reply::error(404, "NoSuchKey", "The specified key does not exist."),
        }
    }

    fn read(&mut self, request: &BucketRequest) -> Reply {
        if request.method != Method::GET && request.method != Method::HEAD {
            return Reply::error(405, "MethodNotAllowed", "This bucket is read only.");
        }
        if let Some(reply) = Fault::apply(&mut self.on_get) {
            return reply;
        }
        let key = request.key();
        let Some(object) = self.objects.iter().find(|object| object.key == key) else {
            return Reply::error(404, "NoSuchKey", "The specified key does not exist.");
        };
        let archived = matches!(object.class.as_str(), "GLACIER" | "DEEP_ARCHIVE");
        let restored = object.restore.as_ref().is_some_and(|restore| restore.contains("RestoreExpiryDate"));
        if archived && !restored && !self.archive_is_read {
            let class = format!("<StorageClass>{}</StorageClass>", object.class);
            let message = "The operation is not valid for the object's storage class";
            return Reply::error_with(403, "InvalidObjectState", message, &class);
        }
        let mut reply = Reply::new(200, "image/jpeg", object.bytes.clone());
        reply.delivery = object.delivery;
        if let Some(etag) = self.etags.in_reply(&object.etag) {
            reply = reply.header("etag", etag);
        }
        if let Some(modified) = &object.last_modified {
            reply = reply.header("last-modified", modified);
        }
        reply.headers.extend(object.headers.clone());
        reply
    }
}
