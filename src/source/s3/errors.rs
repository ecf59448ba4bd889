//! Converts the errors of the SDK to the errors of the port. Who is responsible for an error decides whether the call
//! is repeated.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use super::codes::Kind;
use super::operator_error::Setup;
use super::reply::ReplyFacts;
use crate::domain::{DependencyError, FailureKind, ImageUri, with_causes};
use crate::http::parse_retry_after;
use crate::source::SourceError;

/// The bucket or object of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    Bucket(&'a str),
    Object(&'a ImageUri),
    /// The event rules of a bucket, and the permission that the call needs.
    Rules {
        bucket: &'a str,
        permission: &'static str,
    },
}

/// How long to wait for a busy service if its reply does not contain a time.
pub(super) const BUSY_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Returns the error of the port for a failed call.
pub(super) fn source_error<E>(error: &SdkError<E>, target: Target<'_>, setup: &Setup) -> SourceError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let detail = || with_causes(error);
    match error {
        SdkError::ServiceError(service) => {
            let retry_after = service.raw().headers().get("retry-after").and_then(parse_retry_after);
            let facts = ReplyFacts::read(service.raw(), service.err().code(), service.err().message());
            error_for_reply(&facts, retry_after.unwrap_or(BUSY_RETRY_DELAY), target, setup)
        }
        SdkError::TimeoutError(_) => dependency(FailureKind::TimedOut, detail()),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => dependency(FailureKind::TimedOut, detail()),
        // These did not reach the service: there are no credentials, or the request cannot be written.
        SdkError::DispatchFailure(_) if no_credentials(error) => SourceError::Operator(Setup::no_credentials(detail())),
        SdkError::ConstructionFailure(_) if no_credentials(error) => {
            SourceError::Operator(Setup::no_credentials(detail()))
        }
        SdkError::ConstructionFailure(_) => SourceError::Refused { what: target.to_string(), reason: detail() },
        // The reply is not from an S3 service, or the connection failed.
        _ => dependency(FailureKind::Failed, detail()),
    }
}

/// Returns the error for a failure of the service itself.
pub(super) fn dependency(failure: FailureKind, detail: String) -> SourceError {
    SourceError::Dependency(DependencyError { dependency: "s3".to_owned(), failure, detail })
}

/// Returns the error for a reply with an error status.
pub(super) fn error_for_reply(
    facts: &ReplyFacts,
    busy_delay: Duration,
    target: Target<'_>,
    setup: &Setup,
) -> SourceError {
    let kind = Kind::from_reply(facts.status, facts.code.as_deref(), facts.message.as_deref());
    let bucket = target.bucket();
    match (kind, target) {
        (Kind::Busy, _) => dependency(FailureKind::Busy { retry_after: busy_delay }, facts.detail()),
        (Kind::Full, _) => dependency(FailureKind::Full, facts.detail()),
        (Kind::TimedOut, _) => dependency(FailureKind::TimedOut, facts.detail()),
        (Kind::Failed, _) => dependency(FailureKind::Failed, facts.detail()),
        (
            Kind::Expired
            | Kind::UnknownKey
            | Kind::Signature
            | Kind::Clock
            | Kind::Region
            | Kind::Redirect
            | Kind::Proxy
            | Kind::Account,
            Target::Object(_),
        ) => SourceError::Operator(setup.operator_error(kind, bucket, facts)),
        (Kind::NoBucket, Target::Object(_)) => SourceError::NoBucket(bucket.to_owned()),
        (Kind::Gone, Target::Object(uri)) => SourceError::Missing(uri.clone()),
        (Kind::Denied, Target::Object(uri)) => SourceError::Denied(format!("{uri} ({})", facts.answer())),
        (Kind::Archived, Target::Object(uri)) => {
            let class = facts.element("AccessTier").or_else(|| facts.element("StorageClass"));
            SourceError::Archived { uri: uri.clone(), class: class.unwrap_or_else(|| facts.answer()) }
        }
        (Kind::Refused, Target::Object(uri)) => SourceError::Refused { what: uri.to_string(), reason: facts.detail() },
        (Kind::NoBucket | Kind::Gone, Target::Bucket(bucket))
            if facts.code.as_deref() != Some("NoSuchKey") && setup.bucket_in_endpoint(bucket, facts).is_none() =>
        {
            SourceError::NoBucket(bucket.to_owned())
        }
        (kind, Target::Rules { bucket, permission }) => {
            SourceError::Operator(setup.rules_error(kind, bucket, permission, facts))
        }
        // There is no job without a listing, so every refusal of it is for the operator.
        (_, Target::Bucket(bucket)) => SourceError::Operator(setup.listing_error(kind, bucket, facts)),
    }
}

/// Whether the machine does not provide credentials, or their service refuses the request. A service for credentials
/// that is down is not such a case.
fn no_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<CredentialsError>() {
            let refused = || {
                let message = format!("{}", DisplayErrorContext(found));
                ["ExpiredToken", "InvalidIdentityToken", "InvalidClientTokenId", "AccessDenied", "has expired"]
                    .into_iter()
                    .any(|word| message.contains(word))
            };
            return match found {
                CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => true,
                _ => refused(),
            };
        }
        next = error.source();
    }
    false
}

impl<'a> Target<'a> {
    fn bucket(self) -> &'a str {
        match self {
            Self::Bucket(bucket) | Self::Rules { bucket, .. } => bucket,
            Self::Object(uri) => uri.bucket(),
        }
    }
}

