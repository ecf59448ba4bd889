//! Bytes that are base64 in JSON.

use std::fmt;

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that are base64 in JSON. `None` if the text is not valid base64.
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
                Ok(Base64Bytes(STANDARD.decode(text).ok().map(Bytes::from)))
            }
        }
        json.deserialize_str(Text)
    }
}
