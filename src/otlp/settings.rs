//! The settings of traces, under the names of OpenTelemetry.

use std::fmt;
use std::str::FromStr;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::domain::Endpoint;
use crate::http::is_this_machine;

/// The settings of traces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OtlpSettings {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: the base address of the collector; empty (default): nothing is traced.
    pub otel_exporter_otlp_endpoint: Option<Endpoint>,
    /// `OTEL_EXPORTER_OTLP_HEADERS`: headers of each message; empty by default.
    pub otel_exporter_otlp_headers: OtlpHeaders,
    /// `OTEL_EXPORTER_OTLP_PROTOCOL`: `http/protobuf`, the only one.
    pub otel_exporter_otlp_protocol: OtlpProtocol,
    /// `OTEL_SERVICE_NAME`: the name of the service in its traces.
    pub otel_service_name: String,
    /// `OTEL_TRACES_SAMPLER_ARG`: the share of requests and jobs that are traced; 1 by default.
    pub otel_traces_sampler_arg: Share,
    /// `GLIMPSE_TRACE_IMAGES`: the share of the images of jobs that are traced; 0.01 by default.
    pub glimpse_trace_images: Share,
}

impl Eq for OtlpSettings {}

impl Default for OtlpSettings {
    fn default() -> Self {
        Self {
            otel_exporter_otlp_endpoint: None,
            otel_exporter_otlp_headers: OtlpHeaders::default(),
            otel_exporter_otlp_protocol: OtlpProtocol::HttpProtobuf,
            otel_service_name: "glimpse".to_owned(),
            otel_traces_sampler_arg: Share(1.0),
            glimpse_trace_images: Share(0.01),
        }
    }
}

/// Where spans are sent.
#[derive(Clone, Copy, Debug)]
pub struct Collector<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) headers: &'a OtlpHeaders,
}

impl OtlpSettings {
    /// Returns the collector, if there is one.
    pub fn collector(&self) -> Option<Collector<'_>> {
        let endpoint = self.otel_exporter_otlp_endpoint.as_ref()?;
        Some(Collector { endpoint, headers: &self.otel_exporter_otlp_headers })
    }

    /// Checks the address of the collector.
    ///
    /// # Errors
    /// A message that names the setting and its value.
    pub fn validate(&self) -> Result<(), String> {
        match &self.otel_exporter_otlp_endpoint {
            Some(endpoint) if endpoint.url().path().trim_end_matches('/').ends_with("/v1/traces") => Err(format!(
                "OTEL_EXPORTER_OTLP_ENDPOINT is {endpoint}; it must be the address without /v1/traces, which is added to it"
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Returns warnings about headers that others can read.
    pub fn cautions(&self) -> Vec<String> {
        let Some(collector) = self.collector() else { return Vec::new() };
        let url = collector.endpoint.url();
        let is_open = url.scheme() == "http" && !is_this_machine(url) && !collector.headers.is_empty();
        let unencrypted = format!(
            "OTEL_EXPORTER_OTLP_ENDPOINT is {}: OTEL_EXPORTER_OTLP_HEADERS are sent unencrypted to another machine; use https://",
            collector.endpoint
        );
        is_open.then_some(unencrypted).into_iter().collect()
    }

    /// Returns the settings that have no effect, with the reason. Only Glimpse's own: the others are often set for every program
    /// of a machine.
    pub fn unused(&self) -> Vec<(&'static str, String)> {
        match self.otel_exporter_otlp_endpoint {
            None => vec![("GLIMPSE_TRACE_IMAGES", "OTEL_EXPORTER_OTLP_ENDPOINT is not set".to_owned())],
            Some(_) => Vec::new(),
        }
    }
}

/// How spans are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub enum OtlpProtocol {
    /// Protobuf over HTTP.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

impl TryFrom<String> for OtlpProtocol {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        match name.as_str() {
            "http/protobuf" => Ok(Self::HttpProtobuf),
            _ => Err("it must be `http/protobuf`, which collectors usually receive at port 4318"),
        }
    }
}

/// A share of something, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share(f64);

impl Share {
    /// Returns the number.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl TryFrom<String> for Share {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let share = text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
        share.map(Self).ok_or("it must be a number from 0 to 1, such as 0.1")
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.0.to_string()
    }
}

/// The headers of messages to a collector. They often have a key, so they are never shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OtlpHeaders(Vec<(HeaderName, HeaderValue)>);

/// Headers that the message itself has.
const OF_THE_MESSAGE: [HeaderName; 5] = [
    reqwest::header::CONNECTION,
    reqwest::header::CONTENT_LENGTH,
    reqwest::header::CONTENT_TYPE,
    reqwest::header::HOST,
    reqwest::header::TRANSFER_ENCODING,
];

/// Minimum length of what is a secret in the value of a header.
const MIN_SECRET_CHARS: usize = 4;

impl OtlpHeaders {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the values, and each word of them: texts that must not be in a log. Shorter ones than four characters, such
    /// as the number of a tenant, are not secrets, and are parts of other words.
    pub(super) fn secrets(&self) -> Vec<String> {
        let values = self.0.iter().map(|(_, value)| String::from_utf8_lossy(value.as_bytes()));
        let mut secrets: Vec<String> = values
            .flat_map(|value| {
                let words: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
                words.into_iter().chain([value.into_owned()])
            })
            .filter(|text| text.chars().count() >= MIN_SECRET_CHARS)
            .collect();
        // The longest first: it can contain another one.
        secrets.sort_by_key(|text| std::cmp::Reverse(text.len()));
        secrets
    }

    /// Returns the headers for a request.
    pub(super) fn to_map(&self) -> HeaderMap {
        self.0.iter().cloned().collect()
    }
}

impl FromStr for OtlpHeaders {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let invalid = "it must be comma-separated headers NAME=VALUE, such as api-key=KEY (not host, connection or those of the content), with percent-encoding for other characters in values";
        let header = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            let mut value = HeaderValue::from_bytes(&percent_decoded(value.trim())?).ok()?;
            value.set_sensitive(true);
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            (!OF_THE_MESSAGE.contains(&name)).then_some((name, value))
        };
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        pairs.map(header).collect::<Option<_>>().map(Self).ok_or(invalid)
    }
}

