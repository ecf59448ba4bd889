//! Imports vectors that were made elsewhere with the model of a collection. Each batch is written to the stores and then to the
//! ledger, as a job does it, so that jobs, `sync` and verifications treat the images like all others.

mod write;

use std::collections::BTreeMap;

use crate::domain::{CollectionName, Embedding, FailureClass, ImageUri, ItemFailure, MetadataRow, Payload, Space};
use crate::index::EnsureOutcome;
use crate::jobs::JobService;
use crate::jobs::error::JobsError;
use crate::jobs::service::Jobs;
use crate::ledger::objects::forget;
use crate::ledger::tombstones;

/// Maximum bytes of a key: the limit of S3.
const MAX_KEY_BYTES: usize = 1_024;
/// Maximum number of images of a batch.
pub const MAX_IMPORT_BATCH: usize = 500;

/// Images with their vectors.
#[derive(Clone, Debug)]
pub struct ImportBatch {
    /// Numbers of a vector.
    pub dimension: usize,
    /// The space of the vectors, if it is known.
    pub space: Option<Space>,
    /// Whether the client states that the vectors are of the model of the collection.
    pub model_matches: bool,
    /// The images; at most [`MAX_IMPORT_BATCH`].
    pub images: Vec<ImportImage>,
    /// Whether no batch follows.
    pub last: bool,
}

/// An image with its vector.
#[derive(Clone, Debug)]
pub struct ImportImage {
    /// Where the object is.
    pub uri: ImageUri,
    /// The vector, of any length.
    pub vector: Vec<f32>,
    /// The payload of an exported record. Without it, the object is read.
    pub payload: Option<Box<Payload>>,
    /// Metadata for an image without a payload.
    pub meta: BTreeMap<String, String>,
}

/// What was imported of a batch.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The collection.
    pub collection: CollectionName,
    /// Number of images that every store has now.
    pub imported: u64,
    /// Images that were not imported.
    pub failures: Vec<ItemFailure>,
}

/// An image whose vector and URI are checked.
struct Checked {
    uri: ImageUri,
    embedding: Embedding,
    payload: Option<Box<Payload>>,
    meta: BTreeMap<String, String>,
}

impl Jobs {
    /// Imports a batch. No job can start on the collection meanwhile. A batch may be repeated.
    ///
    /// # Errors
    /// [`JobsError::Invalid`] if the vectors do not fit the model of the collection; [`JobsError::BucketNotAllowed`];
    /// [`JobsError::CollectionBusy`] while a job uses the collection; [`JobsError::NoSpace`]; the errors of the model, the
    /// stores and the ledger.
    pub async fn import(&self, name: &str, batch: ImportBatch) -> Result<Imported, JobsError> {
        let jobs = &self.0;
        let name = CollectionName::parse(name)?;
        if batch.images.len() > MAX_IMPORT_BATCH {
            let message = format!("{} images; at most {MAX_IMPORT_BATCH} are allowed", batch.images.len());
            return Err(JobsError::Invalid("images", message));
        }
        if let Some(problem) = jobs.disk.problem() {
            return Err(JobsError::NoSpace(problem));
        }
        let _reserved = jobs.reserve(&name).await?;
        let collection = jobs.resolve(&name)?.physical;
        let (model, space) = jobs.models.for_search(&collection).await.map_err(JobsError::Model)?;
        check_model(&name, &space, &batch)?;
        let mut failures = Vec::new();
        let mut checked = Vec::with_capacity(batch.images.len());
        for image in batch.images {
            self.check_bucket(image.uri.bucket())?;
            let uri = image.uri.clone();
            match jobs.check_image(image, space.dimension) {
                Ok(image) => checked.push(image),
                Err(message) => failures.push(failure(uri, FailureClass::EmbedRejected, message)),
            }
        }
        let checked = jobs.without_removed(&collection, checked, &mut failures).await?;
        jobs.make_collection(&collection, &space).await?;
        jobs.models.set(&collection, &model.record).await?;
        let (records, others): (Vec<_>, Vec<_>) = checked.into_iter().partition(|image| {
            image.payload.as_ref().is_some_and(|payload| payload.etag.is_some() && payload.s3_uri == image.uri)
        });
        let mut imported = jobs.import_records(&collection, &space, records, &mut failures).await?;
        imported += jobs.import_objects(&collection, (&model, &space), others, &mut failures).await?;
        if batch.last {
            for store in jobs.stores.iter() {
                store.finish_load(&collection).await?;
            }
        }
        Ok(Imported { collection: name, imported, failures })
    }
}

