//! Reads facts from an unexpected reply. Its text comes from outside, so every value is bounded and in one line.

use aws_sdk_s3::config::http::HttpResponse;

/// Maximum number of characters of one value.
const MAX_VALUE_CHARS: usize = 200;
/// Maximum number of bytes of a body that are read.
pub(super) const MAX_BODY_BYTES: usize = 16 * 1024;

/// The facts of a reply.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplyFacts {
    pub(super) status: u16,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    /// The `Date` header.
    pub(super) date: Option<String>,
    /// The `Location` header.
    pub(super) location: Option<String>,
    /// `x-amz-bucket-region`
    pub(super) region: Option<String>,
    /// The beginning of the body.
    pub(super) body: String,
}

impl ReplyFacts {
    /// Reads a reply. `code` and `message` are those that the SDK found.
    pub(super) fn read(response: &HttpResponse, code: Option<&str>, message: Option<&str>) -> Self {
        let header = |name: &str| response.headers().get(name).map(line);
        let body = response.body().bytes().unwrap_or_default();
        let body = String::from_utf8_lossy(&body[..body.len().min(MAX_BODY_BYTES)]).into_owned();
        Self {
            status: response.status().as_u16(),
            code: code.map(line).or_else(|| element(&body, "Code")),
            message: message.map(line).or_else(|| element(&body, "Message")),
            date: header("date"),
            location: header("location"),
            region: header("x-amz-bucket-region"),
            body,
        }
    }

    /// Reads a body with a success status. Returns `None` if it is not an error of S3: some services answer with an
    /// error although the status has been sent before.
    pub(super) fn from_error_document(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_BODY_BYTES {
            return None;
        }
        let body = std::str::from_utf8(bytes).ok()?.trim_start_matches('\u{feff}').trim();
        let is_error = body.starts_with('<') && root(body).as_deref() == Some("Error");
        let code = element(body, "Code").filter(|_| is_error)?;
        let message = element(body, "Message");
        Some(Self { status: 200, code: Some(code), message, body: body.to_owned(), ..Self::default() })
    }

    /// Returns code and status as a short text.
    pub(super) fn answer(&self) -> String {
        match (&self.code, self.status) {
            (Some(code), status) => format!("{code}, {status}"),
            (None, 0) => "no reply".to_owned(),
            (None, status) => format!("{status} without a code"),
        }
    }

    /// Returns the message of the service, for the log.
    pub(super) fn detail(&self) -> String {
        let code = self.code.as_deref().unwrap_or("no code");
        let message = self.message.as_deref().unwrap_or("no message");
        format!("{code} ({}): {message}", self.status)
    }

    /// Returns the value of an element of the body.
    pub(super) fn element(&self, name: &str) -> Option<String> {
        element(&self.body, name)
    }

    /// Returns the region that the service expects, if any part of the reply contains it.
    pub(super) fn expected_region(&self) -> Option<String> {
        let message = self.message.as_deref().unwrap_or_default();
        let quoted = message.split_once("expecting ").map(|(_, rest)| rest.trim_start_matches(['\'', '"', '`']));
        let constraint =
            message.split_once(" location constraint").and_then(|(before, _)| before.split(' ').next_back());
        let endpoint = self.element("Endpoint");
        let in_endpoint = endpoint.as_deref().and_then(|endpoint| {
            let (_, rest) = endpoint.split_once("s3.").or_else(|| endpoint.split_once("s3-"))?;
            rest.split_once(".amazonaws").map(|(region, _)| region)
        });
        [self.element("Region").as_deref(), self.region.as_deref(), quoted, constraint, in_endpoint]
            .into_iter()
            .flatten()
            .find_map(region)
    }

    /// Describes the reply that came instead of a listing.
    pub(super) fn describe(&self) -> String {
        let text = self.body.trim_start_matches('\u{feff}').trim();
        let head = text.get(..text.floor_char_boundary(1024)).unwrap_or_default().to_lowercase();
        if text.is_empty() {
            return "an empty body".to_owned();
        }
        if head.contains("<html") || head.contains("<!doctype html") {
            return "an HTML page".to_owned();
        }
        if text.starts_with('{') || text.starts_with('[') {
            return "JSON".to_owned();
        }
        match root(text).as_deref() {
            Some("ListAllMyBucketsResult") => "a list of buckets (ListAllMyBucketsResult)".to_owned(),
            Some("ListBucketResult") => "a listing that is not well-formed XML (ListBucketResult)".to_owned(),
            Some(root) => format!("XML of another kind ({root})"),
            None => "text that is not XML".to_owned(),
        }
    }

