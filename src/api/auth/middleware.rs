//! The middleware that authenticates requests.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::authenticator::{Authenticator, Refused, RequestHead};
use super::identity::{ClientAddress, Sender};
use super::stream_access::StreamAccess;

/// Middleware that refuses requests without a valid key or with a role that is too low, and requests from pages of other sites.
/// Records what has changed data in the audit log.
pub(in crate::api) async fn authenticate(
    State(authenticator): State<Arc<Authenticator>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(token) = authenticator.check_token(request.headers()).await {
        request.extensions_mut().insert(token);
    }
    let head = RequestHead {
        method: request.method(),
        uri: request.uri(),
        headers: request.headers(),
        extensions: request.extensions(),
    };
    let authorized = authenticator.authorize(&head);
    let address = ClientAddress(authenticator.client(request.headers(), request.extensions()));
    request.extensions_mut().insert(address);
    let sender = match &authorized {
        Ok(identity) | Err(Refused { identity, .. }) => identity.clone(),
    };
    if let (Some(sender), Some(identity)) = (request.extensions().get::<Sender>(), sender) {
        sender.set(identity);
    }
    let stream = StreamAccess::new(&authenticator, &request);
    let mut response = match authorized {
        Ok(Some(identity)) => {
            let response = authenticator.run_audited(identity, request, next).await;
            match stream {
                Some(stream) => stream.limit(response),
                None => response,
            }
        }
        Ok(None) => next.run(request).await,
        Err(Refused { error, .. }) => error.into_response(),
    };
    response.extensions_mut().insert(address);
    response
}
