//! The meaning of the error codes and statuses of S3 services. Only this module decides who is responsible for a reply.

/// The meaning of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    // The operator is responsible.
    /// The credentials have expired.
    Expired,
    /// The credentials are unknown or missing.
    UnknownKey,
    /// The secret is wrong, or a proxy changed the request.
    Signature,
    /// The clocks differ.
    Clock,
    /// The bucket is in another region.
    Region,
    /// The endpoint redirects to another address.
    Redirect,
    /// A proxy in front of the service asks for a sign-in.
    Proxy,
    /// The account cannot be used.
    Account,
    /// The bucket does not exist.
    NoBucket,
    // The object is responsible.
    /// The object does not exist.
    Gone,
    /// Reading the object is not allowed.
    Denied,
    /// The object is in an archive.
    Archived,
    /// The request is refused for another reason.
    Refused,
    // The service is responsible.
    /// Too many requests.
    Busy,
    /// The disk of the service is full.
    Full,
    /// The service did not answer in time.
    TimedOut,
    /// The service failed.
    Failed,
}

impl Kind {
    /// Reads the code and, if it is not sufficient, the message or the status.
    pub(super) fn from_reply(status: u16, code: Option<&str>, message: Option<&str>) -> Self {
        match code {
            Some("AccessDenied" | "AccessForbidden" | "Forbidden") => Self::from_denial(message.unwrap_or_default()),
            // For example, the service requires another version of the signature.
            Some("InvalidRequest")
                if message.is_some_and(|message| message.to_lowercase().contains("authorization")) =>
            {
                Self::Signature
            }
            Some("AuthorizationHeaderMalformed") => Self::from_malformed_header(message.unwrap_or_default()),
            Some(code) => Self::from_code(code).or_else(|| Self::from_words(code)).unwrap_or_else(|| match status {
                // Something does not exist, but an unknown code does not mean that it is the object.
                404 | 410 => Self::Refused,
                status => Self::from_status(status),
            }),
            None => Self::from_status(status),
        }
    }

    /// Returns the meaning of a code; `None` if the code is unknown.
    #[expect(clippy::too_many_lines, reason = "a table of codes")]
    fn from_code(code: &str) -> Option<Self> {
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
            // Of MinIO, and of the embedded server.
            "XMinioStorageFull" | "InsufficientStorage" => Self::Full,
            "RequestTimeout" | "RequestTimeoutException" | "KMS.DependencyTimeoutException" => Self::TimedOut,
            "InternalError"
            | "InternalFailure"
            | "OperationAborted"
            // The bucket is new, and its name is not known in all regions yet.
            | "TemporaryRedirect"
            | "KMS.KMSInternalException"
            | "KMS.KeyUnavailableException" => Self::Failed,
            // A disabled or deleted key concerns only the objects that it encrypted; others can have another key.
            code if code.starts_with("KMS.") => Self::Denied,
            "NotImplemented" => Self::Refused,
            _ => return None,
        })
    }

    /// Returns the meaning of the words in an unknown code: services and gateways write their own codes.
    fn from_words(code: &str) -> Option<Self> {
        let code = code.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| code.contains(word));
        Some(if says(&["kms", "encryption"]) {
            // The key that encrypts the object, and not the key of the requests.
            return None;
        } else if says(&["skew", "requestexpired", "signatureexpired", "expiredrequest", "expiredsignature"]) {
            Self::Clock
        } else if says(&["expired"]) && says(&["token", "session", "credential", "key", "certificate", "login"]) {
            Self::Expired
        } else if says(&["accesskey", "secretkey", "credential", "securitytoken", "sessiontoken", "apikey"]) {
            Self::UnknownKey
        } else if says(&["signature"]) {
            Self::Signature
        } else if says(&["account", "user", "tenant", "subscription"])
            && says(&[
                "disable",
                "suspend",
                "block",
                "lock",
                "inactive",
                "closed",
                "notactive",
                "expired",
                "deactivated",
            ])
        {
            Self::Account
        } else if says(&["slowdown", "throttl", "toomanyrequests", "ratelimit", "ratequota"]) {
            Self::Busy
        } else if says(&["internalerror", "internalserver", "serviceunavailable", "backenddown"]) {
            Self::Failed
        } else {
            return None;
        })
    }

    /// Returns the meaning of a status, for a reply without a known code.
    fn from_status(status: u16) -> Self {
        match status {
            300..=303 | 305..=399 | 421 => Self::Redirect,
            401 => Self::UnknownKey,
            407 => Self::Proxy,
            402 => Self::Account,
            403 => Self::Denied,
            404 | 410 => Self::Gone,
            408 | 504 => Self::TimedOut,
            429 | 503 => Self::Busy,
            507 => Self::Full,
            500 | 502.. => Self::Failed,
            // 304 is not an answer to a request without a condition. After 501, a retry does not help.
            _ => Self::Refused,
        }
    }

    /// Returns the meaning of `AccessDenied`: it concerns one object, unless its message says that nothing can be read
    /// with these credentials.
    fn from_denial(message: &str) -> Self {
        let message = message.to_lowercase();
        let says = |text: &str| message.contains(text);
        // This message contains the names of the user and of the object, which can contain any of the texts below.
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

    /// Returns the meaning of a malformed header: most services mean the region, some the access key.
    fn from_malformed_header(message: &str) -> Self {
        let message = message.to_lowercase();
        if message.contains("access key") || message.contains("akid") { Self::UnknownKey } else { Self::Region }
    }
}

#[cfg(test)]
#[path = "codes_tests.rs"]
mod tests;
