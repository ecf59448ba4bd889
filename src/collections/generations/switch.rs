//! Changes which generation of a collection is the current one, and drops generations.

use std::time::Duration;

use super::{conflict, no_generation};
use crate::domain::{CollectionName, Generation, GenerationState, Timestamp};
use crate::index::IndexError;
use crate::index::several_stores::Resolved;
use crate::jobs::{JobService, Jobs, JobsError};
use crate::ledger::generations::{self, due};

/// A switch needs at least this share of the images of the current generation, in percent.
pub const MIN_COVERAGE_PERCENT: f64 = 99.5;
/// How long a generation that no name stands for any more is kept for the searches that are using it.
const LAST_SEARCHES: Duration = Duration::from_mins(1);

/// The current generation after a switch or a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switched {
    /// The collection.
    pub collection: CollectionName,
    /// The number of the current generation.
    pub generation: u32,
    /// The number of the generation that was the current one.
    pub before: u32,
    /// What the generation that was the current one is used for now.
    pub state: GenerationState,
    /// When it is removed; `None` if it stays until a client removes it.
    pub expires_at: Option<Timestamp>,
    /// Number of its images that the current generation lacks, after a forced switch.
    pub missing: u64,
    /// The number of the generation that was the previous one, which is removed.
    pub removed: Option<u32>,
}

/// What a client wants to switch to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchRequest {
    /// The number of the generation; `None` for the newest one that is ready.
    pub generation: Option<u32>,
    /// Whether to switch also if images are missing or outdated in it.
    pub force: bool,
}

