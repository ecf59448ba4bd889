//! Which generation of a collection a name stands for. Names of clients are resolved here, once at the entrance of a request or
//! a job: everything after that uses the name in the stores.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};

use crate::domain::{CollectionName, Generation, GenerationState};
use crate::index::IndexError;
use crate::lock::lock;

/// The generations of all collections that have more than one. Clones share them. The ledger has the truth; this is its copy
/// in memory, so that a search reads nothing from the ledger.
#[derive(Clone, Default)]
pub struct Generations(Arc<Mutex<Arc<Names>>>);

#[derive(Default)]
struct Names {
    by_name: HashMap<CollectionName, Vec<Generation>>,
    by_physical: HashMap<CollectionName, Generation>,
    /// Increased by each change.
    version: u64,
}

/// The generation that a name stands for. It stays the same for as long as the caller keeps it, also after a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The name for clients.
    pub name: CollectionName,
    /// The number of the generation.
    pub number: u32,
    /// The name in the stores.
    pub physical: CollectionName,
}

impl Generations {
    /// Replaces all generations.
    pub fn replace(&self, all: Vec<Generation>) {
        let mut names = Names::default();
        for one in all {
            names.by_physical.insert(one.physical.clone(), one.clone());
            names.by_name.entry(one.collection.clone()).or_default().push(one);
        }
        let mut current = lock(&self.0);
        names.version = current.version + 1;
        *current = Arc::new(names);
    }

    /// Increased by each change of a generation.
    pub fn version(&self) -> u64 {
        self.names().version
    }

    /// Returns the current generation of a collection, or the one with this number.
    ///
    /// # Errors
    /// [`IndexError::NoGeneration`] if there is none with this number, [`IndexError::NameOfGeneration`] if the name is only the
    /// name of a generation in the stores.
    pub fn resolve(&self, name: &CollectionName, number: Option<u32>) -> Result<Resolved, IndexError> {
        let names = self.names();
        if let Some(owner) = names.by_physical.get(name).filter(|owner| owner.collection != *name) {
            let (collection, number) = (owner.collection.clone(), owner.number);
            return Err(IndexError::NameOfGeneration { name: name.clone(), collection, number });
        }
        let of_name = names.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        let found = of_name.iter().find(|one| match number {
            None => one.state == GenerationState::Current,
            Some(number) => one.number == number && one.state != GenerationState::Dropping,
        });
        match (found, number) {
            (Some(one), _) => Ok(Resolved { name: name.clone(), number: one.number, physical: one.physical.clone() }),
            // A collection with one generation is not in the ledger's list. Neither is one that is being dropped.
            (None, None) => Ok(Resolved { name: name.clone(), number: 1, physical: name.clone() }),
            (None, Some(1)) if of_name.is_empty() => {
                Ok(Resolved { name: name.clone(), number: 1, physical: name.clone() })
            }
            (None, Some(number)) => Err(IndexError::NoGeneration { collection: name.clone(), number }),
        }
    }

    /// Returns the generations of a collection, or none if it has only one.
    pub fn list(&self, name: &CollectionName) -> Vec<Generation> {
        self.names().by_name.get(name).cloned().unwrap_or_default()
    }

    /// Returns the name in the stores of the current generation of each collection that has several.
    pub fn current(&self) -> BTreeMap<CollectionName, CollectionName> {
        let names = self.names();
        let current = names.by_physical.values().filter(|one| one.state == GenerationState::Current);
        current.map(|one| (one.collection.clone(), one.physical.clone())).collect()
    }

    /// Whether no collection has more than one generation.
    pub fn is_empty(&self) -> bool {
        self.names().by_physical.is_empty()
    }

    /// Returns the name under which clients see a collection of the stores; `None` if they do not see it.
    pub fn visible_name(&self, physical: &CollectionName) -> Option<CollectionName> {
        match self.names().by_physical.get(physical) {
            None => Some(physical.clone()),
            Some(one) => (one.state == GenerationState::Current).then(|| one.collection.clone()),
        }
    }

    /// Returns the collection that a name in the stores belongs to.
    pub fn owner(&self, physical: &CollectionName) -> CollectionName {
        self.names().by_physical.get(physical).map_or_else(|| physical.clone(), |one| one.collection.clone())
    }

    fn names(&self) -> Arc<Names> {
        lock(&self.0).clone()
    }
}

impl fmt::Debug for Generations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Generations").field(&self.names().by_physical.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn name(text: &str) -> CollectionName {
        CollectionName::parse(text).unwrap()
    }

    fn generation(number: u32, physical: &str, state: GenerationState) -> Generation {
        Generation {
            collection: name("c"),
            number,
            physical: name(physical),
            state,
            job: None,
            created_at: Timestamp::now(),
            switched_at: None,
            expires_at: None,
        }
    }

    #[test]
    fn a_name_stands_for_the_current_generation() {
        let generations = Generations::default();
        let resolve = |text: &str, number| generations.resolve(&name(text), number).map(|found| found.physical);
        assert_eq!(resolve("c", None), Ok(name("c")));
        assert_eq!(resolve("c", Some(1)), Ok(name("c")));
        assert!(matches!(resolve("c", Some(2)), Err(IndexError::NoGeneration { number: 2, .. })));
        let before = generations.version();
        generations.replace(vec![
            generation(1, "c", GenerationState::Previous),
            generation(2, "c-g2", GenerationState::Current),
            generation(3, "c-g3", GenerationState::Dropping),
        ]);
        assert!(generations.version() > before);
        assert_eq!(resolve("c", None), Ok(name("c-g2")));
        assert_eq!(resolve("c", Some(1)), Ok(name("c")));
        assert!(matches!(resolve("c", Some(3)), Err(IndexError::NoGeneration { .. })));
        assert!(matches!(resolve("c-g2", None), Err(IndexError::NameOfGeneration { number: 2, .. })));
        assert_eq!(resolve("other", None), Ok(name("other")));
        let visible = |text: &str| generations.visible_name(&name(text));
        assert_eq!(
            [visible("c"), visible("c-g2"), visible("c-g3"), visible("d")],
            [None, Some(name("c")), None, Some(name("d"))]
        );
    }
}
