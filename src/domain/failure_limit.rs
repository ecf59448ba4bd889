//! How many of a job's images may fail.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::JobCounts;

/// How many of a job's images may fail: a number, or a share of the images that were processed. As text and as JSON:
/// `5`, `"5%"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "LimitJson", into = "LimitJson")]
pub enum FailureLimit {
    /// At most this many images.
    Count(u64),
    /// At most this share, in hundredths of a percent.
    Share(u16),
}

/// The text is neither a number nor a share of 0 to 100 percent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number or a percentage from 0% to 100%, not `{0}`")]
pub struct InvalidFailureLimit(String);

/// Minimum number of processed images for which a share is checked; a job that has processed fewer is checked at its
/// end.
const MIN_PROCESSED_FOR_SHARE: u64 = 100;

impl FailureLimit {
    /// Whether a job with these counts has more failed images than the limit allows. `finished` means that the job has
    /// nothing left to do.
    pub fn is_exceeded(self, counts: &JobCounts, finished: bool) -> bool {
        let processed = counts.done + counts.failed;
        match self {
            Self::Count(limit) => counts.failed > limit,
            Self::Share(limit) => {
                let checked = finished || processed >= MIN_PROCESSED_FOR_SHARE;
                checked && u128::from(counts.failed) * 10_000 > u128::from(limit) * u128::from(processed)
            }
        }
    }
}

impl FromStr for FailureLimit {
    type Err = InvalidFailureLimit;

    fn from_str(text: &str) -> Result<Self, InvalidFailureLimit> {
        let invalid = || InvalidFailureLimit(text.to_owned());
        let Some(share) = text.trim().strip_suffix('%') else {
            return text.trim().parse().map(Self::Count).map_err(|_| invalid());
        };
        let share: f64 = share.trim_end().parse().map_err(|_| invalid())?;
        if !(0.0..=100.0).contains(&share) {
            return Err(invalid());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10,000")]
        Ok(Self::Share((share * 100.0).round() as u16))
    }
}

impl fmt::Display for FailureLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(limit) => limit.fmt(f),
            Self::Share(limit) => write!(f, "{}%", f64::from(*limit) / 100.0),
        }
    }
}

/// How the limit is written in JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum LimitJson {
    Number(u64),
    Text(String),
}

impl TryFrom<LimitJson> for FailureLimit {
    type Error = InvalidFailureLimit;

    fn try_from(json: LimitJson) -> Result<Self, InvalidFailureLimit> {
        match json {
            LimitJson::Number(limit) => Ok(Self::Count(limit)),
            LimitJson::Text(text) => text.parse(),
        }
    }
}

impl From<FailureLimit> for LimitJson {
    fn from(limit: FailureLimit) -> Self {
        match limit {
            FailureLimit::Count(limit) => Self::Number(limit),
            FailureLimit::Share(_) => Self::Text(limit.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_parsed_from_its_text_and_other_text_is_refused() {
        for (text, limit) in [("0", FailureLimit::Count(0)), ("7", FailureLimit::Count(7))] {
            assert_eq!(text.parse(), Ok(limit));
            assert_eq!(serde_json::from_str::<FailureLimit>(text).unwrap(), limit);
        }
        for (text, share) in [("5%", 500), ("0.5%", 50), ("100 %", 10_000), ("0%", 0)] {
            let limit: FailureLimit = text.parse().unwrap();
            assert_eq!(limit, FailureLimit::Share(share));
            let json = serde_json::to_string(&limit).unwrap();
            assert_eq!(serde_json::from_str::<FailureLimit>(&json).unwrap(), limit, "{json}");
        }
        for text in ["", "x", "-1", "101%", "-1%", "NaN%", "%", "5 5%"] {
            assert!(text.parse::<FailureLimit>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_checked_after_100_images_or_at_the_end() {
        let counts = |done, failed| JobCounts { done, failed, ..JobCounts::default() };
        let five = FailureLimit::Share(500);
        assert!(!five.is_exceeded(&counts(0, 99), false) && five.is_exceeded(&counts(0, 99), true));
        assert!(five.is_exceeded(&counts(94, 6), false) && !five.is_exceeded(&counts(95, 5), true));
        assert!(FailureLimit::Count(2).is_exceeded(&counts(0, 3), false));
        assert!(!FailureLimit::Share(0).is_exceeded(&counts(0, 0), true), "a job without images has not failed");
    }
}
