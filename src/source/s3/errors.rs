//! What the SDK says, as the port's errors: whose fault it is decides whether anybody tries again.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::domain::{DependencyError, ImageUri, Trouble};
use crate::resilience::parse_retry_after;
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
pub(super) fn source_error<E>(error: &SdkError<E>, target: Target<'_>) -> SourceError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let detail = || format!("{}", DisplayErrorContext(error));
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let retry_after = service.raw().headers().get("retry-after").and_then(parse_retry_after);
            let (code, message) = (service.err().code(), service.err().message());
            answered(status, code, message, retry_after.unwrap_or(BUSY), target)
        }
        SdkError::TimeoutError(_) => dependency(Trouble::TimedOut, detail()),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => dependency(Trouble::TimedOut, detail()),
        // Neither reached the service: no credentials, or a request that cannot be written.
        SdkError::DispatchFailure(_) if no_credentials(error) => {
            SourceError::Denied(format!("{target} (no credentials found: set S3_ACCESS_KEY_ID)"))
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

/// What an error's code or status comes down to.
enum Kind {
    NoBucket,
    Gone,
    Denied,
    Busy,
    TimedOut,
    Failed,
    Refused,
}

impl Kind {
    /// By the service's code; `None` for one that only some service knows.
    fn of_code(code: &str) -> Option<Self> {
        Some(match code {
            "NoSuchBucket" | "InvalidBucketName" => Self::NoBucket,
            "NoSuchKey" | "NotFound" | "NoSuchVersion" => Self::Gone,
            "AccessDenied"
            | "AllAccessDisabled"
            | "AccountProblem"
            | "AuthorizationHeaderMalformed"
            | "ExpiredToken"
            | "InvalidAccessKeyId"
            | "InvalidObjectState"
            | "InvalidToken"
            | "NotSignedUp"
            | "RequestTimeTooSkewed"
            | "SignatureDoesNotMatch"
            // Versity's word for an unknown key pair, with 404.
            | "XAdminUserNotFound" => Self::Denied,
            "SlowDown"
            | "ServiceUnavailable"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "TooManyRequestsException"
            | "BandwidthLimitExceeded" => Self::Busy,
            "RequestTimeout" | "RequestExpired" | "RequestTimeoutException" => Self::TimedOut,
            "InternalError" | "InternalFailure" | "OperationAborted" => Self::Failed,
            "NotImplemented" => Self::Refused,
            _ => return None,
        })
    }

    /// By the status, where there is no code (the reply to a `HEAD` has no body) or none that is known.
    fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Denied,
            404 | 410 => Self::Gone,
            408 | 504 => Self::TimedOut,
            429 | 503 => Self::Busy,
            // Not implemented: that will be so tomorrow too.
            501 => Self::Refused,
            500.. => Self::Failed,
            _ => Self::Refused,
        }
    }
}

/// A reply with an error's status.
fn answered(
    status: u16,
    code: Option<&str>,
    message: Option<&str>,
    busy_for: Duration,
    target: Target<'_>,
) -> SourceError {
    let code_text = code.unwrap_or("no code");
    let words = format!("{code_text} ({status}): {}", message.unwrap_or("no message"));
    let kind = match (code, status) {
        // Something is not there, but who knows what: that must not pass for an object that is gone.
        (Some(code), 404 | 410) => Kind::of_code(code).unwrap_or(Kind::Refused),
        (code, status) => code.and_then(Kind::of_code).unwrap_or_else(|| Kind::of_status(status)),
    };
    match kind {
        Kind::NoBucket => SourceError::NoBucket(target.bucket().to_owned()),
        Kind::Gone => match target {
            Target::Bucket(bucket) => SourceError::NoBucket(bucket.to_owned()),
            Target::Object(uri) => SourceError::Missing(uri.clone()),
        },
        Kind::Denied => SourceError::Denied(format!("{target} ({code_text})")),
        Kind::Busy => dependency(Trouble::Busy { retry_after: busy_for }, words),
        Kind::TimedOut => dependency(Trouble::TimedOut, words),
        Kind::Failed => dependency(Trouble::Failed, words),
        Kind::Refused => SourceError::Refused { what: target.to_string(), reason: words },
    }
}

/// Whether the machine has no credentials to offer; a service for them that is down is another matter.
fn no_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<CredentialsError>() {
            return matches!(
                found,
                CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)
            );
        }
        next = error.source();
    }
    false
}

impl Target<'_> {
    fn bucket(&self) -> &str {
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
    use crate::resilience::Retryable;

    fn said(status: u16, code: Option<&str>) -> SourceError {
        answered(status, code, None, BUSY, Target::Object(&ImageUri::new("b", "k.jpg")))
    }

    #[test]
    fn the_code_decides_and_else_the_status() {
        let uri = ImageUri::new("b", "k.jpg");
        for (status, code) in [(404, Some("NoSuchKey")), (404, None), (404, Some("NotFound")), (410, None)] {
            assert_eq!(said(status, code), SourceError::Missing(uri.clone()), "{code:?}");
        }
        assert_eq!(said(404, Some("NoSuchBucket")), SourceError::NoBucket("b".to_owned()));
        assert_eq!(answered(404, None, None, BUSY, Target::Bucket("b")), SourceError::NoBucket("b".to_owned()));
        for (status, code) in [(403, None), (400, Some("ExpiredToken")), (403, Some("SignatureDoesNotMatch"))] {
            assert!(matches!(said(status, code), SourceError::Denied(_)), "{code:?}");
        }
        for (status, code) in
            [(404, Some("NoSuchTenant")), (400, Some("KeyTooLongError")), (301, Some("PermanentRedirect")), (501, None)]
        {
            assert!(matches!(said(status, code), SourceError::Refused { .. }), "{code:?}");
            assert!(!said(status, code).is_retryable());
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
