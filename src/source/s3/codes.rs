//! What an S3 service's error codes and statuses mean. The one place that decides whose failure a reply is.

/// What an error's code or status comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    // The operator's.
    /// The credentials have expired.
    Expired,
    /// The credentials are unknown, or there are none.
    UnknownKey,
    /// The secret is wrong, or the request was changed on its way.
    Signature,
    /// The clocks differ.
    Clock,
    /// The bucket is in another region.
    Region,
    /// The endpoint sends clients elsewhere.
    Redirect,
    /// The account cannot be used.
    Account,
    /// There is no such bucket.
    NoBucket,
    // The object's.
    /// There is no such object.
    Gone,
    /// The object may not be read.
    Denied,
    /// The object is in an archive.
    Archived,
    /// The request is refused for another reason.
    Refused,
    // The service's own.
    /// Too many requests.
    Busy,
    /// No answer in time.
    TimedOut,
    /// A failure.
    Failed,
}

impl Kind {
    /// By the code and, if that does not settle it, the message or the status.
    pub(super) fn read(status: u16, code: Option<&str>, message: Option<&str>) -> Self {
        match code {
            Some("AccessDenied" | "AccessForbidden" | "Forbidden") => Self::of_denial(message.unwrap_or_default()),
            // An old signature, for example.
            Some("InvalidRequest")
                if message.is_some_and(|message| message.to_lowercase().contains("authorization")) =>
            {
                Self::Signature
            }
            Some("AuthorizationHeaderMalformed") => Self::of_malformed_header(message.unwrap_or_default()),
            Some(code) => Self::of_code(code).unwrap_or_else(|| match status {
                // Something is not there, and it is not known what: not an object that is gone.
                404 | 410 => Self::Refused,
                status => Self::of_status(status),
            }),
            None => Self::of_status(status),
        }
    }

    /// By the service's code; `None` for one that is not known.
    #[expect(clippy::too_many_lines, reason = "a table of codes")]
    fn of_code(code: &str) -> Option<Self> {
        Some(match code {
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "SecurityTokenExpired" => Self::Expired,
            "InvalidAccessKeyId"
            | "InvalidAccessKeyIdException"
            | "InvalidAccessKey"
            | "InvalidClientTokenId"
            | "InvalidToken"
            | "InvalidTokenId"
            | "InvalidSecurityToken"
            | "InvalidSecurity"
            | "InvalidIdentityToken"
            | "InvalidCredentials"
            | "UnrecognizedClientException"
            | "UnrecognizedClient"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "MissingSecurityHeader"
            | "CredentialsNotSupported"
            | "AuthFailure"
            | "AuthenticationFailed"
            | "AuthenticationRequired"
            | "NotAuthenticated"
            | "Unauthorized"
            | "UnauthorizedAccess"
            | "NoSuchAccessKey"
            | "NoSuchUser"
            // Versity's code for an unknown key pair, with 404.
            | "XAdminUserNotFound" => Self::UnknownKey,
            "SignatureDoesNotMatch"
            | "InvalidSignature"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "AuthorizationQueryParametersError" => Self::Signature,
            "RequestTimeTooSkewed"
            | "RequestExpired"
            | "ExpiredRequest"
            | "RequestInTheFuture"
            | "RequestNotYetValid"
            | "RequestNotReadyYet" => Self::Clock,
            "PermanentRedirect"
            | "MovedPermanently"
            | "IllegalLocationConstraintException"
            | "IncorrectEndpoint"
            | "IncorrectEndpointException"
            | "InvalidRegionName"
            | "InvalidRegion"
            | "InvalidLocationConstraint" => Self::Region,
            "AccountProblem"
            | "UserProjectAccountProblem"
            | "UserProjectMissing"
            | "AllAccessDisabled"
            | "NotSignedUp"
            | "OptInRequired"
            | "SubscriptionRequired"
            | "SubscriptionRequiredException"
            | "PendingVerification"
            | "PaymentRequired"
            | "Blocked"
            | "AccountBlocked"
            | "AccountSuspended"
            | "AccountDisabled"
            | "UserSuspended"
            | "UserDisable"
            | "UserDisabled"
            | "InactiveAccount"
            | "InvalidPayer"
            | "NoSuchTenant"
            | "NoSuchAccount" => Self::Account,
            "NoSuchBucket" | "NoSuchBucketException" | "InvalidBucketName" | "BucketNotFound" | "NoSuchAccessPoint" => {
                Self::NoBucket
            }
            "NoSuchKey" | "NotFound" | "NoSuchVersion" | "NoSuchObject" => Self::Gone,
            "InvalidObjectState" | "ObjectNotInActiveTierError" | "RestoreAlreadyInProgress" | "NotRestored" => {
                Self::Archived
            }
            "SlowDown"
            | "SlowDownRead"
            | "ServiceUnavailable"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "KMS.ThrottlingException"
            | "TooManyRequests"
            | "TooManyRequestsException"
            | "BandwidthLimitExceeded"
            | "RateLimitExceeded"
            | "QuotaExceeded" => Self::Busy,
            "RequestTimeout" | "RequestTimeoutException" | "KMS.DependencyTimeoutException" => Self::TimedOut,
            "InternalError"
            | "InternalFailure"
            | "OperationAborted"
            // The bucket was made a moment ago; its name is not known everywhere yet.
            | "TemporaryRedirect"
            | "KMS.KMSInternalException"
            | "KMS.KeyUnavailableException" => Self::Failed,
            // A key that is disabled or gone belongs to the objects that it encrypted: others may have another.
            code if code.starts_with("KMS.") => Self::Denied,
            "NotImplemented" => Self::Refused,
            _ => return None,
        })
    }

