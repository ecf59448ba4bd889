//! Submits the job that builds the next generation of a collection.

use std::collections::{BTreeSet, HashSet};

use rusqlite::{Connection, OptionalExtension, Transaction};

use super::{conflict, physical_names};
use crate::domain::{
    CollectionName, Executor, Generation, GenerationState, ImageUri, JobId, JobRecord, JobSpec, ModelRecord,
    ModelRequest, Rebuild,
};
use crate::index::IndexError;
use crate::jobs::{JobService, Jobs, JobsError};
use crate::ledger::jobs::UNFINISHED;
use crate::ledger::{collection_models, generations, jobs, objects};

/// How many names are tried for a generation in the stores.
const MAX_NAMES: u32 = 100;

/// What a client wants to rebuild a collection with.
#[derive(Clone, Debug, Default)]
pub struct RebuildRequest {
    /// The model. What it leaves out is that of the collection; if it leaves out everything, it is the model of the settings.
    pub model: ModelRequest,
    /// What runs the job.
    pub executor: Executor,
}

/// The generation that a job builds.
struct Target {
    number: u32,
    physical: CollectionName,
    model: ModelRecord,
    is_new: bool,
}

impl Jobs {
    /// Submits the job that builds the next generation of a collection, or continues one that was not completed.
    ///
    /// # Errors
    /// [`JobsError::Conflict`] if another rebuild of the collection has not ended or was not used; [`JobsError::Invalid`] if
    /// the model or the executor cannot be used; [`JobsError::Index`] if the collection does not exist; and the errors of
    /// [`Jobs::submit`].
    pub async fn rebuild(&self, name: &str, request: RebuildRequest) -> Result<JobRecord, JobsError> {
        let service = &self.0;
        let current = service.resolve(&CollectionName::parse(name)?)?;
        let collection = current.name.clone();
        let base = service.models.record(&current.physical);
        let models = service.models.models();
        let model = if request.model == ModelRequest::default() {
            models.default_record()
        } else {
            let resolved = models.resolve(&base, &request.model);
            resolved.map_err(|error| JobsError::Invalid(error.field, error.message))?
        };
        let Some(first) = service.first_object(&current.physical).await? else {
            return Err(service.without_objects(&collection, &current.physical).await?);
        };
        if model == base {
            let reason =
                format!("the collection uses the model {model} already; name another model, precision or resize");
            return Err(JobsError::Invalid("model", reason));
        }
        service.check_memory(&model)?;
        let target = service.target(&collection, model).await?;
        let job = self.submit_rebuild(&collection, first.bucket(), &target, request.executor).await?;
        tracing::info!(%collection, generation = target.number, model = %target.model, job.id = %job.id, "rebuild submitted");
        Ok(job)
    }

    async fn submit_rebuild(
        &self,
        collection: &CollectionName,
        bucket: &str,
        target: &Target,
        executor: Executor,
    ) -> Result<JobRecord, JobsError> {
        let spec = JobSpec {
            bucket: bucket.to_owned(),
            prefix: String::new(),
            collection: target.physical.clone(),
            max_items: None,
            any_extension: true,
            max_failures: None,
            metadata_key: None,
            sync: false,
            dry_run: false,
            max_delete_percent: JobSpec::MAX_DELETE_PERCENT,
            retry_of: None,
            // The objects were chosen by the jobs that indexed them.
            exclude: Some(Vec::new()),
            continues: None,
            taken: 0,
            refresh: None,
            mirror: None,
            rebuild: Some(Rebuild { collection: collection.clone(), number: target.number }),
            executor,
        };
        let (name, number, physical) = (collection.clone(), target.number, target.physical.clone());
        let (model, is_new) = (target.model.clone(), target.is_new);
        let (names, models) = (self.0.stores.generations().clone(), self.0.models.clone());
        let begin = move |tx: &Transaction<'_>, job: JobId| {
            if jobs::rebuild_of(tx, &name)?.is_some() {
                return Ok(false);
            }
            if is_new {
                generations::begin(tx, &name, number, &physical, job)?;
                collection_models::put(tx, &physical, &model)?;
                // Before the job can start, which needs both.
                models.remember(&physical, &model);
            } else {
                generations::set_job(tx, &physical, job)?;
            }
            names.replace(generations::all(tx)?);
            Ok(true)
        };
        match self.accept_if(spec, begin).await? {
            Some(job) => Ok(job),
            None => Err(self.0.rebuild_running(collection).await?),
        }
    }
}

impl JobService {
    /// Fails if a job with this model would leave no room in memory for the models that searches use: the job holds its model until
    /// it ends, and the model of the settings is always in memory.
    fn check_memory(&self, model: &ModelRecord) -> Result<(), JobsError> {
        let models = self.models.models();
        let default = models.default_record();
        let held: BTreeSet<_> = [&default, model].into_iter().filter_map(ModelRecord::networks).collect();
        let others = self.models.others();
        let needs_another = others.iter().filter_map(|(_, other)| other.networks()).any(|other| !held.contains(&other));
        let (needed, max) = (held.len() + usize::from(needs_another), models.max_in_memory().get());
        if model.networks().is_none() || needed <= max {
            return Ok(());
        }
        let reason = format!(
            "GLIMPSE_MODELS_IN_MEMORY is {max}, but this rebuild needs at least {needed}: its model, that of the settings, and \
             those that searches use are in memory at the same time"
        );
        Err(JobsError::Invalid("model", reason))
    }

