//! Types of settings that several modules use. Each is parsed from the text of a variable; the error continues a sentence
//! that names the variable and its value.

use std::net::SocketAddr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A setting that cannot be used together with others or in this place. The message names the setting and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSetting(pub String);

impl From<String> for InvalidSetting {
    fn from(message: String) -> Self {
        Self(message)
    }
}

/// A number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(u64);

impl Seconds {
    /// Makes a duration of a whole number of seconds.
    pub const fn new(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Returns the value for timers.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl From<u64> for Seconds {
    fn from(seconds: u64) -> Self {
        Self(seconds)
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

/// A number of bytes, which a setting states in megabytes (of 1024 × 1024 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(u64);

impl ByteSize {
    const MEGABYTE: u64 = 1024 * 1024;

    /// Makes a size of a whole number of megabytes.
    pub const fn megabytes(number: u64) -> Self {
        Self(number.saturating_mul(Self::MEGABYTE))
    }

    /// Returns the number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl From<u64> for ByteSize {
    fn from(megabytes: u64) -> Self {
        Self::megabytes(megabytes)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0 / Self::MEGABYTE)
    }
}

/// Returns the text as it is compared with the words that a setting accepts: their case does not matter.
pub fn keyword(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}

/// Reads a number in the range from `MIN` to `MAX`, with `#[serde(deserialize_with = "within::<_, _, 1, 3600>")]`.
///
/// # Errors
/// Fails if the value is not a whole number in this range.
pub fn check_range<'de, D, T, const MIN: u64, const MAX: u64>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let wrong = || D::Error::custom(format!("it must be between {MIN} and {MAX}"));
    let number = u64::deserialize(deserializer).map_err(|_| wrong())?;
    if !(MIN..=MAX).contains(&number) {
        return Err(wrong());
    }
    T::try_from(number).map_err(|_| wrong())
}

/// Reads the address of a listener, with `#[serde(deserialize_with = "socket_addr")]`.
///
/// # Errors
/// Fails if the value is not an IP address with a port.
pub fn socket_addr<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| D::Error::custom("it must be IP:PORT, such as 127.0.0.1:8080"))
}