    /// By the status, if there is no code (the reply to a `HEAD` has no body) or none that is known.
    fn of_status(status: u16) -> Self {
        match status {
            300..=399 | 421 => Self::Redirect,
            401 | 407 => Self::UnknownKey,
            402 => Self::Account,
            403 => Self::Denied,
            404 | 410 => Self::Gone,
            408 | 504 => Self::TimedOut,
            429 | 503 => Self::Busy,
            // It will not be implemented tomorrow either.
            501 => Self::Refused,
            500.. => Self::Failed,
            _ => Self::Refused,
        }
    }

    /// `AccessDenied` is about one object, except if its message says that nothing at all can be read with these
    /// credentials.
    fn of_denial(message: &str) -> Self {
        let message = message.to_lowercase();
        let says = |words: &str| message.contains(words);
        // It names the user and the object, in whose names any of the words below may be.
        if says("not authorized to perform") {
            return Self::Denied;
        }
        let request = says("request");
        if says("not valid yet") || says("not yet valid") || says("has expired") && request && !says("token") {
            return Self::Clock;
        }
        if ["has expired", "is expired", "expired token", "token expired", "credentials expired"].into_iter().any(says)
        {
            return Self::Expired;
        }
        let unknown = ["does not exist", "is unknown", "unknown ", "not found", "is invalid", "invalid "];
        let of_key = ["access key", "access token", "security token", "credential"];
        if of_key.into_iter().any(says) && unknown.into_iter().any(says) {
            return Self::UnknownKey;
        }
        let closed = ["disabled", "suspended", "blocked", "locked", "closed", "inactive", "overdue", "not active"];
        let no_account = says("account") && (unknown.into_iter().any(says) || closed.into_iter().any(says));
        if no_account || says("cap exceeded") || says("payment") {
            return Self::Account;
        }
        Self::Denied
    }

    /// A header that is malformed because of the region, as most services mean it, or because of the key.
    fn of_malformed_header(message: &str) -> Self {
        let message = message.to_lowercase();
        if message.contains("access key") || message.contains("akid") { Self::UnknownKey } else { Self::Region }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_the_objects_own_unless_it_speaks_of_the_credentials() {
        for message in [
            "",
            "Access Denied",
            "User: arn:aws:iam::1:user/expired is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::b/has expired.jpg",
            "The ciphertext refers to a customer master key that you may not use",
        ] {
            assert_eq!(Kind::of_denial(message), Kind::Denied, "{message}");
        }
        for (message, kind) in [
            ("The security token included in the request has expired", Kind::Expired),
            ("The provided token is expired", Kind::Expired),
            ("Request has expired", Kind::Clock),
            ("Request is not valid yet", Kind::Clock),
            ("The access key does not exist", Kind::UnknownKey),
            ("The security token included in the request is invalid", Kind::UnknownKey),
            ("Unknown account", Kind::Account),
            ("Your account is suspended", Kind::Account),
            ("Cannot download file, transaction (Class B) cap exceeded.", Kind::Account),
        ] {
            assert_eq!(Kind::of_denial(message), kind, "{message}");
        }
    }

    #[test]
    fn a_status_decides_if_there_is_no_code() {
        for (status, kind) in [
            (301, Kind::Redirect),
            (307, Kind::Redirect),
            (401, Kind::UnknownKey),
            (403, Kind::Denied),
            (404, Kind::Gone),
            (429, Kind::Busy),
            (500, Kind::Failed),
            (501, Kind::Refused),
            (503, Kind::Busy),
        ] {
            assert_eq!(Kind::read(status, None, None), kind, "{status}");
        }
        assert_eq!(Kind::read(404, Some("SomethingElse"), None), Kind::Refused);
        assert_eq!(Kind::read(403, Some("SomethingElse"), None), Kind::Denied);
        assert_eq!(Kind::read(400, Some("KMS.DisabledException"), None), Kind::Denied);
    }
}
