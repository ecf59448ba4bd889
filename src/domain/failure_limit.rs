//! How many of a job's images may fail.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::JobCounts;

/// How many of a job's images may fail: so many, or a share of those that were dealt with. As text and as JSON: `5`, `"5%"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum FailureLimit {
    /// No more than so many.
    Count(u64),
    /// No more than this share, in hundredths of a percent.
    Share(u16),
}

/// The text is neither a number nor a share of 0 to 100 percent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a number of images nor a share such as \"5%\"")]
pub struct InvalidFailureLimit(String);

/// From so many images on a share can be told; a job that has dealt with fewer is judged at its end.
const ENOUGH: u64 = 100;

impl FailureLimit {
    /// Whether a job with these counts has failed too often; `over` says that it has nothing left to do.
    pub fn is_exceeded(self, counts: &JobCounts, over: bool) -> bool {
        let dealt_with = counts.done + counts.failed;
        match self {
            Self::Count(most) => counts.failed > most,
            Self::Share(most) => {
                let judged = over || dealt_with >= ENOUGH;
                judged && u128::from(counts.failed) * 10_000 > u128::from(most) * u128::from(dealt_with)
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
            Self::Count(most) => most.fmt(f),
            Self::Share(most) => write!(f, "{}%", f64::from(*most) / 100.0),
        }
    }
}

/// As it stands in JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl TryFrom<Written> for FailureLimit {
    type Error = InvalidFailureLimit;

    fn try_from(written: Written) -> Result<Self, InvalidFailureLimit> {
        match written {
            Written::Number(most) => Ok(Self::Count(most)),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<FailureLimit> for Written {
    fn from(limit: FailureLimit) -> Self {
        match limit {
            FailureLimit::Count(most) => Self::Number(most),
            FailureLimit::Share(_) => Self::Text(limit.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_refuses_what_is_neither() {
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
    fn a_share_is_judged_once_there_is_enough_to_judge_or_nothing_left() {
        let counts = |done, failed| JobCounts { done, failed, ..JobCounts::default() };
        let five = FailureLimit::Share(500);
        assert!(!five.is_exceeded(&counts(0, 99), false) && five.is_exceeded(&counts(0, 99), true));
        assert!(five.is_exceeded(&counts(94, 6), false) && !five.is_exceeded(&counts(95, 5), true));
        assert!(FailureLimit::Count(2).is_exceeded(&counts(0, 3), false));
        assert!(!FailureLimit::Share(0).is_exceeded(&counts(0, 0), true), "nothing is no failure");
    }
}