impl std::fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bucket(bucket) | Self::Rules { bucket, .. } => write!(f, "s3://{bucket}"),
            Self::Object(uri) => uri.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FailureAttribution, FailureClass};
    use crate::resilience::Retryable;

    fn setup() -> Setup {
        let endpoint = Some("http://127.0.0.1:9".to_owned());
        Setup { endpoint, region: "us-east-1".to_owned(), path_style: true, has_own_credentials: true }
    }

    fn error_for(status: u16, code: Option<&str>, target: Target<'_>) -> SourceError {
        let facts = ReplyFacts { status, code: code.map(str::to_owned), ..ReplyFacts::default() };
        error_for_reply(&facts, BUSY_RETRY_DELAY, target, &setup())
    }

    fn object_error(status: u16, code: Option<&str>) -> SourceError {
        error_for(status, code, Target::Object(&ImageUri::new("b", "k.jpg")))
    }

    #[test]
    fn the_code_decides_or_else_the_status() {
        let uri = ImageUri::new("b", "k.jpg");
        for (status, code) in [(404, Some("NoSuchKey")), (404, None), (404, Some("NotFound")), (410, None)] {
            assert_eq!(object_error(status, code), SourceError::Missing(uri.clone()), "{code:?}");
        }
        assert_eq!(object_error(404, Some("NoSuchBucket")), SourceError::NoBucket("b".to_owned()));
        assert_eq!(error_for(404, None, Target::Bucket("b")), SourceError::NoBucket("b".to_owned()));
        for (status, code) in [(403, None), (403, Some("AccessDenied")), (400, Some("KMS.DisabledException"))] {
            assert!(matches!(object_error(status, code), SourceError::Denied(_)), "{code:?}");
        }
        assert!(matches!(object_error(403, Some("InvalidObjectState")), SourceError::Archived { .. }));
        for (status, code) in [(404, Some("NoSuchThing")), (400, Some("KeyTooLongError")), (501, None)] {
            assert!(matches!(object_error(status, code), SourceError::Refused { .. }), "{code:?}");
            assert!(!object_error(status, code).is_retryable());
        }
    }

    #[test]
    fn failures_that_concern_all_objects_are_the_operators() {
        for (status, code) in [
            (400, "ExpiredToken"),
            (403, "ExpiredTokenException"),
            (403, "InvalidAccessKeyId"),
            (400, "InvalidToken"),
            (403, "InvalidClientTokenId"),
            (400, "TokenRefreshRequired"),
            (403, "UnrecognizedClientException"),
            (403, "SignatureDoesNotMatch"),
            (403, "RequestTimeTooSkewed"),
            (400, "AuthorizationHeaderMalformed"),
            (301, "PermanentRedirect"),
            (400, "IllegalLocationConstraintException"),
            (400, "IncorrectEndpoint"),
            (403, "NotSignedUp"),
            (403, "AccountProblem"),
            (403, "AllAccessDisabled"),
            (404, "NoSuchBucket"),
            (404, "XAdminUserNotFound"),
        ] {
            let error = object_error(status, Some(code));
            assert_eq!(error.attribution(), FailureAttribution::Operator, "{code}: {error}");
            assert!(!error.is_retryable() && !error.is_failure(), "{code}");
        }
        for status in [301, 302, 401, 402] {
            assert_eq!(object_error(status, None).attribution(), FailureAttribution::Operator, "{status}");
        }
        let denied = FailureAttribution::Image(FailureClass::FetchDenied);
        assert_eq!(object_error(403, Some("AccessDenied")).attribution(), denied);
        for (status, code) in [(403, Some("AccessDenied")), (403, None), (405, Some("MethodNotAllowed")), (501, None)] {
            let error = error_for(status, code, Target::Bucket("b"));
            assert_eq!(error.attribution(), FailureAttribution::Operator, "{code:?}: {error}");
        }
    }

    #[test]
    fn a_refusal_of_event_rules_names_the_permission() {
        let target = Target::Rules { bucket: "b", permission: "s3:PutBucketNotification" };
        let denied = error_for(403, Some("AccessDenied"), target).to_string();
        assert!(denied.contains("allow s3:PutBucketNotification"), "{denied}");
        let refused = error_for(400, Some("InvalidArgument"), target).to_string();
        assert!(refused.contains("event rules") && refused.contains("target exists"), "{refused}");
        let missing = error_for(404, Some("NoSuchBucket"), target).to_string();
        assert!(missing.contains("`b` does not exist"), "{missing}");
    }

    #[test]
    fn throttling_and_failures_are_failures_of_the_service() {
        let failure = |status, code| match object_error(status, code) {
            SourceError::Dependency(error) => error.failure,
            other => panic!("{other}"),
        };
        assert_eq!(failure(503, Some("SlowDown")), FailureKind::Busy { retry_after: BUSY_RETRY_DELAY });
        assert_eq!(failure(429, None), FailureKind::Busy { retry_after: BUSY_RETRY_DELAY });
        assert_eq!(failure(400, Some("RequestTimeout")), FailureKind::TimedOut);
        assert_eq!(failure(500, Some("InternalError")), FailureKind::Failed);
        assert_eq!(failure(507, Some("XMinioStorageFull")), FailureKind::Full);
        assert_eq!(failure(507, None), FailureKind::Full);
        assert_eq!(failure(502, None), FailureKind::Failed);
    }
}
