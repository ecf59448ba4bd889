//! The usual faults by name.

use std::sync::Arc;

use super::reply::Reply;
use super::script::{Etags, Fault, Object, Script, Tokens};

/// A fault of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// No fault.
    Plain,
    /// Keys are listed out of order, and a client that gives up on a page and continues after a key misses some: the
    /// second page is refused as often as the SDK requests it.
    Unordered,
    EmptyEtag,
    NoEtag,
    SameToken,
    NoToken,
    Latin1Key,
    Region,
    Skew,
    /// The credentials expire after two reads.
    Expired,
    Glacier,
    /// The bucket's name is part of the endpoint: the endpoint is taken for the bucket, and the client's bucket for a
    /// key.
    Endpoint,
    /// A listing is answered with the list of buckets.
    Buckets,
    /// Every object is compressed, with `Content-Encoding`.
    Gzip,
    Latin1Meta,
}

impl Mode {
    pub(crate) fn apply(self, script: &mut Script) {
        match self {
            Self::Plain => {}
            Self::Unordered => {
                script.objects.rotate_left(2);
                let busy = Reply::error(503, "SlowDown", "Please reduce your request rate.");
                script.on_next = Some(Fault { reply: busy, after: 0, times: 3 });
            }
            Self::EmptyEtag => script.etags = Etags::Empty,
            Self::NoEtag => script.etags = Etags::AbsentInListing,
            Self::SameToken => script.tokens = Tokens::Same,
            Self::NoToken => script.tokens = Tokens::Missing,
            Self::Latin1Key => {
                let bytes = script.objects.first().map(|object| object.bytes.clone()).unwrap_or_default();
                script.objects.insert(2, Object::new(b"caf\xE9.jpg", bytes));
                script.page = 3;
            }
            Self::Region => {
                let message =
                    "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-central-1'";
                let more = "<Region>eu-central-1</Region>";
                script.on_any =
                    Some(Fault::always(Reply::error_with(400, "AuthorizationHeaderMalformed", message, more)));
            }
            Self::Skew => {
                let message = "The difference between the request time and the current time is too large.";
                script.on_any = Some(Fault::always(Reply::error(403, "RequestTimeTooSkewed", message)));
            }
            Self::Expired => {
                let reply = Reply::error(400, "ExpiredToken", "The provided token has expired.");
                script.on_get = Some(Fault { reply, after: 2, times: usize::MAX });
            }
            Self::Glacier => script.objects.iter_mut().for_each(|object| "GLACIER".clone_into(&mut object.class)),
            Self::Endpoint => {
                let reply = Reply::error(404, "NoSuchKey", "The specified key does not exist.");
                script.on_any = Some(Fault::always(reply));
            }
            Self::Buckets => {
                let body = "<?xml version=\"1.0\"?><ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>";
                script.on_any = Some(Fault::always(Reply::new(200, "application/xml", body)));
            }
            Self::Gzip => {
                for object in &mut script.objects {
                    object.bytes = gzip(&object.bytes).into();
                    object.headers.push(("content-encoding".to_owned(), b"gzip".to_vec()));
                }
            }
            Self::Latin1Meta => {
                for object in &mut script.objects {
                    object.headers.push(("x-amz-meta-author".to_owned(), b"M\xfcller".to_vec()));
                }
            }
        }
    }
}

/// One member of a gzip file, stored without compression.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = bytes.chunks(0xFFFF).peekable();
    while let Some(block) = blocks.next() {
        out.push(u8::from(blocks.peek().is_none()));
        let length = u16::try_from(block.len()).unwrap();
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    out.extend(crc32fast::hash(bytes).to_le_bytes());
    out.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
    out
}

/// A function that may answer a request before anything else does.
impl Script {
    pub(crate) fn with_handler(
        mut self,
        handler: impl Fn(&super::BucketRequest) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        self.handler = Some(Arc::new(handler));
        self
    }
}