impl JobService {
    fn check_image(&self, image: ImportImage, dimension: usize) -> Result<Checked, String> {
        let ImportImage { uri, vector, payload, meta } = image;
        let key = uri.key();
        if key.len() > MAX_KEY_BYTES {
            return Err(format!("its key has {} bytes; at most {MAX_KEY_BYTES} are allowed", key.len()));
        }
        let thumbnails = &self.thumbnail_prefix;
        if self.exclude.matches(key) || (!thumbnails.is_empty() && key.starts_with(thumbnails)) {
            return Err("its key is excluded from indexing (S3_EXCLUDE, THUMBNAIL_PREFIX)".to_owned());
        }
        let meta = MetadataRow::new(key.to_owned(), meta)?.columns;
        let embedding = Embedding::normalised(vector, dimension).map_err(|error| error.to_string())?;
        Ok(Checked { uri, embedding, payload, meta })
    }

    /// Returns the images that were not removed permanently.
    async fn without_removed(
        &self,
        collection: &CollectionName,
        images: Vec<Checked>,
        failures: &mut Vec<ItemFailure>,
    ) -> Result<Vec<Checked>, JobsError> {
        let (name, uris) = (collection.clone(), images.iter().map(|image| image.uri.clone()).collect::<Vec<_>>());
        let removed = self.ledger.read(move |db| uris.iter().map(|uri| tombstones::exists(db, &name, uri)).collect());
        let removed: Vec<bool> = removed.await?;
        let mut kept = Vec::with_capacity(images.len());
        for (image, is_removed) in images.into_iter().zip(removed) {
            if is_removed {
                let message = "it was removed permanently; restore it before (`glimpse images restore`)".to_owned();
                failures.push(failure(image.uri, FailureClass::IndexRejected, message));
            } else {
                kept.push(image);
            }
        }
        Ok(kept)
    }

    async fn make_collection(&self, collection: &CollectionName, space: &Space) -> Result<(), JobsError> {
        for store in self.stores.iter() {
            if store.ensure_image_collection(collection, space).await? == EnsureOutcome::Created {
                self.ledger.in_steps(forget::forget_store(collection.clone(), store.name())).await?;
            }
        }
        Ok(())
    }
}

/// Compares the vectors with the model of the collection.
fn check_model(collection: &CollectionName, space: &Space, batch: &ImportBatch) -> Result<(), JobsError> {
    if batch.dimension != space.dimension {
        let message = format!(
            "the vectors have {} numbers, but the model {} of the collection `{collection}` makes vectors of {}",
            batch.dimension, space.model, space.dimension
        );
        return Err(JobsError::Invalid("dimension", message));
    }
    if batch.model_matches {
        return Ok(());
    }
    let Some(offered) = &batch.space else {
        let message = format!(
            "the file does not name the model of its vectors; if they are of {}, the model of the collection \
             `{collection}`, send `true` (--model-matches)",
            space.model
        );
        return Err(JobsError::Invalid("model_matches", message));
    };
    space.admits(offered).map_err(|mismatch| {
        let message = format!(
            "the vectors are of `{}`, but the collection `{collection}` has vectors of `{}`: {}; vectors of different \
             models cannot be compared",
            mismatch.offered, mismatch.stored, mismatch.reason
        );
        JobsError::Invalid("space", message)
    })
}

fn failure(uri: ImageUri, class: FailureClass, message: String) -> ItemFailure {
    ItemFailure { uri, class, message, attempts: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Probe;

    fn space(vector: [f32; 2]) -> Space {
        let probes = vec![Probe { name: "image:x".to_owned(), vector: vector.to_vec() }];
        Space { model: "m".to_owned(), dimension: 2, preprocessing: "crop".to_owned(), probes }
    }

    #[test]
    fn vectors_of_another_model_are_refused_with_both_names() {
        let collection = CollectionName::parse("photos").unwrap();
        let check = |dimension, offered: Option<Space>, model_matches| {
            let batch = ImportBatch { dimension, space: offered, model_matches, images: Vec::new(), last: false };
            check_model(&collection, &space([1.0, 0.0]), &batch)
        };
        let field = |checked: Result<(), JobsError>| match checked {
            Err(JobsError::Invalid(field, message)) => (field, message),
            other => panic!("{other:?}"),
        };
        let (name, message) = field(check(3, None, true));
        assert!(
            name == "dimension" && message.contains("have 3 numbers") && message.contains("vectors of 2"),
            "{message}"
        );
        let (name, message) = field(check(2, None, false));
        assert!(name == "model_matches" && message.contains("--model-matches"), "{message}");
        let (name, message) = field(check(2, Some(space([0.0, 1.0])), false));
        assert!(name == "space" && message.contains("`m/2/crop`") && message.contains("cosine"), "{message}");
        assert!(check(2, Some(space([0.0, 1.0])), true).is_ok());
        assert!(check(2, Some(space([1.0, 0.0])), false).is_ok());
    }
}
