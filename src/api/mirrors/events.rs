//! `POST /events/s3`: deliveries of events. They are protected by the tokens of mirrors or the signatures of SNS, not by the
//! API keys.

use axum::extract::{DefaultBodyLimit, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::AppState;
use crate::api::auth::bearer_token;
use crate::api::http::extract::{BodyLimit, read_body};
use crate::api::http::{ApiError, ErrorReply};
use crate::domain::Mirror;
use crate::mirrors::{Mirrors, MirrorsError, SnsError, SnsTopic};

/// The path that is protected by the tokens of mirrors.
pub(in crate::api) const EVENTS_PATH: &str = "/events/s3";

/// Maximum size of a delivery in bytes: AWS sends at most 256 KB.
const MAX_BODY: usize = 512 * 1024;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(receive_events))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(Extension(BodyLimit(MAX_BODY)))
}

/// The reply to a delivery.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventsReply {
    /// Events whose keys are compared with the bucket.
    pub accepted: u64,
    /// Events that are not about images of the mirror.
    pub ignored: u64,
    /// Events that were not recorded one by one: a run lists the prefix instead.
    pub dropped: u64,
}

/// The header that each request of SNS has.
const SNS_TYPE: &str = "x-amz-sns-message-type";
/// The header with the topic.
const SNS_TOPIC: &str = "x-amz-sns-topic-arn";
/// The header of a message without its envelope.
const SNS_RAW: &str = "x-amz-sns-rawdelivery";

/// Who sends a delivery. This is checked before the body is read.
pub(super) enum Sender {
    /// A sender with the token of this mirror.
    Mirror(Box<Mirror>),
    /// SNS, if the signature in the body is valid.
    Topic(SnsTopic),
}

impl FromRequestParts<AppState> for Sender {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let token = bearer_token(&parts.headers);
        if token.is_some() || !parts.headers.contains_key(SNS_TYPE) {
            return Ok(Self::Mirror(Box::new(state.mirrors.authenticate(token).await?)));
        }
        let topic = parts.headers.get(SNS_TOPIC).and_then(|topic| topic.to_str().ok());
        let topic = state.mirrors.find_topic(topic.unwrap_or_default()).await?;
        if parts.headers.contains_key(SNS_RAW) {
            let reason = "a message with raw delivery has no signature; turn raw message delivery off";
            return Err(MirrorsError::Sns(SnsError::Refused(reason.to_owned())).into());
        }
        Ok(Self::Topic(topic))
    }
}

/// Accept events of a bucket: a webhook of MinIO, RustFS or Ceph, an API destination of EventBridge, the same records as
/// AWS sends them, or messages of SNS.
///
/// The token is the `event_token` of a mirror. A message of SNS has no token: its topic is the `sns_topic_arn` of a mirror, and
/// its signature is verified; the subscription of the topic is confirmed. Events only name keys: each key is compared with the
/// bucket after the reply, so events may be repeated, be late or be in another order. Every JSON object is acknowledged, also if
/// no event in it is about the mirror.
#[utoipa::path(post, path = "/events/s3", tag = "mirrors", security(("event_token" = []), ()),
    request_body(content = BTreeMap<String, serde_json::Value>, content_type = "application/json"),
    responses((status = 200, body = EventsReply), (status = 400, body = ErrorReply), (status = 401, body = ErrorReply),
        (status = 403, body = ErrorReply), (status = 503, body = ErrorReply)))]
async fn receive_events(
    State(mirrors): State<Mirrors>,
    sender: Sender,
    request: Request,
) -> Result<Json<EventsReply>, ApiError> {
    let (_, body) = read_body(request).await?;
    let acknowledged = match sender {
        Sender::Mirror(mirror) => mirrors.acknowledge(&mirror, &body).await?,
        Sender::Topic(topic) => mirrors.acknowledge_sns(&topic, &body).await?,
    };
    Ok(Json(EventsReply {
        accepted: acknowledged.accepted,
        ignored: acknowledged.ignored,
        dropped: acknowledged.dropped,
    }))
}
