//! Ends event streams whose sender may not read them any more, because the key, the session or the token has ended.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures::stream::{self, StreamExt};

use super::authenticator::Authenticator;
use super::roles::Access;
use super::sessions::SESSION_ENDED;
use crate::api::http::ApiError;
use crate::domain::Role;

/// How often the sender of a stream is checked again.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
const EVENT_STREAM: &[u8] = b"text/event-stream";

/// What has identified the sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignedInBy {
    /// An API key.
    Key,
    /// The session of a browser.
    Session,
    /// A token of an identity provider, a proxy, or nothing on a service without keys.
    TokenOrProxy,
}

/// Checks again and again whether the sender of a request may still read its reply.
pub(super) struct StreamAccess {
    authenticator: Arc<Authenticator>,
    headers: HeaderMap,
    extensions: Extensions,
    role: Role,
    signed_in_by: SignedInBy,
}

impl StreamAccess {
    /// Returns the check for a request that accepts an event stream and needs a role.
    pub(super) fn new(authenticator: &Arc<Authenticator>, request: &Request) -> Option<Self> {
        let accept = request.headers().get(header::ACCEPT)?.as_bytes();
        if !accept.windows(EVENT_STREAM.len()).any(|part| part == EVENT_STREAM) {
            return None;
        }
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let Access::Role(role) = authenticator.access(request.method(), route, request.uri().path()) else {
            return None;
        };
        let (headers, extensions) = (request.headers().clone(), request.extensions().clone());
        let signed_in_by = authenticator.signed_in_by(&headers, &extensions);
        Some(Self { authenticator: authenticator.clone(), headers, extensions, role, signed_in_by })
    }

    /// Ends the reply, if it is an event stream, soon after the sender may not read it any more. Its last event is
    /// `broken_off`, with the error that a new request gets.
    pub(super) fn limit(self, response: Response) -> Response {
        let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        if !kind.is_some_and(|kind| kind.starts_with(EVENT_STREAM)) {
            return response;
        }
        response.map(|body| {
            let state = (body.into_data_stream(), Box::pin(self.until_lost()));
            Body::from_stream(stream::unfold(Some(state), |state| async {
                let (mut events, mut lost) = state?;
                tokio::select! {
                    biased;
                    error = &mut lost => Some((Ok(last_event(error)), None)),
                    event = events.next() => Some((event?, Some((events, lost)))),
                }
            }))
        })
    }

    async fn until_lost(mut self) -> ApiError {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            match self.check().await {
                Ok(()) => {}
                // The identity provider does not answer. This does not end what it has allowed.
                Err(error) if error.status() == StatusCode::SERVICE_UNAVAILABLE => {}
                Err(error) => return error,
            }
        }
    }

    /// Checks whether the sender still has the role. A key that has ended is not counted as a guess.
    async fn check(&mut self) -> Result<(), ApiError> {
        if let Some(token) = self.authenticator.check_token(&self.headers).await {
            self.extensions.insert(token);
        }
        match self.authenticator.known_identity(&self.headers, &self.extensions)? {
            Some(identity) => identity.require(self.role),
            None => Err(ApiError::unauthorized(self.end_of_sign_in())),
        }
    }

    /// Returns the message that names what has ended.
    fn end_of_sign_in(&self) -> &'static str {
        match self.signed_in_by {
            SignedInBy::Key => "the API key of this stream has ended: it has expired, or it was removed",
            SignedInBy::Session if self.authenticator.sessions.key(&self.headers).is_some() => {
                "the session has ended with its API key, which has expired or was removed; sign in with another key"
            }
            SignedInBy::Session => SESSION_ENDED,
            SignedInBy::TokenOrProxy => "the sign-in of this stream has ended; sign in again",
        }
    }
}

fn last_event(error: ApiError) -> Bytes {
    let body = serde_json::to_string(&error.into_body()).unwrap_or_default();
    format!("event: broken_off\ndata: {body}\n\n").into()
}