impl Jobs {
    /// Makes the generation that was built the current one: the newest one, or that with the number of the request. With `force`,
    /// also if it is not complete.
    ///
    /// # Errors
    /// [`JobsError::Conflict`] if there is none, or if images are missing or outdated in it; [`JobsError::Index`] if the collection
    /// does not exist; [`JobsError::CollectionBusy`] while a job, a verification or a removal uses the collection; the error of the store or
    /// of the model if the generation cannot be searched.
    pub async fn switch(&self, name: &str, request: SwitchRequest) -> Result<Switched, JobsError> {
        let SwitchRequest { generation: wanted, force } = request;
        let service = &self.0;
        let current = service.resolve(&CollectionName::parse(name)?)?;
        let collection = current.name.clone();
        let all = service.stores.generations().list(&collection);
        let target = service.switch_target(&current, &all, wanted, force).await?;
        // No job writes the current generation while the pointer changes; rebuilds write another one.
        let _reserved = service.reserve(&collection).await?;
        if service.running().await?.iter().any(|job| job.spec.collection == target.physical) {
            let number = target.number;
            return Err(conflict(format!("a job is building generation {number}; wait for it, or stop it")));
        }
        let missing = service.check_complete(&current.physical, &target, force).await?;
        service.check_searchable(&target).await?;
        let ttl = u64::from(service.settings.glimpse_generation_ttl);
        let state = if ttl == 0 { GenerationState::Dropping } else { GenerationState::Previous };
        let expires_at = later(if ttl == 0 { LAST_SEARCHES } else { Duration::from_hours(ttl) });
        let (name, number, drop_after) = (collection.clone(), target.number, later(LAST_SEARCHES));
        let (old, physical) = (current.physical.clone(), target.physical.clone());
        let switch = move |tx: &rusqlite::Transaction<'_>| {
            if !force && due::count(tx, &physical)? > 0 {
                return Ok(false);
            }
            let switched = generations::switch(tx, &name, number, (expires_at, drop_after), force)?;
            if switched && ttl == 0 {
                generations::begin_drop(tx, &old, drop_after)?;
            }
            Ok(switched)
        };
        if !service.ledger.write(switch).await? {
            return Err(service.still_due(&target).await?);
        }
        service.reload_generations().await?;
        let removed = all.iter().find(|one| one.state == GenerationState::Previous).map(|one| one.number);
        tracing::info!(
            %collection, generation = number, before = current.number, removed, "the collection has another generation"
        );
        Ok(Switched {
            collection,
            generation: number,
            before: current.number,
            state,
            expires_at: Some(expires_at),
            missing,
            removed,
        })
    }

    /// Makes the previous generation the current one again. The one that was the current one is ready for another switch.
    ///
    /// # Errors
    /// [`JobsError::Conflict`] if a previous generation does not exist; [`JobsError::CollectionBusy`] while a job, a verification
    /// or a removal uses the collection.
    pub async fn roll_back(&self, name: &str) -> Result<Switched, JobsError> {
        let service = &self.0;
        let current = service.resolve(&CollectionName::parse(name)?)?;
        let collection = current.name.clone();
        service.check_exists(&current).await?;
        let _reserved = service.reserve(&collection).await?;
        let all = service.stores.generations().list(&collection);
        let previous = all.iter().find(|one| one.state == GenerationState::Previous).cloned();
        let previous = previous.ok_or_else(|| no_previous(&collection))?;
        service.check_searchable(&previous).await?;
        let name = collection.clone();
        let number = service.ledger.write(move |tx| generations::roll_back(tx, &name)).await?;
        let number = number.ok_or_else(|| no_previous(&collection))?;
        service.reload_generations().await?;
        tracing::info!(%collection, generation = number, before = current.number, "the collection was rolled back");
        let state = GenerationState::Ready;
        let (generation, before) = (number, current.number);
        Ok(Switched { collection, generation, before, state, expires_at: None, missing: 0, removed: None })
    }

    /// Removes a generation that is not the current one. If a store is down, it is removed when the store answers.
    ///
    /// # Errors
    /// [`JobsError::Conflict`] for the current generation; [`JobsError::Index`] if the generation does not exist or a store
    /// does not answer; [`JobsError::CollectionBusy`] while a job builds it.
    pub async fn drop_generation(&self, name: &str, number: u32) -> Result<CollectionName, JobsError> {
        let service = &self.0;
        let current = service.resolve(&CollectionName::parse(name)?)?;
        let collection = current.name.clone();
        service.check_exists(&current).await?;
        if number == current.number {
            return Err(conflict(format!(
                "generation {number} is the current one of the collection `{collection}`: switch to another one or roll back \
                 first"
            )));
        }
        let all = service.stores.generations().list(&collection);
        let found = all.into_iter().find(|one| one.number == number);
        let generation = found.ok_or_else(|| IndexError::NoGeneration { collection: collection.clone(), number })?;
        // Fails while a job builds it, before it is marked.
        drop(service.reserve(&generation.physical).await?);
        let (physical, now) = (generation.physical.clone(), Timestamp::now());
        if !service.ledger.write(move |tx| generations::begin_drop(tx, &physical, now)).await? {
            return Err(conflict(format!("generation {number} has become the current one")));
        }
        service.reload_generations().await?;
        service.drop_generation(&generation).await?;
        Ok(collection)
    }
}

impl JobService {
    /// Returns the generation to switch to.
    async fn switch_target(
        &self,
        current: &Resolved,
        all: &[Generation],
        wanted: Option<u32>,
        force: bool,
    ) -> Result<Generation, JobsError> {
        let collection = &current.name;
        self.check_exists(current).await?;
        if let Some(number) = wanted.filter(|number| all.iter().all(|one| one.number != *number)) {
            return Err(IndexError::NoGeneration { collection: collection.clone(), number }.into());
        }
        let is_wanted = |one: &&Generation| wanted.is_none_or(|number| one.number == number);
        let with_state = |state| all.iter().rev().filter(is_wanted).find(|one| one.state == state);
        let building = with_state(GenerationState::Building);
        match (with_state(GenerationState::Ready), building) {
            (Some(ready), _) => Ok(ready.clone()),
            (None, Some(building)) if force => Ok(building.clone()),
            (None, Some(Generation { number, .. })) => Err(conflict(format!(
                "generation {number} of the collection `{collection}` is not complete: wait for its job, or continue it by the same \
                 rebuild; if its job has ended or was stopped, `force` switches all the same"
            ))),
            (None, None) => Err(not_ready(collection, wanted.and_then(|_| all.iter().find(is_wanted)))),
        }
    }

