//! Bytes that are base64 in JSON.

use std::fmt;
use std::io::{self, Read};

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use base64::read::DecoderReader;
use bytes::Bytes;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that are base64 in JSON, or a `data:` URI with base64. Line breaks are ignored. `None` if the text is not valid
/// base64.
#[derive(Clone, Debug)]
pub struct Base64Bytes(pub Option<Bytes>);

impl Serialize for Base64Bytes {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        json.collect_str(&Base64Display::new(self.0.as_deref().unwrap_or_default(), &STANDARD))
    }
}

impl<'de> Deserialize<'de> for Base64Bytes {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Base64Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            // Decoded here, so that the text is not copied first.
            fn visit_str<E>(self, text: &str) -> Result<Base64Bytes, E> {
                Ok(Base64Bytes(decode(text).map(Bytes::from)))
            }
        }
        json.deserialize_str(Text)
    }
}

/// Decodes base64, or a `data:` URI with base64; `None` if the text is neither.
pub(in crate::api) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = match text.strip_prefix("data:") {
        Some(uri) => uri.split_once(";base64,")?.1,
        None => text,
    };
    if !text.contains(['\r', '\n']) {
        return STANDARD.decode(text).ok();
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    DecoderReader::new(WithoutLineBreaks(text.as_bytes()), &STANDARD).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Reads a text without its line breaks, so that a large one is not copied.
struct WithoutLineBreaks<'t>(&'t [u8]);

impl Read for WithoutLineBreaks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let start = self.0.iter().position(|byte| !is_break(byte)).unwrap_or(self.0.len());
        let line = &self.0[start..];
        let max = line.len().min(buffer.len());
        let length = line[..max].iter().position(is_break).unwrap_or(max);
        buffer[..length].copy_from_slice(&line[..length]);
        self.0 = &line[length..];
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_uris_and_line_breaks_are_accepted() {
        let bytes: Vec<u8> = (0..=255).cycle().take(5_000).collect();
        let text = STANDARD.encode(&bytes);
        let lines = |width: usize, end: &str| {
            let lines: Vec<_> = text.as_bytes().chunks(width).map(|line| str::from_utf8(line).unwrap()).collect();
            lines.join(end) + end
        };
        for text in [text.clone(), format!("data:image/png;base64,{text}"), lines(76, "\r\n"), lines(7, "\n\n")] {
            assert!(decode(&text).is_some_and(|decoded| decoded == bytes), "{text}");
        }
        for wrong in ["%", "AAA", "AA==\nAAAA", "AA AA", "data:image/png,AAAA", "data:AAAA", "\nA"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
