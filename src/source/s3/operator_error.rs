//! The messages for the operator: what is wrong with the settings of the bucket, and which setting to change.

use std::time::SystemTime;

use super::codes::Kind;
use super::reply::ReplyFacts;
use crate::domain::OperatorError;

/// The settings that the messages name.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    /// `S3_ENDPOINT`; `None` for Amazon S3.
    pub(super) endpoint: Option<String>,
    /// `S3_REGION`
    pub(super) region: String,
    /// `S3_PATH_STYLE`
    pub(super) path_style: bool,
    /// Whether `S3_ACCESS_KEY_ID` is set.
    pub(super) has_own_credentials: bool,
}

/// Maximum difference in seconds between two clocks that the message does not mention.
const MAX_CLOCK_DIFFERENCE: u64 = 60;

impl Setup {
    /// Returns the error for a failure that the operator must fix.
    pub(super) fn operator_error(&self, kind: Kind, bucket: &str, facts: &ReplyFacts) -> OperatorError {
        let answer = facts.answer();
        let (problem, advice) = match kind {
            Kind::Expired => (format!("the credentials have expired ({answer})"), self.set_key("valid ones")),
            Kind::UnknownKey => (
                format!("the service of the bucket does not accept the credentials ({answer})"),
                self.set_key("valid ones"),
            ),
            Kind::Signature => (
                format!("the signature of the requests is wrong ({answer})"),
                format!(
                    "{}; if they are correct, check S3_REGION (`{}`), and check that a proxy in front of S3_ENDPOINT does \
                     not change the Host header or the path",
                    self.set_key("a pair that belongs together"),
                    self.region
                ),
            ),
            Kind::Clock => (
                format!(
                    "the clocks of this machine and of the service of the bucket differ{} ({answer})",
                    clock_difference(facts)
                ),
                "set the clock of this machine, for example by NTP".to_owned(),
            ),
            Kind::Region => self.region(bucket, facts),
            Kind::Redirect => match facts.expected_region() {
                Some(_) => self.region(bucket, facts),
                None => (
                    format!("{} redirects to another address ({answer}{})", self.service(), redirect_target(facts)),
                    "set S3_ENDPOINT to the address of the service itself".to_owned(),
                ),
            },
            Kind::Proxy => (
                format!("a proxy in front of {} asks for a sign-in ({answer})", self.service()),
                "set S3_ENDPOINT to an address that is reached without this proxy (NO_PROXY), or set HTTPS_PROXY with a \
                 user and a password"
                    .to_owned(),
            ),
            Kind::Account => (
                format!("the account of the credentials cannot be used ({answer})"),
                format!(
                    "check the account with the provider of {}, or {}",
                    self.service(),
                    self.set_key("those of another account")
                ),
            ),
            Kind::NoBucket | Kind::Gone => (
                format!("the bucket `{bucket}` does not exist ({answer})"),
                "create it, or set S3_BUCKET and S3_ENDPOINT to one that exists".to_owned(),
            ),
            Kind::Denied | Kind::Archived => (
                format!("the credentials do not allow listing the bucket `{bucket}` ({answer})"),
                format!("allow s3:ListBucket for them, or {}", self.set_key("a pair that allows it")),
            ),
            Kind::Refused | Kind::Busy | Kind::Full | Kind::TimedOut | Kind::Failed => (
                format!("{} refuses to list the bucket `{bucket}` ({answer})", self.service()),
                "check S3_ENDPOINT and S3_PATH_STYLE; the service must implement ListObjectsV2".to_owned(),
            ),
        };
        OperatorError { problem, advice, detail: facts.detail() }
    }

    /// Returns the error for a failed listing. An endpoint that contains the name of the bucket fails in many ways, so
    /// this is checked first.
    pub(super) fn listing_error(&self, kind: Kind, bucket: &str, facts: &ReplyFacts) -> OperatorError {
        if let Some(error) = self.bucket_in_endpoint(bucket, facts) {
            return error;
        }
        if facts.code.as_deref() == Some("NoSuchKey") {
            let problem = format!(
                "{} treats the listing of the bucket `{bucket}` as an object ({})",
                self.service(),
                facts.answer()
            );
            return OperatorError { problem, advice: self.addressing(), detail: facts.detail() };
        }
        self.operator_error(kind, bucket, facts)
    }