    /// Fails if a collection does not exist. One with several generations does.
    async fn check_exists(&self, current: &Resolved) -> Result<(), JobsError> {
        if self.stores.generations().list(&current.name).is_empty() {
            self.stores.describe(&current.physical).await?;
        }
        Ok(())
    }

    /// Returns the number of images of the current generation that another one lacks. Without `force`, fails if too many are
    /// missing, or if some are outdated in it.
    async fn check_complete(
        &self,
        current: &CollectionName,
        target: &Generation,
        force: bool,
    ) -> Result<u64, JobsError> {
        let compare = due::coverage(current.clone(), target.physical.clone(), 0);
        let coverage = self.ledger.read_in_steps(compare).await?;
        let missing = coverage.total - coverage.covered;
        if force {
            return Ok(missing);
        }
        if coverage.percent() < MIN_COVERAGE_PERCENT {
            let due::Coverage { total, covered, .. } = coverage;
            let message = format!(
                "generation {} has {covered} of the {total} images of the current one, less than {MIN_COVERAGE_PERCENT} %. \
                 `GET /collections/{}/generations` says why; with `force`, the switch is made all the same",
                target.number, target.collection
            );
            return Err(JobsError::Conflict("generation_incomplete", message));
        }
        let physical = target.physical.clone();
        if self.ledger.read(move |db| due::count(db, &physical)).await? > 0 {
            return Err(self.still_due(target).await?);
        }
        Ok(missing)
    }

    async fn still_due(&self, target: &Generation) -> Result<JobsError, JobsError> {
        let physical = target.physical.clone();
        let count = self.ledger.read(move |db| due::count(db, &physical)).await?;
        let message = format!(
            "{count} images have changed and are still outdated in generation {}; try again in a moment, or use `force`",
            target.number
        );
        Ok(JobsError::Conflict("generation_outdated", message))
    }

    /// Fails if a store does not have a generation, or if its model cannot be used: a switch would end all searches.
    async fn check_searchable(&self, generation: &Generation) -> Result<(), JobsError> {
        for store in self.stores.iter() {
            if store.describe(&generation.physical).await?.is_none() {
                return Err(conflict(format!("{} does not have generation {}", store.name(), generation.number)));
            }
        }
        let (model, _) = self.models.for_search(&generation.physical).await.map_err(JobsError::Model)?;
        // A text that is not in the cache, so that the model is called.
        let text = format!("generation {} at {}", generation.number, Timestamp::now());
        let embedded = model.searches.embed_text(&text).await;
        embedded
            .map(drop)
            .map_err(|error| JobsError::Model(self.models.error(&generation.physical, &model.record, error)))
    }
}

/// Returns the error of a switch without a generation that is ready, or to `wanted`, which is not ready.
fn not_ready(collection: &CollectionName, wanted: Option<&Generation>) -> JobsError {
    match wanted {
        Some(Generation { number, state: GenerationState::Current, .. }) => {
            conflict(format!("generation {number} is the current one of the collection `{collection}` already"))
        }
        Some(Generation { number, state: GenerationState::Previous, .. }) => conflict(format!(
            "generation {number} is the previous one of the collection `{collection}`: `glimpse collections rollback \
             {collection}` goes back to it"
        )),
        Some(Generation { number, state, .. }) => conflict(format!(
            "generation {number} of the collection `{collection}` is {}, and not ready",
            state.as_str()
        )),
        None => no_generation(collection, "that is ready"),
    }
}

fn no_previous(collection: &CollectionName) -> JobsError {
    conflict(format!(
        "the collection `{collection}` has no previous generation: a switch keeps one for GLIMPSE_GENERATION_TTL hours"
    ))
}

/// Returns the time after this pause.
pub(super) fn later(pause: Duration) -> Timestamp {
    std::time::SystemTime::now().checked_add(pause).map_or_else(Timestamp::now, Timestamp::from)
}
