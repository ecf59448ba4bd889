//! What the SDK says, as the port's errors: whose failure it is decides whether anybody tries again.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use super::codes::Kind;
use super::operator::Setup;
use super::reply::Facts;
use crate::domain::{DependencyError, ImageUri, Trouble};
use crate::http::parse_retry_after;
use crate::source::SourceError;

/// What a call was about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    Bucket(&'a str),
    Object(&'a ImageUri),
}

/// How long a busy service is left alone when it does not say.
const BUSY: Duration = Duration::from_secs(1);

/// The port's error for a failed call.
pub(super) fn source_error<E>(error: &SdkError<E>, target: Target<'_>, setup: &Setup) -> SourceError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let detail = || format!("{}", DisplayErrorContext(error));
    match error {
        SdkError::ServiceError(service) => {
            let retry_after = service.raw().headers().get("retry-after").and_then(parse_retry_after);
            let facts = Facts::read(service.raw(), service.err().code(), service.err().message());
            answered(&facts, retry_after.unwrap_or(BUSY), target, setup)
        }
        SdkError::TimeoutError(_) => dependency(Trouble::TimedOut, detail()),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => dependency(Trouble::TimedOut, detail()),
        // Neither reached the service: no credentials, or a request that cannot be written.
        SdkError::DispatchFailure(_) if no_credentials(error) => SourceError::Operator(Setup::no_credentials(detail())),
        SdkError::ConstructionFailure(_) if no_credentials(error) => {
            SourceError::Operator(Setup::no_credentials(detail()))
        }
        SdkError::ConstructionFailure(_) => SourceError::Refused { what: target.to_string(), reason: detail() },
        // A reply that is not S3's, or a connection that failed.
        _ => dependency(Trouble::Failed, detail()),
    }
}

/// The service itself is the trouble.
pub(super) fn dependency(trouble: Trouble, detail: String) -> SourceError {
    SourceError::Dependency(DependencyError { dependency: "s3".to_owned(), trouble, detail })
}

/// A reply with an error's status.
pub(super) fn answered(facts: &Facts, busy_for: Duration, target: Target<'_>, setup: &Setup) -> SourceError {
    let kind = Kind::read(facts.status, facts.code.as_deref(), facts.message.as_deref());
    let bucket = target.bucket();
    match (kind, target) {
        (Kind::Busy, _) => dependency(Trouble::Busy { retry_after: busy_for }, facts.detail()),
        (Kind::TimedOut, _) => dependency(Trouble::TimedOut, facts.detail()),
        (Kind::Failed, _) => dependency(Trouble::Failed, facts.detail()),
        (
            Kind::Expired
            | Kind::UnknownKey
            | Kind::Signature
            | Kind::Clock
            | Kind::Region
            | Kind::Redirect
            | Kind::Account,
            Target::Object(_),
        ) => SourceError::Operator(setup.operator(kind, bucket, facts)),
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
        // Without a listing there is no job: whatever refuses it is for the operator.
        (_, Target::Bucket(bucket)) => SourceError::Operator(setup.of_listing(kind, bucket, facts)),
    }
}

/// Whether the machine has no credentials to offer, or what gives them refuses to; a service for them that is down is
/// another matter.
fn no_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<CredentialsError>() {
            let refused = || {
                let said = format!("{}", DisplayErrorContext(found));
                ["ExpiredToken", "InvalidIdentityToken", "InvalidClientTokenId", "AccessDenied", "has expired"]
                    .into_iter()
                    .any(|word| said.contains(word))
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
            Self::Bucket(bucket) => bucket,
            Self::Object(uri) => uri.bucket(),
        }
    }
}

impl std::fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bucket(bucket) => write!(f, "s3://{bucket}"),
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
        Setup { endpoint, region: "us-east-1".to_owned(), path_style: true, own_key: true }
    }

    fn made(status: u16, code: Option<&str>, target: Target<'_>) -> SourceError {
        let facts = Facts { status, code: code.map(str::to_owned), ..Facts::default() };
        answered(&facts, BUSY, target, &setup())
    }

    fn said(status: u16, code: Option<&str>) -> SourceError {
        made(status, code, Target::Object(&ImageUri::new("b", "k.jpg")))
    }

    #[test]
    fn the_code_decides_and_else_the_status() {
        let uri = ImageUri::new("b", "k.jpg");
        for (status, code) in [(404, Some("NoSuchKey")), (404, None), (404, Some("NotFound")), (410, None)] {
            assert_eq!(said(status, code), SourceError::Missing(uri.clone()), "{code:?}");
        }
        assert_eq!(said(404, Some("NoSuchBucket")), SourceError::NoBucket("b".to_owned()));
        assert_eq!(made(404, None, Target::Bucket("b")), SourceError::NoBucket("b".to_owned()));
        for (status, code) in [(403, None), (403, Some("AccessDenied")), (400, Some("KMS.DisabledException"))] {
            assert!(matches!(said(status, code), SourceError::Denied(_)), "{code:?}");
        }
        assert!(matches!(said(403, Some("InvalidObjectState")), SourceError::Archived { .. }));
        for (status, code) in [(404, Some("NoSuchThing")), (400, Some("KeyTooLongError")), (501, None)] {
            assert!(matches!(said(status, code), SourceError::Refused { .. }), "{code:?}");
            assert!(!said(status, code).is_retryable());
        }
    }

    #[test]
    fn what_no_image_is_to_blame_for_is_the_operators() {
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
            let error = said(status, Some(code));
            assert_eq!(error.attribution(), FailureAttribution::Operator, "{code}: {error}");
            assert!(!error.is_retryable() && !error.is_failure(), "{code}");
        }
        for status in [301, 302, 401, 402] {
            assert_eq!(said(status, None).attribution(), FailureAttribution::Operator, "{status}");
        }
        let denied = FailureAttribution::Image(FailureClass::FetchDenied);
        assert_eq!(said(403, Some("AccessDenied")).attribution(), denied);
        for (status, code) in [(403, Some("AccessDenied")), (403, None), (405, Some("MethodNotAllowed")), (501, None)] {
            let error = made(status, code, Target::Bucket("b"));
            assert_eq!(error.attribution(), FailureAttribution::Operator, "{code:?}: {error}");
        }
    }

    #[test]
    fn throttling_and_failures_are_the_services_own() {
        let trouble = |status, code| match said(status, code) {
            SourceError::Dependency(error) => error.trouble,
            other => panic!("{other}"),
        };
        assert_eq!(trouble(503, Some("SlowDown")), Trouble::Busy { retry_after: BUSY });
        assert_eq!(trouble(429, None), Trouble::Busy { retry_after: BUSY });
        assert_eq!(trouble(400, Some("RequestTimeout")), Trouble::TimedOut);
        assert_eq!(trouble(500, Some("InternalError")), Trouble::Failed);
        assert_eq!(trouble(502, None), Trouble::Failed);
    }
}