    /// Returns the error for event rules of a bucket that cannot be read or written. `permission` is the one that the request
    /// needs.
    pub(super) fn rules_error(&self, kind: Kind, bucket: &str, permission: &str, facts: &ReplyFacts) -> OperatorError {
        let answer = facts.answer();
        let (problem, advice) = match kind {
            Kind::Denied => (
                format!("the credentials do not allow the request for the event rules of the bucket `{bucket}` ({answer})"),
                format!("allow {permission} for them, or {}", self.set_key("a pair that allows it")),
            ),
            Kind::Refused | Kind::Gone | Kind::Archived => (
                format!("{} refuses the event rules of the bucket `{bucket}` ({answer})", self.service()),
                "check that the target exists, that it accepts events of this bucket, and that no other rule has the same events \
                 and an overlapping prefix"
                    .to_owned(),
            ),
            _ => return self.listing_error(kind, bucket, facts),
        };
        OperatorError { problem, advice, detail: facts.detail() }
    }

    /// Returns the error if the endpoint ends in the name of the bucket, or begins with it like the addresses of Amazon
    /// S3.
    pub(super) fn bucket_in_endpoint(&self, bucket: &str, facts: &ReplyFacts) -> Option<OperatorError> {
        let endpoint = self.endpoint.as_deref()?.trim_end_matches('/');
        let (scheme, rest) = endpoint.split_once("://")?;
        let (position, correct) =
            if let Some(correct) = rest.strip_suffix(bucket).and_then(|left| left.strip_suffix('/')) {
                ("ends in", correct)
            } else if let Some(correct) = rest.strip_prefix(bucket).and_then(|left| left.strip_prefix('.')) {
                ("begins with", correct)
            } else {
                return None;
            };
        let correct = correct.trim_end_matches('/');
        Some(OperatorError {
            problem: format!("S3_ENDPOINT `{endpoint}` {position} the bucket's name ({})", facts.answer()),
            advice: format!("set S3_ENDPOINT to `{scheme}://{correct}`; the name of the bucket belongs in S3_BUCKET"),
            detail: facts.detail(),
        })
    }

    /// Returns the error for a reply with a success status that is not a listing.
    pub(super) fn not_a_listing(&self, bucket: &str, facts: &ReplyFacts) -> OperatorError {
        if let Some(error) = self.bucket_in_endpoint(bucket, facts) {
            return error;
        }
        let problem = format!(
            "{} answered the request to list the bucket `{bucket}` with {} instead of a listing ({})",
            self.service(),
            facts.describe(),
            facts.status
        );
        OperatorError { problem, advice: self.addressing(), detail: facts.detail() }
    }

    /// Returns the error for a listing that cannot be trusted.
    pub(super) fn broken_listing(&self, bucket: &str, fault: &str) -> OperatorError {
        OperatorError {
            problem: format!(
                "the listing of the bucket `{bucket}` cannot be trusted: {} {}",
                self.service(),
                fault.trim_end_matches(',')
            ),
            advice:
                "this is a fault of the service, which must implement ListObjectsV2: update it, or set S3_ENDPOINT to \
                     another service"
                    .to_owned(),
            detail: String::new(),
        }
    }

    /// Returns the error if no credentials are set and the machine does not provide any.
    pub(super) fn no_credentials(detail: String) -> OperatorError {
        OperatorError {
            problem: "no usable credentials were found".to_owned(),
            advice: "set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, or renew those of the environment, profile or role"
                .to_owned(),
            detail,
        }
    }

