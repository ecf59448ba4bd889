//! Generations: the store collections of one collection, each made with a model of its own. Searches use the current one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CollectionName, JobId, Timestamp};

/// What a generation is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GenerationState {
    /// A rebuild fills it, or has ended before it was complete.
    Building,
    /// It is complete and kept up to date; it can become the current one.
    Ready,
    /// Searches and jobs use it.
    Current,
    /// It was the current one, and is kept up to date until it expires.
    Previous,
    /// It is being removed.
    Dropping,
}

impl GenerationState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Building, Self::Ready, Self::Current, Self::Previous, Self::Dropping];

    /// Returns the lower-case name, as in replies and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Ready => "ready",
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Dropping => "dropping",
        }
    }

    /// Returns the state with this lower-case name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// One generation of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The name of the collection for clients.
    pub collection: CollectionName,
    /// The number, from 1 on. It is not used again while a later generation exists.
    pub number: u32,
    /// The name of the collection in the stores. That of generation 1 is the name for clients.
    pub physical: CollectionName,
    /// What it is used for.
    pub state: GenerationState,
    /// The last job that has built it.
    pub job: Option<JobId>,
    /// When its first job was submitted; for generation 1, when the second one was created.
    pub created_at: Timestamp,
    /// When it became the current one.
    pub switched_at: Option<Timestamp>,
    /// When it is removed.
    pub expires_at: Option<Timestamp>,
}

impl Generation {
    /// Maximum number of characters of a name, without the suffix and the hash.
    const MAX_STEM: usize = 40;

    /// Returns the `attempt`-th possible name in the stores for a generation: `photos-g2`, `photos-g2-1` and so on. A long
    /// name is shortened, and a hash of it is added.
    pub fn physical_name(collection: &CollectionName, number: u32, attempt: u32) -> CollectionName {
        let name = collection.as_str();
        let stem = if name.len() > Self::MAX_STEM {
            // FNV-1a, 32 bits. Two names with the same hash would get different attempts.
            let hash =
                name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
            format!("{}{hash:08x}", &name[..Self::MAX_STEM - 8])
        } else {
            name.to_owned()
        };
        let suffix = if attempt == 0 { String::new() } else { format!("-{attempt}") };
        // At most 63 characters: 40, 12 for the number and 11 for the attempt.
        CollectionName::parse(&format!("{stem}-g{number}{suffix}")).unwrap_or_else(|_| collection.clone())
    }

    /// Returns the collection and the number of the generation that has this name in the stores, if it is a name that
    /// [`Self::physical_name`] makes. The name of the collection is not known if it was shortened.
    pub fn from_physical_name(physical: &CollectionName) -> Option<(CollectionName, u32)> {
        let (stem, number, attempt) = parse_physical(physical.as_str())?;
        let collection = CollectionName::parse(stem).ok()?;
        (Self::physical_name(&collection, number, attempt) == *physical).then_some((collection, number))
    }

    /// Returns the number of the generation of this collection that has this name in the stores.
    pub fn number_in(collection: &CollectionName, physical: &CollectionName) -> Option<u32> {
        let (_, number, attempt) = parse_physical(physical.as_str())?;
        (Self::physical_name(collection, number, attempt) == *physical).then_some(number)
    }
}

/// Splits `photos-g2` or `photos-g2-1` into the name before the suffix, the number and the attempt.
fn parse_physical(name: &str) -> Option<(&str, u32, u32)> {
    let parse = |digits: &str| digits.parse::<u32>().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let (stem, end) = name.rsplit_once("-g")?;
    let (number, attempt) = match end.split_once('-') {
        Some((number, attempt)) => (parse(number)?, parse(attempt)?),
        None => (parse(end)?, 0),
    };
    (number >= 2).then_some((stem, number, attempt))
}

/// What a rebuild job builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuild {
    /// The name of the collection for clients; [`super::JobSpec::collection`] is the name of the generation in the stores.
    pub collection: CollectionName,
    /// The number of the generation.
    pub number: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_stores_are_valid_and_different() {
        let name = |text: &str| CollectionName::parse(text).unwrap();
        assert_eq!(Generation::physical_name(&name("documents"), 2, 0).as_str(), "documents-g2");
        assert_eq!(Generation::physical_name(&name("documents"), 2, 3).as_str(), "documents-g2-3");
        let [one, two] = ["a", "b"].map(|end| name(&format!("{}{end}", "x".repeat(63))));
        let [one, two] = [one, two].map(|long| Generation::physical_name(&long, 999_999, 99));
        assert!(one != two && one.as_str().len() <= 64 && one.as_str().ends_with("-g999999-99"), "{one}");
    }

    #[test]
    fn a_name_in_the_stores_is_parsed_back() {
        let name = |text: &str| CollectionName::parse(text).unwrap();
        for (physical, expected) in [
            ("birds-g2", Some(("birds", 2))),
            ("birds-g12-3", Some(("birds", 12))),
            ("a-g2-g3", Some(("a-g2", 3))),
            ("birds", None),
            ("birds-g1", None),
            ("birds-g02", None),
            ("birds-g2-0", None),
            ("birds-g2-x", None),
            ("birds-g", None),
            ("birds-gull", None),
            ("birds-g99999999999", None),
        ] {
            let expected = expected.map(|(collection, number)| (name(collection), number));
            assert_eq!(Generation::from_physical_name(&name(physical)), expected, "{physical}");
        }
        let long = name(&"x".repeat(60));
        let physical = Generation::physical_name(&long, 7, 1);
        assert_eq!(Generation::number_in(&long, &physical), Some(7));
        assert_eq!(Generation::number_in(&name("birds"), &physical), None);
    }

    #[test]
    fn each_state_is_parsed_back_from_its_name() {
        for state in GenerationState::ALL {
            assert_eq!(GenerationState::from_name(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
