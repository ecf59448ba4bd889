//! What an operator is told: what is wrong with the bucket's settings, and which of them to change.

use std::time::SystemTime;

use super::codes::Kind;
use super::reply::Facts;
use crate::domain::OperatorError;

/// What of the settings the sentences name.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    /// `S3_ENDPOINT`; `None` for Amazon's own.
    pub(super) endpoint: Option<String>,
    /// `S3_REGION`
    pub(super) region: String,
    /// `S3_PATH_STYLE`
    pub(super) path_style: bool,
    /// Whether `S3_ACCESS_KEY_ID` is set.
    pub(super) own_key: bool,
}

/// Seconds that clocks may differ without being worth a word.
const CLOCK_TOLERANCE: u64 = 60;

impl Setup {
    /// The sentence for a failure that is the operator's.
    pub(super) fn operator(&self, kind: Kind, bucket: &str, facts: &Facts) -> OperatorError {
        let answer = facts.answer();
        let (problem, advice) = match kind {
            Kind::Expired => (format!("the credentials have expired ({answer})"), self.set_key("valid ones")),
            Kind::UnknownKey => {
                (format!("the bucket's service does not accept the credentials ({answer})"), self.set_key("valid ones"))
            }
            Kind::Signature => (
                format!("the signature of the requests is wrong ({answer})"),
                format!(
                    "{}; if they are right, check S3_REGION (`{}`), and that a proxy before S3_ENDPOINT changes neither \
                     the Host header nor the path",
                    self.set_key("a pair that belongs together"),
                    self.region
                ),
            ),
            Kind::Clock => (
                format!("the clock of this machine and that of the bucket's service differ{} ({answer})", apart(facts)),
                "set the clock of this machine, for example by NTP".to_owned(),
            ),
            Kind::Region => self.region(bucket, facts),
            Kind::Redirect => match facts.expected_region() {
                Some(_) => self.region(bucket, facts),
                None => (
                    format!("{} redirects to another address ({answer}{})", self.at(), to(facts)),
                    "set S3_ENDPOINT to the address at which the service itself answers".to_owned(),
                ),
            },
            Kind::Account => (
                format!("the account of the credentials cannot be used ({answer})"),
                format!("check it with the provider of {}, or {}", self.at(), self.set_key("those of another")),
            ),
            Kind::NoBucket | Kind::Gone => (
                format!("there is no bucket `{bucket}` ({answer})"),
                "make it, or set S3_BUCKET and S3_ENDPOINT to one that exists".to_owned(),
            ),
            Kind::Denied | Kind::Archived => (
                format!("the credentials may not list the bucket `{bucket}` ({answer})"),
                format!("allow them s3:ListBucket, or {}", self.set_key("ones that may")),
            ),
            Kind::Refused | Kind::Busy | Kind::TimedOut | Kind::Failed => (
                format!("{} refuses to list the bucket `{bucket}` ({answer})", self.at()),
                "check S3_ENDPOINT and S3_PATH_STYLE; the service must implement ListObjectsV2".to_owned(),
            ),
        };
        OperatorError { problem, advice, detail: facts.detail() }
    }

    /// The same for a failed listing: an endpoint that has the bucket's name in it fails in many ways.
    pub(super) fn of_listing(&self, kind: Kind, bucket: &str, facts: &Facts) -> OperatorError {
        if let Some(error) = self.bucket_in_endpoint(bucket, facts) {
            return error;
        }
        if facts.code.as_deref() == Some("NoSuchKey") {
            let problem =
                format!("{} takes the listing of the bucket `{bucket}` for an object ({})", self.at(), facts.answer());
            return OperatorError { problem, advice: self.addressing(), detail: facts.detail() };
        }
        self.operator(kind, bucket, facts)
    }

    /// An endpoint that ends in the bucket's name, or begins with it as Amazon's own addresses do.
    pub(super) fn bucket_in_endpoint(&self, bucket: &str, facts: &Facts) -> Option<OperatorError> {
        let endpoint = self.endpoint.as_deref()?.trim_end_matches('/');
        let (scheme, rest) = endpoint.split_once("://")?;
        let (place, right) = if let Some(right) = rest.strip_suffix(bucket).and_then(|left| left.strip_suffix('/')) {
            ("ends in", right)
        } else if let Some(right) = rest.strip_prefix(bucket).and_then(|left| left.strip_prefix('.')) {
            ("begins with", right)
        } else {
            return None;
        };
        let right = right.trim_end_matches('/');
        Some(OperatorError {
            problem: format!("S3_ENDPOINT `{endpoint}` {place} the bucket's name ({})", facts.answer()),
            advice: format!("set S3_ENDPOINT to `{scheme}://{right}`; the bucket's name belongs into S3_BUCKET"),
            detail: facts.detail(),
        })
    }

    /// A reply with a good status that is not a listing.
    pub(super) fn not_a_listing(&self, bucket: &str, facts: &Facts) -> OperatorError {
        if let Some(error) = self.bucket_in_endpoint(bucket, facts) {
            return error;
        }
        let problem = format!(
            "{} answered the listing of the bucket `{bucket}` with {} instead of a listing ({})",
            self.at(),
            facts.describe(),
            facts.status
        );
        OperatorError { problem, advice: self.addressing(), detail: facts.detail() }
    }