    /// Whether the reply is a listing that cannot be read.
    pub(super) fn is_listing(&self) -> bool {
        root(self.body.trim_start_matches('\u{feff}').trim()).as_deref() == Some("ListBucketResult")
    }
}

/// Returns the name of the outermost element.
fn root(text: &str) -> Option<String> {
    let mut rest = text;
    loop {
        rest = rest.split_once('<')?.1;
        if let Some(inner) = rest.strip_prefix('?') {
            rest = inner.split_once("?>")?.1;
        } else if let Some(inner) = rest.strip_prefix("!--") {
            rest = inner.split_once("-->")?.1;
        } else if rest.starts_with('!') {
            rest = rest.split_once('>')?.1;
        } else {
            break;
        }
    }
    let name: String = rest.chars().take_while(|letter| letter.is_alphanumeric() || "_-.:".contains(*letter)).collect();
    Some(line(&name)).filter(|name| !name.is_empty())
}

fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once('<').map(|(value, _)| line(value.trim())).filter(|value| !value.is_empty())
}

/// Returns the region at the beginning of a text.
fn region(text: &str) -> Option<String> {
    let region: String =
        text.chars().take_while(|letter| letter.is_ascii_alphanumeric() || "-_".contains(*letter)).take(40).collect();
    Some(region).filter(|region| !region.is_empty())
}

/// Returns a text from outside as one short line.
pub(super) fn line(text: &str) -> String {
    text.chars().take(MAX_VALUE_CHARS).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply_with(message: &str, body: &str) -> ReplyFacts {
        ReplyFacts { message: Some(message.to_owned()), body: body.to_owned(), ..ReplyFacts::default() }
    }

    #[test]
    fn the_expected_region_is_found_in_every_part_of_a_reply() {
        let endpoint = "<Error><Endpoint>photos.s3.eu-central-1.amazonaws.com</Endpoint></Error>";
        let dashed = "<Error><Endpoint>photos.s3-eu-central-1.amazonaws.com</Endpoint></Error>";
        for facts in [
            reply_with("", "<Error><Region>eu-central-1</Region></Error>"),
            reply_with("the region 'us-east-1' is wrong; expecting 'eu-central-1'", ""),
            reply_with("The eu-central-1 location constraint is incompatible for the endpoint", ""),
            reply_with("", endpoint),
            reply_with("", dashed),
            ReplyFacts { region: Some("eu-central-1".to_owned()), ..ReplyFacts::default() },
        ] {
            assert_eq!(facts.expected_region().as_deref(), Some("eu-central-1"), "{facts:?}");
        }
        assert_eq!(reply_with("Access Denied", "").expected_region(), None);
    }

    #[test]
    fn only_an_error_with_a_code_is_an_error_document() {
        let read = |body: &str| ReplyFacts::from_error_document(body.as_bytes()).and_then(|facts| facts.code);
        let code = Some("InternalError".to_owned());
        assert_eq!(read("<?xml version='1.0'?>\n<Error><Code>InternalError</Code></Error>"), code);
        assert_eq!(read("<Error xmlns='x'><Message/><Code> InternalError </Code></Error>"), code);
        for other in
            ["", "<Error/>", "<svg><Error><Code>x</Code></Error></svg>", "Error", "<Error><Code></Code></Error>"]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn an_unexpected_reply_is_described() {
        for (body, description) in [
            ("", "an empty body"),
            ("<!DOCTYPE html><html></html>", "an HTML page"),
            ("{\"buckets\": []}", "JSON"),
            ("<?xml version='1.0'?><!-- x --><ListAllMyBucketsResult/>", "a list of buckets (ListAllMyBucketsResult)"),
            ("<ListBucketResult><Contents>", "a listing that is not well-formed XML (ListBucketResult)"),
            ("<feed xmlns='x'/>", "XML of another kind (feed)"),
            ("It works!", "text that is not XML"),
        ] {
            assert_eq!(reply_with("", body).describe(), description, "{body}");
        }
    }
}