    fn region(&self, bucket: &str, facts: &ReplyFacts) -> (String, String) {
        let (own, answer) = (&self.region, facts.answer());
        match facts.expected_region() {
            Some(expected) if expected == *own => (
                format!(
                    "the bucket `{bucket}` is in the region `{expected}`, but {} does not serve this region ({answer})",
                    self.service()
                ),
                format!("set S3_ENDPOINT to the endpoint of `{expected}`; S3_REGION is already correct"),
            ),
            Some(expected) => (
                format!("S3_REGION is `{own}`, but the service of the bucket expects `{expected}` ({answer})"),
                match &self.endpoint {
                    Some(_) => format!("set S3_REGION to `{expected}`, and S3_ENDPOINT if it names another region"),
                    None => format!("set S3_REGION to `{expected}`"),
                },
            ),
            None => (
                format!("the service of the bucket expects another region than S3_REGION, which is `{own}` ({answer})"),
                "set S3_REGION to the region of the bucket, and S3_ENDPOINT if it names another region".to_owned(),
            ),
        }
    }

    fn addressing(&self) -> String {
        format!(
            "set S3_PATH_STYLE to `{}`, or S3_ENDPOINT to the address of the S3 API (not of a web console)",
            !self.path_style
        )
    }

    fn set_key(&self, what: &str) -> String {
        let ambient = if self.has_own_credentials {
            ""
        } else {
            " (the current ones come from the environment, the profile or the role of this machine)"
        };
        format!("set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY to {what}{ambient}")
    }

    fn service(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("the service at S3_ENDPOINT `{endpoint}`"),
            None => "Amazon S3".to_owned(),
        }
    }
}

/// Returns by how much the clocks differ, if the reply has a `Date` header.
fn clock_difference(facts: &ReplyFacts) -> String {
    let server_time = facts.date.as_deref().and_then(|date| httpdate::parse_http_date(date).ok());
    let Some(server_time) = server_time else { return String::new() };
    let now = SystemTime::now();
    let seconds = now.duration_since(server_time).unwrap_or_else(|early| early.duration()).as_secs();
    if seconds > MAX_CLOCK_DIFFERENCE { format!(" by {seconds} s") } else { String::new() }
}

fn redirect_target(facts: &ReplyFacts) -> String {
    facts.location.as_ref().map(|location| format!(" to `{location}`")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(endpoint: &str) -> Setup {
        let endpoint = Some(endpoint.to_owned());
        Setup { endpoint, region: "us-east-1".to_owned(), path_style: true, has_own_credentials: true }
    }

    #[test]
    fn the_error_for_an_endpoint_with_the_name_of_the_bucket_shows_the_correct_endpoint() {
        let facts = ReplyFacts::default();
        for (endpoint, correct) in [
            ("http://127.0.0.1:9999/photos", "`http://127.0.0.1:9999`"),
            ("http://127.0.0.1:9999/photos/", "`http://127.0.0.1:9999`"),
            ("https://gate.example/s3/photos", "`https://gate.example/s3`"),
            ("https://photos.s3.eu-central-1.amazonaws.com", "`https://s3.eu-central-1.amazonaws.com`"),
        ] {
            let error = setup(endpoint).bucket_in_endpoint("photos", &facts).unwrap();
            assert!(error.advice.contains(correct), "{endpoint}: {error}");
            assert!(error.problem.contains("the bucket's name"), "{error}");
        }
        for endpoint in ["http://photos:9000", "http://127.0.0.1:9999/myphotos", "https://photography.example"] {
            assert_eq!(setup(endpoint).bucket_in_endpoint("photos", &facts), None, "{endpoint}");
        }
    }

    #[test]
    fn every_message_names_a_setting_or_the_clock() {
        for kind in [
            Kind::Expired,
            Kind::UnknownKey,
            Kind::Signature,
            Kind::Region,
            Kind::Redirect,
            Kind::Proxy,
            Kind::Account,
            Kind::NoBucket,
            Kind::Denied,
            Kind::Refused,
        ] {
            let message =
                setup("http://127.0.0.1:9").operator_error(kind, "photos", &ReplyFacts::default()).to_string();
            assert!(message.contains("S3_"), "{kind:?}: {message}");
        }
        let message =
            setup("http://127.0.0.1:9").operator_error(Kind::Clock, "photos", &ReplyFacts::default()).to_string();
        assert!(message.contains("clock"), "{message}");
    }
}