    async fn first_object(&self, physical: &CollectionName) -> Result<Option<ImageUri>, JobsError> {
        let physical = physical.clone();
        let rows = self.ledger.read(move |db| objects::page(db, &physical, None, 1)).await?;
        Ok(rows.into_iter().next().map(|row| row.uri))
    }

    /// Returns why a collection without objects in the ledger cannot be rebuilt.
    async fn without_objects(
        &self,
        collection: &CollectionName,
        physical: &CollectionName,
    ) -> Result<JobsError, JobsError> {
        for store in self.stores.iter() {
            if store.describe(physical).await?.is_some() {
                return Ok(conflict(format!(
                    "the ledger lists no image of the collection `{collection}`, so that it is not known what to read: index \
                     it once with this service, and then rebuild it"
                )));
            }
        }
        Ok(IndexError::UnknownCollection(collection.clone()).into())
    }

    async fn rebuild_running(&self, collection: &CollectionName) -> Result<JobsError, JobsError> {
        let name = collection.clone();
        let job = self.ledger.read(move |db| jobs::rebuild_of(db, &name)).await?;
        let job = job.map_or_else(String::new, |id| format!(": {id}"));
        Ok(conflict(format!("a rebuild of the collection `{collection}` has not ended{job}; wait for it, or stop it")))
    }

    /// Returns the generation to build: one that was not completed, or a new one.
    async fn target(&self, collection: &CollectionName, model: ModelRecord) -> Result<Target, JobsError> {
        let name = collection.clone();
        let (all, running) =
            self.ledger.read(move |db| Ok((generations::list(db, &name)?, jobs::rebuild_of(db, &name)?))).await?;
        if running.is_some() {
            return Err(self.rebuild_running(collection).await?);
        }
        let unused = all.iter().find(|one| matches!(one.state, GenerationState::Building | GenerationState::Ready));
        if let Some(Generation { number, physical, state, .. }) = unused {
            let built_with = self.models.record(physical);
            // One that is ready can lack images, for example because the model could not be used for a while.
            if built_with == model {
                return Ok(Target { number: *number, physical: physical.clone(), model, is_new: false });
            }
            return Err(conflict(format!(
                "the collection `{collection}` has generation {number} with the model {built_with}, which is {}: {}, or \
                 remove it: `glimpse collections drop-generation {collection} {number}`",
                state.as_str(),
                if *state == GenerationState::Ready {
                    format!("switch to it: `glimpse collections switch {collection}`")
                } else {
                    "rebuild with this model to complete it".to_owned()
                },
            )));
        }
        let has_model =
            |one: &&Generation| one.state == GenerationState::Previous && self.models.record(&one.physical) == model;
        if let Some(Generation { number, .. }) = all.iter().find(has_model) {
            return Err(conflict(format!(
                "generation {number}, the previous one of the collection `{collection}`, has the model {model} and is up to date: \
                 `glimpse collections rollback {collection}` goes back to it. To build it again, remove it first: `glimpse \
                 collections drop-generation {collection} {number}`"
            )));
        }
        let number = all.iter().map(|one| one.number).max().unwrap_or(1) + 1;
        let physical = self.free_name(collection, number, &all).await?;
        Ok(Target { number, physical, model, is_new: true })
    }

    /// Returns a name that no store and no row of the ledger uses, and whose class in Weaviate is that of no other one.
    async fn free_name(
        &self,
        collection: &CollectionName,
        number: u32,
        own: &[Generation],
    ) -> Result<CollectionName, JobsError> {
        let mut used: HashSet<CollectionName> = physical_names(own).into_iter().collect();
        for store in self.stores.iter() {
            used.extend(store.collections().await?.into_iter().map(|info| info.name));
        }
        let classes: HashSet<String> = used.iter().map(CollectionName::weaviate_class).collect();
        for attempt in 0..MAX_NAMES {
            let name = Generation::physical_name(collection, number, attempt);
            let candidate = name.clone();
            if !classes.contains(&name.weaviate_class())
                && !self.ledger.read(move |db| is_in_ledger(db, &candidate)).await?
            {
                return Ok(name);
            }
        }
        Err(conflict(format!("no name is free in the stores for generation {number} of the collection `{collection}`")))
    }
}

fn is_in_ledger(db: &Connection, name: &CollectionName) -> rusqlite::Result<bool> {
    let used = format!(
        "SELECT 1 FROM objects WHERE collection = ?1
                UNION ALL SELECT 1 FROM jobs WHERE collection = ?1 AND (rebuild IS NULL OR state IN {UNFINISHED})
                UNION ALL SELECT 1 FROM generations WHERE physical = ?1 OR collection = ?1
                UNION ALL SELECT 1 FROM mirrors WHERE json_extract(spec, '$.collection') = ?1
                UNION ALL SELECT 1 FROM dropping WHERE collection = ?1 LIMIT 1"
    );
    Ok(db.prepare_cached(&used)?.query_row([name], |_| Ok(())).optional()?.is_some())
}
