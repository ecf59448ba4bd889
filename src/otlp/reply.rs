//! What a collector replies, as it is written into the log: a short line without secrets.

use reqwest::StatusCode;

use crate::http::shortened_line;

/// Maximum bytes that are read of a refusal, enough for its message.
pub(super) const MAX_READ_BYTES: usize = 4 * 1024;
/// Maximum characters of it in a log line.
const MAX_CHARS: usize = 200;

/// Returns the line for a refusal: the status, and the begin of the message.
pub(super) fn refusal(status: StatusCode, message: &[u8], secrets: &[String]) -> String {
    match describe(message, secrets) {
        message if message.is_empty() => status.to_string(),
        message => format!("{status}: {message}"),
    }
}

/// Returns the begin of a message: printable characters, without the secrets of our headers, which some servers repeat. `secrets`
/// begins with the longest one. They are removed first, so that no part of one is left.
pub(super) fn describe(message: &[u8], secrets: &[String]) -> String {
    let text = String::from_utf8_lossy(&message[..message.len().min(MAX_READ_BYTES)]);
    let text = secrets.iter().fold(text.into_owned(), |text, secret| text.replace(secret.as_str(), "(redacted)"));
    shortened_line(&text, MAX_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::OtlpHeaders;

    #[test]
    fn a_refusal_is_a_short_line_without_secrets() {
        let headers: OtlpHeaders =
            "authorization=Bearer%20hush-hush, x-tenant=7, api-key=open%20sesame".parse().unwrap();
        let secrets = headers.secrets();
        let describe = |text: &str| refusal(StatusCode::UNAUTHORIZED, text.as_bytes(), &secrets);
        assert_eq!(describe(""), "401 Unauthorized");
        assert_eq!(describe("\u{1b}[2Jtenant 7:\r\n\twrong\u{202e} key\0"), "401 Unauthorized: [2Jtenant 7: wrong key");
        let repeated =
            describe("{\"authorization\": \"Bearer hush-hush\", \"token\": \"hush-hush\", \"key\": \"open sesame\"}");
        assert!(
            repeated.contains("(redacted)") && !repeated.contains("hush") && !repeated.contains("sesame"),
            "{repeated}"
        );
        // A secret at the place of the cut.
        let cut = describe(&format!("{} hush-hush", "x".repeat(MAX_CHARS - 5)));
        assert!(cut.ends_with(" (red…") && !cut.contains("hush"), "{cut}");
        assert_eq!(describe(&"y ".repeat(MAX_READ_BYTES)).chars().count(), "401 Unauthorized: ".len() + MAX_CHARS + 1);
    }
}
