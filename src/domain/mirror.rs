//! Mirrors: collections that are kept in agreement with a part of a bucket, by scheduled jobs and by events.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CollectionName, Executor, Timestamp, TopicArn};

/// The name of a mirror: 1 to 64 of the characters `A-Z a-z 0-9 _ -`, the first of them a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MirrorName(String);

/// The text is not a valid name of a mirror.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a name of a mirror: 1 to 64 letters, digits, `_` or `-` are allowed, the first must be a letter or a digit"
)]
pub struct InvalidMirrorName(String);

impl MirrorName {
    /// Maximum number of characters.
    pub const MAX_CHARACTERS: usize = 64;

    /// Parses the name of a mirror.
    ///
    /// # Errors
    /// Returns [`InvalidMirrorName`] with the beginning of the text if it is not a valid name.
    pub fn parse(text: &str) -> Result<Self, InvalidMirrorName> {
        let valid = (1..=Self::MAX_CHARACTERS).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if valid {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidMirrorName(text.chars().take(2 * Self::MAX_CHARACTERS).collect()))
    }

    /// Returns the name as the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for MirrorName {
    type Error = InvalidMirrorName;
    fn try_from(text: String) -> Result<Self, InvalidMirrorName> {
        Self::parse(&text)
    }
}

impl From<MirrorName> for String {
    fn from(name: MirrorName) -> Self {
        name.0
    }
}

impl fmt::Display for MirrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client requested for a mirror, after validation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorSpec {
    /// The bucket that contains the images.
    pub bucket: String,
    /// Only keys with this prefix are taken; empty for all keys.
    pub prefix: String,
    /// The collection that is kept in agreement with the bucket.
    pub collection: CollectionName,
    /// A cron expression with five fields, for the times of the runs; `None` for a mirror without scheduled runs.
    pub schedule: Option<String>,
    /// The IANA time zone of the schedule.
    pub timezone: String,
    /// Whether records of objects that have vanished are removed.
    pub sync: bool,
    /// Maximum share of the records that one run may remove, in percent; `None` for the default of jobs.
    pub max_delete_percent: Option<u8>,
    /// Globs of keys that are not indexed; `None` for those of the service.
    pub exclude: Option<Vec<String>>,
    /// The metadata file of each run.
    pub metadata_key: Option<String>,
    /// The executor of the runs.
    pub executor: Executor,
    /// Whether events of the bucket are accepted.
    pub events: bool,
    /// The topic of SNS whose messages are accepted.
    pub sns_topic_arn: Option<TopicArn>,
}

impl MirrorSpec {
    /// Whether both keep the same objects in the same collection: then keys that are waiting for one wait for the other.
    pub fn has_same_scope(&self, other: &Self) -> bool {
        (&self.bucket, &self.prefix, &self.collection) == (&other.bucket, &other.prefix, &other.collection)
    }

    /// Whether both can have the same object in the same collection.
    pub fn overlaps(&self, other: &Self) -> bool {
        (&self.bucket, &self.collection) == (&other.bucket, &other.collection)
            && (self.prefix.starts_with(&other.prefix) || other.prefix.starts_with(&self.prefix))
    }
}

/// The state of a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MirrorState {
    /// Its runs start by schedule and its events are processed.
    Active,
    /// A client paused it.
    Paused,
    /// The service stopped it, because it cannot continue without a decision of a client.
    Stopped,
}

impl MirrorState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Active, Self::Paused, Self::Stopped];

    /// Returns the lower-case name, as in replies and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }

    /// Returns the state with this lower-case name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A mirror as the ledger stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Its name.
    pub name: MirrorName,
    /// What the client requested.
    pub spec: MirrorSpec,
    /// Its state.
    pub state: MirrorState,
    /// Why the service stopped it.
    pub reason: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its next scheduled run is due; `None` without a schedule.
    pub next_run: Option<Timestamp>,
    /// Whether a run is needed as soon as possible, because changes of the bucket may have been missed.
    pub list_soon: bool,
    /// Number of records that events have removed since the last run began.
    pub removed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_safe_in_a_path() {
        for good in ["a", "0", "photos-2026_x", &"x".repeat(64)] {
            assert_eq!(MirrorName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a/b", "a.b", "ä", "a b", &"x".repeat(65)] {
            assert!(MirrorName::parse(bad).is_err(), "{bad}");
        }
        assert!(MirrorName::parse(&"x".repeat(100_000)).unwrap_err().to_string().len() < 300);
    }

    #[test]
    fn each_state_is_parsed_back_from_its_name() {
        for state in MirrorState::ALL {
            assert_eq!(MirrorState::from_name(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
