//! How much space the disk of the data folder must have.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::setting::keyword;

/// The settings of the disk watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiskSettings {
    /// `GLIMPSE_DISK_MIN_FREE`: the free space of the disk with the data folder below which jobs, mirrors and uploads wait:
    /// `auto` (default: 2 % of the disk, at most 1 GB), a size such as `500 MB`, a share such as `5%`, or `off`.
    pub glimpse_disk_min_free: MinFree,
}

/// The value of `GLIMPSE_DISK_MIN_FREE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MinFree {
    /// A share of the disk, but not more than a size.
    #[default]
    Auto,
    /// The space is not watched.
    Off,
    /// A number of megabytes.
    Megabytes(u64),
    /// A percentage of the disk.
    Percent(u8),
}

const MEGABYTE: u64 = 1 << 20;
/// The share of the disk for `auto`, and the largest size of it.
const AUTO_PERCENT: u64 = 2;
const AUTO_MAX_BYTES: u64 = 1 << 30;
/// The largest share that can be set.
const MAX_PERCENT: u8 = 50;
/// The largest size that can be set: a petabyte.
const MAX_MEGABYTES: u64 = 1 << 30;
/// What is allowed.
const ALLOWED: &str = "it must be `auto`, `off`, a size such as `500 MB` or `2 GB` (at most 1024 TB), or a share such as `5%` (1% to 50%)";

impl MinFree {
    /// Returns the number of bytes for a disk of this size; 0 if the space is not watched.
    pub fn bytes(self, total: u64) -> u64 {
        match self {
            Self::Auto => (total / 100 * AUTO_PERCENT).min(AUTO_MAX_BYTES),
            Self::Off => 0,
            Self::Megabytes(number) => number * MEGABYTE,
            Self::Percent(share) => total / 100 * u64::from(share),
        }
    }
}

impl TryFrom<String> for MinFree {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = keyword(&text);
        match text.as_str() {
            "auto" => return Ok(Self::Auto),
            "off" | "0" => return Ok(Self::Off),
            _ => {}
        }
        let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| ALLOWED)?;
        let factor = match unit.trim() {
            "%" => {
                let share = u8::try_from(number).ok().filter(|share| (1..=MAX_PERCENT).contains(share));
                return share.map(Self::Percent).ok_or(ALLOWED);
            }
            "mb" | "mib" => 1,
            "gb" | "gib" => 1 << 10,
            "tb" | "tib" => 1 << 20,
            _ => return Err(ALLOWED),
        };
        let megabytes = number.checked_mul(factor).filter(|megabytes| (1..=MAX_MEGABYTES).contains(megabytes));
        megabytes.map(Self::Megabytes).ok_or(ALLOWED)
    }
}

impl From<MinFree> for String {
    fn from(setting: MinFree) -> Self {
        setting.to_string()
    }
}

impl fmt::Display for MinFree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::Megabytes(number) => write!(f, "{number} MB"),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_the_setting_is_read() {
        let read = |text: &str| MinFree::try_from(text.to_owned());
        for (text, expected) in [
            ("auto", MinFree::Auto),
            (" OFF ", MinFree::Off),
            ("0", MinFree::Off),
            ("500 MB", MinFree::Megabytes(500)),
            ("2GiB", MinFree::Megabytes(2048)),
            ("1024 tb", MinFree::Megabytes(1 << 30)),
            ("5%", MinFree::Percent(5)),
            ("50 %", MinFree::Percent(50)),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
            assert_eq!(read(&expected.to_string()), Ok(expected), "{expected}");
        }
        for wrong in ["", "500", "0%", "51%", "0 MB", "1025 TB", "-1 MB", "1.5 GB", "5 KB", "99999999999999999999 GB"] {
            assert_eq!(read(wrong), Err(ALLOWED), "{wrong}");
        }
    }

    #[test]
    fn auto_is_a_share_of_a_small_disk_and_a_fixed_size_of_a_large_one() {
        assert_eq!(MinFree::Auto.bytes(10 << 30), (10 << 30) / 100 * 2);
        assert_eq!(MinFree::Auto.bytes(10 << 40), 1 << 30);
        assert_eq!(MinFree::Percent(10).bytes(1_000), 100);
        assert_eq!(MinFree::Megabytes(3).bytes(1), 3 << 20);
        assert_eq!(MinFree::Off.bytes(1 << 40), 0);
    }
}