/// Decodes `%20` and the like; `None` if a `%` is not followed by two digits.
fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    Some(decoded)
}

impl fmt::Debug for OtlpHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "(none)" } else { "(redacted)" })
    }
}

impl TryFrom<String> for OtlpHeaders {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

impl From<OtlpHeaders> for String {
    fn from(headers: OtlpHeaders) -> Self {
        if headers.is_empty() { String::new() } else { "(redacted)".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_decoded_and_never_shown() {
        let headers: OtlpHeaders = "api-key=hush%20one, X-Tenant = a=b ,".parse().unwrap();
        let map = headers.to_map();
        assert!(map["api-key"] == "hush one" && map["x-tenant"] == "a=b" && map.len() == 2, "{map:?}");
        assert!(!format!("{headers:?}{map:?}{}", String::from(headers.clone())).contains("hush"));
        assert_eq!(String::from(OtlpHeaders::default()), "");
        for wrong in ["hush", "content-length=hush", "Host=hush", "a b=hush", "a=hush%2", "a=hush%zz", "a=hush%0a"] {
            let message = wrong.parse::<OtlpHeaders>().unwrap_err();
            assert!(message.contains("NAME=VALUE") && !message.contains("hush"), "{wrong}");
        }
    }

    #[test]
    fn a_share_is_a_number_from_0_to_1() {
        let share = |text: &str| Share::try_from(text.to_owned()).map(Share::value);
        assert_eq!((share("0"), share(" 0.25 "), share("1.0")), (Ok(0.0), Ok(0.25), Ok(1.0)));
        for wrong in ["", "-0.1", "1.01", "10%", "NaN"] {
            assert!(share(wrong).unwrap_err().contains("from 0 to 1"), "{wrong}");
        }
    }

    #[test]
    fn the_path_of_traces_is_not_a_part_of_the_endpoint() {
        let settings = |endpoint: &str| OtlpSettings {
            otel_exporter_otlp_endpoint: Some(endpoint.parse().unwrap()),
            ..OtlpSettings::default()
        };
        settings("http://collector:4318/otlp").validate().unwrap();
        let error = settings("http://collector:4318/v1/traces").validate().unwrap_err();
        assert!(
            error.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT is ") && error.contains("without /v1/traces"),
            "{error}"
        );
    }

    #[test]
    fn headers_that_others_can_read_cause_a_warning() {
        let settings = |endpoint: &str, headers: &str| OtlpSettings {
            otel_exporter_otlp_endpoint: Some(endpoint.parse().unwrap()),
            otel_exporter_otlp_headers: headers.parse().unwrap(),
            ..OtlpSettings::default()
        };
        assert_eq!(settings("http://127.0.0.1:4318", "a=hush").cautions(), [""; 0]);
        assert_eq!(settings("https://collector:4318", "a=hush").cautions(), [""; 0]);
        assert_eq!(settings("http://collector:4318", "").cautions(), [""; 0]);
        let caution = settings("http://collector:4318", "a=hush").cautions().concat();
        assert!(
            caution.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT is http://collector:4318: ") && !caution.contains("hush")
        );
    }
}
