//! The upkeep of generations in the background: removes those that have expired, and keeps the others up to date.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::set_aside::SetAside;
use crate::domain::{CollectionName, GenerationState, Timestamp};
use crate::jobs::{JobService, JobsError};
use crate::ledger::generations;

/// The pause between two looks, if nothing is to be done.
const INTERVAL: Duration = Duration::from_secs(1);
/// The pause before the aliases that could not be set are tried again.
const ALIAS_RETRY_DELAY: Duration = Duration::from_secs(30);
/// The pause after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// The aliases of collections in the stores, with the generations that they stand for.
#[derive(Default)]
struct Aliases {
    set: BTreeMap<CollectionName, CollectionName>,
    /// Those that a store has refused, and when they are tried again.
    failed: BTreeMap<CollectionName, (CollectionName, Instant)>,
}

impl JobService {
    /// Keeps the generations until the service is asked to stop.
    pub(crate) async fn keep_generations(&self) {
        let (mut aliases, mut set_aside) = (Aliases::default(), SetAside::default());
        while !self.drain.is_cancelled() {
            self.set_aliases(&mut aliases).await;
            let pause = match self.keep_once(&mut set_aside).await {
                Ok(true) => continue,
                Ok(false) => INTERVAL,
                Err(error) => {
                    tracing::warn!(%error, "the generations of collections cannot be kept up to date; tried again later");
                    RETRY_DELAY
                }
            };
            self.drain.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    /// Lets readers beside this service find the current generations by aliases in the stores: at the start, and after each
    /// change. A store that fails only causes a warning, because this service does not use the aliases; it is tried again later.
    async fn set_aliases(&self, aliases: &mut Aliases) {
        let current = self.stores.generations().current();
        aliases.set.retain(|collection, physical| current.get(collection) == Some(physical));
        aliases.failed.retain(|collection, (physical, _)| current.get(collection) == Some(physical));
        for (collection, physical) in current {
            let waits = |(_, next_try): &(_, Instant)| *next_try > Instant::now();
            if aliases.set.contains_key(&collection) || aliases.failed.get(&collection).is_some_and(waits) {
                continue;
            }
            let is_first_try = !aliases.failed.contains_key(&collection);
            let mut is_set = true;
            for store in self.stores.iter() {
                if let Err(error) = store.set_alias(&collection, &physical).await {
                    is_set = false;
                    if is_first_try {
                        let store = store.name();
                        tracing::warn!(store, %collection, %error, "the alias of a collection was not set; it is tried again");
                    }
                }
            }
            if is_set {
                aliases.failed.remove(&collection);
                aliases.set.insert(collection, physical);
            } else {
                aliases.failed.insert(collection, (physical, Instant::now() + ALIAS_RETRY_DELAY));
            }
        }
    }

    /// Returns whether something was done.
    async fn keep_once(&self, set_aside: &mut SetAside) -> Result<bool, JobsError> {
        // Without a query as long as no collection has two generations.
        if self.stores.generations().is_empty() {
            return Ok(false);
        }
        let now = Timestamp::now();
        for generation in self.ledger.read(move |db| generations::expired(db, now)).await? {
            let (physical, name) = (generation.physical.clone(), generation.collection.clone());
            if self.ledger.write(move |tx| generations::begin_drop(tx, &physical, now)).await? {
                self.reload_generations().await?;
                if generation.state == GenerationState::Previous {
                    tracing::info!(collection = %name, generation = generation.number, "the generation has expired");
                }
                match self.drop_generation(&generation).await {
                    // It is removed when the job has ended.
                    Ok(()) | Err(JobsError::CollectionBusy(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if self.disk.problem().is_some() {
            return Ok(false);
        }
        self.catch_up(set_aside).await
    }
}
