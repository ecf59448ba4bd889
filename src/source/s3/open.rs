//! Reads objects piece by piece.

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt};

use super::S3Source;
use super::body::{Body, check_length};
use super::errors::{BUSY_RETRY_DELAY, Target, error_for_reply, source_error};
use super::reply::{MAX_BODY_BYTES, ReplyFacts};
use crate::domain::{ImageUri, Timestamp, object_version};
use crate::source::{Opened, Part, SourceError};
use crate::telemetry::metrics::Counter;

/// Opens an object or a part of it.
pub(super) async fn open(source: &S3Source, uri: &ImageUri, part: Option<&Part>) -> Result<Opened, SourceError> {
    let mut request =
        source.client.get_object().bucket(uri.bucket()).key(uri.key()).set_request_payer(source.payer.clone());
    if let Some(Part { from, to, etag }) = part {
        let to = to.map_or(String::new(), |to| to.to_string());
        request = request.range(format!("bytes={from}-{to}"));
        if let Some(etag) = etag {
            request = request.if_match(format!("\"{etag}\""));
        }
    }
    let reply = request.send().await.map_err(|error| source_error(&error, Target::Object(uri), &source.setup))?;
    let length = reply.content_length.and_then(|length| u64::try_from(length).ok());
    if let (None, Some(range), Some(length)) = (part, reply.content_range.as_deref(), length) {
        check_length(uri, length, None, Some(range))?;
    }
    let is_part = part.is_some() && reply.content_range.is_some();
    let encoding = reply.content_encoding.unwrap_or_default();
    let mut body = Body::new(uri.clone(), reply.body, length, source.timeout);
    let mut head = Bytes::new();
    // An object has a version, an error does not.
    if reply.e_tag.is_none() && reply.last_modified.is_none() {
        head = read_head(&mut body).await?;
        if let Some(facts) = ReplyFacts::from_error_document(&head) {
            return Err(error_for_reply(&facts, BUSY_RETRY_DELAY, Target::Object(uri), &source.setup));
        }
        source.fetched.increment(head.len() as u64);
    }
    let head = stream::iter(Some(Ok(head)).filter(|head| head.as_ref().is_ok_and(|head| !head.is_empty())));
    Ok(Opened {
        etag: reply.e_tag.as_deref().and_then(|etag| object_version::etag(etag, length.filter(|_| !is_part))),
        modified: reply.last_modified.and_then(|moment| Timestamp::from_unix_seconds(moment.secs())),
        content_type: reply.content_type,
        size_bytes: if is_part { None } else { length },
        is_part,
        // `aws-chunked` is the coding of the upload, which some services keep although the stored object is not encoded.
        is_encoded: !matches!(encoding.trim(), "" | "identity" | "aws-chunked"),
        body: head.chain(pieces(body, source.fetched.clone())).boxed(),
    })
}

/// Reads the first piece, or all pieces if they can be an error document.
async fn read_head(body: &mut Body) -> Result<Bytes, SourceError> {
    let mut head = BytesMut::new();
    while head.len() <= MAX_BODY_BYTES && head.trim_ascii_start().first().is_none_or(|first| b"<\xEF".contains(first)) {
        let Some(piece) = body.next().await.transpose()? else { break };
        head.extend_from_slice(&piece);
    }
    Ok(head.freeze())
}

/// Returns the body as a stream, which ends after its first error.
fn pieces(body: Body, fetched: Counter) -> BoxStream<'static, Result<Bytes, SourceError>> {
    stream::unfold(Some((body, fetched)), |state| async move {
        let (mut body, fetched) = state?;
        match body.next().await? {
            Ok(bytes) => {
                fetched.increment(bytes.len() as u64);
                Some((Ok(bytes), Some((body, fetched))))
            }
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}
