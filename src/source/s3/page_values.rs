//! Rewrites values of a listing so that the SDK can read them. For the SDK, one time in another notation makes the
//! whole page unreadable. Here it is rewritten or, if it cannot be parsed, removed.

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use bytes::{Bytes, BytesMut};
use memchr::memmem;

type Rewrite = fn(&str) -> Option<String>;

/// The elements, and the function that rewrites the value of each.
const VALUES: [(&str, Rewrite); 5] = [
    ("LastModified", time),
    ("Size", whole_number),
    ("IsTruncated", boolean),
    ("KeyCount", whole_number),
    ("MaxKeys", whole_number),
];

/// Returns the page with readable values. If a value cannot be parsed, its element is removed.
pub(super) fn repair(page: Bytes) -> Bytes {
    let page = VALUES.iter().fold(page, |page, (name, rewrite)| repair_element(page, name, *rewrite));
    show_contradicting_marker(page)
}

/// Renames the marker of ListObjects (version 1) in a page that claims to be the last one, so that the page is refused
/// like one with a token: the SDK ignores this element.
fn show_contradicting_marker(page: Bytes) -> Bytes {
    let position = |text: &str| memmem::find(&page, text.as_bytes());
    let is_last = position("<IsTruncated>false</IsTruncated>").is_some();
    let has_token = position("<NextContinuationToken>").is_some();
    let (Some(start), Some(end)) = (position("<NextMarker>"), position("</NextMarker>")) else { return page };
    let value = page.get(start + "<NextMarker>".len()..end).unwrap_or_default();
    if !is_last || has_token || value.trim_ascii().is_empty() {
        return page;
    }
    let after = &page[end + "</NextMarker>".len()..];
    [&page[..start], b"<NextContinuationToken>", value, b"</NextContinuationToken>", after].concat().into()
}

fn repair_element(page: Bytes, name: &str, rewrite: Rewrite) -> Bytes {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut out = BytesMut::new();
    let mut copied = 0;
    for start in memmem::find_iter(&page, open.as_bytes()) {
        let value_start = start + open.len();
        let Some(length) = memmem::find(&page[value_start..], close.as_bytes()) else { break };
        let value_end = value_start + length;
        let Ok(value) = std::str::from_utf8(&page[value_start..value_end]) else { continue };
        let rewritten = rewrite(value.trim());
        if rewritten.as_deref() == Some(value) {
            continue;
        }
        out.extend_from_slice(&page[copied..start]);
        if let Some(rewritten) = rewritten {
            out.extend_from_slice(format!("{open}{rewritten}{close}").as_bytes());
        }
        copied = value_end + close.len();
    }
    if copied == 0 {
        return page;
    }
    out.extend_from_slice(&page[copied..]);
    out.freeze()
}

/// Keeps a time that the SDK can read. Rewrites other notations of S3-like services: the one of HTTP headers, seconds
/// since 1970, and a date and time with a space between them or without a time zone, which then is UTC.
fn time(value: &str) -> Option<String> {
    let parse = |value: &str, format| DateTime::from_str(value, format).ok();
    if parse(value, DateTimeFormat::DateTimeWithOffset).is_some() {
        return Some(value.to_owned());
    }
    let mut spaced = value.replacen(' ', "T", 1);
    let zone = spaced.find('T').and_then(|at| spaced[at..].rfind(['+', '-']).map(|zone| at + zone));
    match zone {
        // `+0000`
        Some(at) if spaced.len() == at + 5 && spaced.is_char_boundary(at + 3) => spaced.insert(at + 3, ':'),
        Some(_) => {}
        None if spaced.ends_with('Z') => {}
        None => spaced.push('Z'),
    }
    let time = parse(&spaced, DateTimeFormat::DateTimeWithOffset)
        .or_else(|| parse(value, DateTimeFormat::HttpDate))
        .or_else(|| parse(value, DateTimeFormat::EpochSeconds))?;
    time.fmt(DateTimeFormat::DateTime).ok()
}

fn whole_number(value: &str) -> Option<String> {
    let whole = value.split_once('.').map_or(value, |(whole, _)| whole);
    whole.parse::<i64>().ok().map(|number| number.to_string())
}

fn boolean(value: &str) -> Option<String> {
    let value = value.to_ascii_lowercase();
    matches!(value.as_str(), "true" | "false").then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_the_sdk_can_read_are_not_changed() {
        let page = Bytes::from_static(
            b"<IsTruncated>false</IsTruncated><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>7</Size>",
        );
        assert_eq!(repair(page.clone()), page);
    }

    #[test]
    fn times_in_other_notations_are_rewritten() {
        for value in [
            "2026-01-02 03:04:05",
            "2026-01-02T03:04:05",
            "2026-01-02T03:04:05+0000",
            "2026-01-02 04:04:05+01:00",
            "Fri, 02 Jan 2026 03:04:05 GMT",
            "1767323045",
            " 2026-01-02T03:04:05Z ",
        ] {
            let page = repair(format!("<a><LastModified>{value}</LastModified></a>").into());
            let text = std::str::from_utf8(&page).unwrap();
            let inner =
                text.strip_prefix("<a><LastModified>").and_then(|text| text.strip_suffix("</LastModified></a>"));
            let moment = DateTime::from_str(inner.unwrap(), DateTimeFormat::DateTimeWithOffset).unwrap();
            assert_eq!(moment.secs(), 1_767_323_045, "{value}: {text}");
        }
    }

    #[test]
    fn values_that_cannot_be_parsed_are_removed() {
        let page = "<a><LastModified>soon</LastModified><Size></Size><KeyCount>many</KeyCount><Key>k</Key>\
                    <Size>1.0</Size><IsTruncated> TRUE </IsTruncated></a>";
        let repaired = repair(Bytes::from_static(page.as_bytes()));
        assert_eq!(repaired, "<a><Key>k</Key><Size>1</Size><IsTruncated>true</IsTruncated></a>");
    }

    #[test]
    fn a_marker_of_a_last_page_becomes_a_token() {
        let page = |last: &str, marker: &str| format!("<a><IsTruncated>{last}</IsTruncated>{marker}</a>");
        let contradiction = page("false", "<NextMarker>k</NextMarker>");
        let expected = page("false", "<NextContinuationToken>k</NextContinuationToken>");
        assert_eq!(repair(contradiction.into()), expected);
        for (last, marker) in
            [("true", "<NextMarker>k</NextMarker>"), ("false", "<NextMarker></NextMarker>"), ("false", "")]
        {
            let page = page(last, marker);
            assert_eq!(repair(page.clone().into()), page);
        }
    }
}
