//! What clients see of the generations of a collection.

use std::collections::{BTreeSet, HashMap};

use crate::domain::{CollectionName, Generation, GenerationState, ImageUri, JobId, ModelRecord, Timestamp};
use crate::jobs::{JobService, Jobs, JobsError};
use crate::ledger::failures;
use crate::ledger::generations::due;

/// Maximum number of missing images that are listed.
pub const MAX_LISTED_MISSING: usize = 100;
/// Failures of a job in which the reasons are looked up.
const MAX_FAILURES: u32 = 10_000;

/// The generations of a collection.
#[derive(Clone, Debug)]
pub struct GenerationsView {
    /// The collection.
    pub collection: CollectionName,
    /// The number of the current generation.
    pub current: u32,
    /// The generations, in the order of their numbers.
    pub generations: Vec<GenerationView>,
    /// The stores that did not answer.
    pub unavailable_stores: BTreeSet<&'static str>,
}

/// One generation.
#[derive(Clone, Debug)]
pub struct GenerationView {
    /// The number.
    pub number: u32,
    /// What it is used for.
    pub state: GenerationState,
    /// Its model.
    pub model: ModelRecord,
    /// Number of its images in each store that has it.
    pub stores: Vec<(&'static str, u64)>,
    /// The bytes of all objects, if the store can add them up.
    pub total_bytes: Option<u64>,
    /// The share of the images of the current generation that it has, in percent.
    pub coverage_percent: f64,
    /// Number of images of the current generation that it lacks.
    pub missing: u64,
    /// The first of them.
    pub missing_images: Vec<MissingImage>,
    /// Number of images that have changed and are still outdated in it.
    pub due: u64,
    /// The last job that has built it.
    pub job: Option<JobId>,
    /// When it was created, if that is known.
    pub created_at: Option<Timestamp>,
    /// When it became the current one.
    pub switched_at: Option<Timestamp>,
    /// When it is removed.
    pub expires_at: Option<Timestamp>,
}

/// An image that a generation lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingImage {
    /// The object.
    pub uri: ImageUri,
    /// Class and message of its failure, if the job has one.
    pub failure: Option<(&'static str, String)>,
}

impl Jobs {
    /// Returns the generations of a collection.
    ///
    /// # Errors
    /// [`JobsError::Index`] if the collection does not exist or a store does not answer.
    pub async fn generations(&self, name: &str) -> Result<GenerationsView, JobsError> {
        let service = &self.0;
        let current = service.resolve(&CollectionName::parse(name)?)?;
        let all = service.stores.generations().list(&current.name);
        let (mut generations, mut unavailable_stores) = (Vec::new(), BTreeSet::new());
        if all.is_empty() {
            let info = service.stores.describe(&current.physical).await?;
            let stores = info.value.iter().map(|(store, info)| (*store, info.count)).collect();
            generations.push(service.only_generation(&current.physical, stores).await);
        }
        for one in &all {
            generations.push(service.view_generation(&current.physical, one, &mut unavailable_stores).await?);
        }
        Ok(GenerationsView { collection: current.name, current: current.number, generations, unavailable_stores })
    }
}

impl JobService {
    async fn only_generation(&self, physical: &CollectionName, stores: Vec<(&'static str, u64)>) -> GenerationView {
        GenerationView {
            number: 1,
            state: GenerationState::Current,
            model: self.models.record(physical),
            stores,
            total_bytes: self.total_bytes(physical).await,
            coverage_percent: 100.0,
            missing: 0,
            missing_images: Vec::new(),
            due: 0,
            job: None,
            created_at: None,
            switched_at: None,
            expires_at: None,
        }
    }

    async fn view_generation(
        &self,
        current: &CollectionName,
        generation: &Generation,
        unavailable_stores: &mut BTreeSet<&'static str>,
    ) -> Result<GenerationView, JobsError> {
        let physical = &generation.physical;
        let mut stores = Vec::new();
        let all: Vec<_> = self.stores.iter().collect();
        for store in &all {
            match store.describe(physical).await {
                Ok(found) => stores.extend(found.map(|info| (store.name(), info.count))),
                Err(error) => {
                    unavailable_stores.insert(store.name());
                    if unavailable_stores.len() == all.len() {
                        return Err(error.into());
                    }
                }
            }
        }
        let name = physical.clone();
        // Before the coverage: an image that is not due any more is counted there.
        let due = self.ledger.read(move |db| due::count(db, &name)).await?;
        let compare = due::coverage(current.clone(), physical.clone(), MAX_LISTED_MISSING);
        let coverage = self.ledger.read_in_steps(compare).await?;
        let (coverage_percent, missing) = (coverage.percent(), coverage.total - coverage.covered);
        Ok(GenerationView {
            number: generation.number,
            state: generation.state,
            model: self.models.record(physical),
            total_bytes: if stores.is_empty() { None } else { self.total_bytes(physical).await },
            stores,
            coverage_percent,
            missing,
            missing_images: self.reasons(coverage.missing, generation.job).await?,
            due,
            job: generation.job,
            created_at: Some(generation.created_at),
            switched_at: generation.switched_at,
            expires_at: generation.expires_at,
        })
    }

    async fn total_bytes(&self, physical: &CollectionName) -> Option<u64> {
        let summary = self.stores.first_reply(|store| async move { store.summary(physical).await }).await;
        summary.ok().and_then(|(_, summary)| summary.total_bytes)
    }

    async fn reasons(&self, missing: Vec<ImageUri>, job: Option<JobId>) -> Result<Vec<MissingImage>, JobsError> {
        let mut reasons = HashMap::new();
        if let Some(job) = job.filter(|_| !missing.is_empty()) {
            let page = self.ledger.read(move |db| failures::page(db, job, 0, MAX_FAILURES)).await?;
            reasons
                .extend(page.failures.into_iter().map(|failed| (failed.uri, (failed.class.as_str(), failed.message))));
        }
        Ok(missing
            .into_iter()
            .map(|uri| {
                let failure = reasons.remove(&uri);
                MissingImage { uri, failure }
            })
            .collect())
    }
}
