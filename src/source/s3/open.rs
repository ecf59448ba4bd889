//! Reads objects piece by piece.

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use super::S3Source;
use super::body::Body;
use super::errors::{Target, source_error};
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
    let is_part = reply.content_range.is_some();
    let encoding = reply.content_encoding.unwrap_or_default();
    Ok(Opened {
        etag: reply.e_tag.as_deref().and_then(|etag| object_version::etag(etag, length.filter(|_| !is_part))),
        modified: reply.last_modified.and_then(|moment| Timestamp::from_unix_seconds(moment.secs())),
        size_bytes: if is_part { None } else { length },
        is_part,
        // `aws-chunked` is the coding of the upload, which some services keep although the stored object is not encoded.
        is_encoded: !matches!(encoding.trim(), "" | "identity" | "aws-chunked"),
        body: pieces(Body::new(uri.clone(), reply.body, length, source.timeout), source.fetched.clone()),
    })
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
