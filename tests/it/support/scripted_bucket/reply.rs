//! One reply, byte for byte.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, StreamExt};

/// How a body is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Delivery {
    #[default]
    Whole,
    /// The connection is closed after half of the declared length.
    Cut,
    /// Half of the body, without a declared length, so that HTTP does not show that something is missing.
    Half,
    /// One byte after each pause.
    Drip(Duration),
}

/// A status, headers and a body.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Bytes,
    pub(crate) delivery: Delivery,
}

impl Reply {
    pub(crate) fn new(status: u16, kind: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), delivery: Delivery::Whole }.header("content-type", kind)
    }

    /// An error as S3 writes it.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::error_with(status, code, message, "")
    }

    /// The same with more elements.
    pub(crate) fn error_with(status: u16, code: &str, message: &str, more: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"
        );
        Self::new(status, "application/xml", body)
    }

    /// A status without a body.
    pub(crate) fn bare(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), delivery: Delivery::Whole }
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            let name: HeaderName = name.parse().unwrap();
            response = response.header(name, HeaderValue::from_bytes(&value).unwrap());
        }
        let body = self.body;
        let stream = match self.delivery {
            Delivery::Whole => return response.body(Body::from(body)).unwrap(),
            Delivery::Cut => {
                response = response.header("content-length", body.len());
                let pieces = [Ok(body.slice(..body.len() / 2)), Err(io::Error::other("cut"))];
                // The first piece must leave before the connection is closed.
                stream::iter(pieces)
                    .then(|piece| async move {
                        if piece.is_err() {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        piece
                    })
                    .boxed()
            }
            Delivery::Half => stream::iter([Ok(body.slice(..body.len() / 2))]).boxed(),
            Delivery::Drip(pause) => {
                response = response.header("content-length", body.len());
                stream::iter(0..body.len())
                    .then(move |at| {
                        let byte = body.slice(at..=at);
                        async move {
                            tokio::time::sleep(pause).await;
                            Ok(byte)
                        }
                    })
                    .boxed()
            }
        };
        response.body(Body::from_stream(stream)).unwrap()
    }
}