    /// A listing that cannot be read to its end.
    pub(super) fn broken_listing(&self, bucket: &str, what: &str) -> OperatorError {
        OperatorError {
            problem: format!("{} {what} while the bucket `{bucket}` was listed", self.at()),
            advice:
                "this is a fault of the service behind S3_ENDPOINT, which must implement ListObjectsV2: update it, \
                     or set S3_ENDPOINT to another one"
                    .to_owned(),
            detail: String::new(),
        }
    }

    /// No pair is set and the machine has none, or what gives it none is not accepted itself.
    pub(super) fn no_credentials(detail: String) -> OperatorError {
        OperatorError {
            problem: "no usable credentials were found".to_owned(),
            advice: "set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, or renew those of the environment, profile or role"
                .to_owned(),
            detail,
        }
    }

    fn region(&self, bucket: &str, facts: &Facts) -> (String, String) {
        let (own, answer) = (&self.region, facts.answer());
        match facts.expected_region() {
            Some(expected) if expected == *own => (
                format!(
                    "the bucket `{bucket}` is in the region `{expected}`, which {} does not serve ({answer})",
                    self.at()
                ),
                format!("set S3_ENDPOINT to the endpoint of `{expected}`; S3_REGION names it already"),
            ),
            Some(expected) => (
                format!("S3_REGION is `{own}`, and the bucket's service expects `{expected}` ({answer})"),
                match &self.endpoint {
                    Some(_) => format!("set S3_REGION to `{expected}`, and S3_ENDPOINT if it names another region"),
                    None => format!("set S3_REGION to `{expected}`"),
                },
            ),
            None => (
                format!("the bucket's service expects another region than S3_REGION, which is `{own}` ({answer})"),
                "set S3_REGION to the bucket's region, and S3_ENDPOINT if it names another one".to_owned(),
            ),
        }
    }

    fn addressing(&self) -> String {
        format!(
            "set S3_PATH_STYLE to `{}`, or S3_ENDPOINT to the address of the S3 API itself (not of a console or a web site)",
            !self.path_style
        )
    }

    fn set_key(&self, what: &str) -> String {
        let ambient = if self.own_key { "" } else { " (those in use are the machine's own)" };
        format!("set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY to {what}{ambient}")
    }

    fn at(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("the service at S3_ENDPOINT `{endpoint}`"),
            None => "Amazon S3".to_owned(),
        }
    }
}

/// By how much the clocks differ, if the reply says what time it is there.
fn apart(facts: &Facts) -> String {
    let there = facts.date.as_deref().and_then(|date| httpdate::parse_http_date(date).ok());
    let Some(there) = there else { return String::new() };
    let now = SystemTime::now();
    let apart = now.duration_since(there).unwrap_or_else(|early| early.duration()).as_secs();
    if apart > CLOCK_TOLERANCE { format!(" by {apart} s") } else { String::new() }
}

fn to(facts: &Facts) -> String {
    facts.location.as_ref().map(|location| format!(" to `{location}`")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(endpoint: &str) -> Setup {
        let endpoint = Some(endpoint.to_owned());
        Setup { endpoint, region: "us-east-1".to_owned(), path_style: true, own_key: true }
    }

    #[test]
    fn an_endpoint_with_the_buckets_name_is_told_without_it() {
        let facts = Facts::default();
        for (endpoint, right) in [
            ("http://127.0.0.1:9999/photos", "`http://127.0.0.1:9999`"),
            ("http://127.0.0.1:9999/photos/", "`http://127.0.0.1:9999`"),
            ("https://gate.example/s3/photos", "`https://gate.example/s3`"),
            ("https://photos.s3.eu-central-1.amazonaws.com", "`https://s3.eu-central-1.amazonaws.com`"),
        ] {
            let error = setup(endpoint).bucket_in_endpoint("photos", &facts).unwrap();
            assert!(error.advice.contains(right), "{endpoint}: {error}");
            assert!(error.problem.contains("the bucket's name"), "{error}");
        }
        for endpoint in ["http://photos:9000", "http://127.0.0.1:9999/myphotos", "https://photography.example"] {
            assert_eq!(setup(endpoint).bucket_in_endpoint("photos", &facts), None, "{endpoint}");
        }
    }

    #[test]
    fn every_kind_has_a_sentence_that_names_a_setting_or_the_clock() {
        for kind in [
            Kind::Expired,
            Kind::UnknownKey,
            Kind::Signature,
            Kind::Region,
            Kind::Redirect,
            Kind::Account,
            Kind::NoBucket,
            Kind::Denied,
            Kind::Refused,
        ] {
            let said = setup("http://127.0.0.1:9").operator(kind, "photos", &Facts::default()).to_string();
            assert!(said.contains("S3_"), "{kind:?}: {said}");
        }
        let said = setup("http://127.0.0.1:9").operator(Kind::Clock, "photos", &Facts::default()).to_string();
        assert!(said.contains("clock"), "{said}");
    }
}
