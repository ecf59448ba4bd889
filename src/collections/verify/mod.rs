//! Verifies that the stores and the ledger agree: compares every id, and a sample of vectors and payloads. Differences
//! are reported, and repaired from a store that has the record, without embedding again.

mod examine;
mod walk;

use std::time::{SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use futures::future::try_join_all;

use crate::domain::{CollectionInfo, CollectionName, ImageId, ImageUri, StoreSet};
use crate::index::IndexError;
use crate::jobs::JobService;
use crate::jobs::error::JobsError;
use crate::jobs::service::Jobs;
use crate::ledger::objects;
use examine::Examiner;
use walk::{Mask, Walk};

/// The options of a verification.
#[derive(Clone, Copy, Debug)]
pub struct VerifyOptions {
    /// Whether differences are repaired.
    pub repair: bool,
    /// Number of records to read and compare, out of those that every store has.
    pub sample: u64,
}

/// The result of a verification.
#[derive(Clone, Debug)]
pub struct VerifyReport {
    /// The collection.
    pub collection: CollectionName,
    /// Number of ids in each store.
    pub stores: Vec<(&'static str, u64)>,
    /// Number of objects in the ledger.
    pub ledger: u64,
    /// Number of records that were read from the stores and compared.
    pub compared: u64,
    /// The first [`MAX_NAMED`] differences.
    pub differences: Vec<Difference>,
    /// Number of all differences.
    pub total: u64,
    /// Number of differences that were repaired.
    pub repaired: u64,
}

/// One difference between the stores and the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The id of the image.
    pub id: ImageId,
    /// The URI of the image, if it is known.
    pub uri: Option<ImageUri>,
    /// The kind of difference.
    pub kind: DifferenceKind,
    /// The stores with the difference.
    pub stores: Vec<&'static str>,
    /// Whether the difference was repaired.
    pub repaired: bool,
}

/// The kind of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// These stores do not have the image, but another store has it. Repaired by a copy.
    Missing,
    /// These stores have another vector or payload than the newest record of the image. Repaired by a copy.
    Unequal,
    /// These stores have the image, but the ledger does not list it for them. Repaired in the ledger; the record of an image
    /// that was removed permanently is removed.
    Unknown,
    /// The ledger lists the image for these stores, but no store has it. Repaired in the ledger; the next job indexes
    /// it again.
    Lost,
}

/// Maximum differences in a report. All differences are counted and, with `repair`, repaired.
pub const MAX_NAMED: usize = 1_000;
/// Maximum records of a sample.
pub const MAX_SAMPLED: u64 = 1_000_000;
/// Records that are read from the stores at a time.
const CHUNK: usize = 64;
/// Objects that are read from the ledger at a time.
const PAGE: u32 = 5_000;

impl Jobs {
    /// Compares the stores and the ledger. No job can start on the collection meanwhile.
    ///
    /// # Errors
    /// [`JobsError::CollectionBusy`] if a job, a removal or another verification uses the collection;
    /// [`JobsError::Index`] if a store does not answer; [`JobsError::SpaceDiffers`] if the stores have the collection in
    /// different spaces.
    pub async fn verify(&self, name: &str, options: VerifyOptions) -> Result<VerifyReport, JobsError> {
        let name = CollectionName::parse(name)?;
        let _reserved = self.0.reserve(&name).await?;
        let collection = self.0.resolve(&name)?.physical;
        let infos = self.0.same_space(&collection, options.repair).await?;
        let mut ledger = self.0.ledger_entries(&collection).await?;
        ledger.sort_unstable();
        let largest = infos.iter().flatten().map(|info| info.count).max().unwrap_or(0);
        let scans = self.0.stores.iter().zip(&infos).map(|(store, info)| match info {
            Some(_) => store.scan(&collection),
            None => futures::stream::empty().boxed(),
        });
        let mut walk = Walk::new(scans, ledger);
        let mut examiner = Examiner::new(&self.0, collection.clone(), options.repair);
        let mut sample = Sample::new(largest, options.sample);
        while let Some(place) = walk.next().await? {
            examiner.saw(place);
            let agreed = examiner.agreed(place);
            if !agreed || sample.selects_next() {
                examiner.examine(place, agreed).await?;
            }
        }
        Ok(VerifyReport { collection: name, ..examiner.finish().await? })
    }
}

impl JobService {
    /// Returns the description of the collection in each store. Fails if the stores have it in different spaces. With
    /// `make`, creates it in the stores that do not have it.
    async fn same_space(
        &self,
        collection: &CollectionName,
        make: bool,
    ) -> Result<Vec<Option<CollectionInfo>>, JobsError> {
        let mut infos = try_join_all(self.stores.iter().map(|store| store.describe(collection))).await?;
        let described =
            || self.stores.iter().zip(&infos).filter_map(|(store, info)| Some((store.name(), info.as_ref()?)));
        let Some((name, first)) = described().next() else {
            return Err(IndexError::UnknownCollection(collection.clone()).into());
        };
        for (other, info) in described() {
            first.space.admits(&info.space).map_err(|mismatch| {
                let (collection, reason) = (collection.clone(), mismatch.reason);
                JobsError::SpaceDiffers { collection, stores: [name, other], reason }
            })?;
        }
        let first = first.clone();
        for (store, info) in self.stores.iter().zip(&mut infos) {
            if info.is_none() && make {
                store.ensure_image_collection(collection, &first.space).await?;
                self.ledger.in_steps(objects::forget::forget_store(collection.clone(), store.name())).await?;
            }
        }
        Ok(infos)
    }

    /// Returns the stores of every object according to the ledger.
    async fn ledger_entries(&self, collection: &CollectionName) -> Result<Vec<(ImageId, Mask)>, JobsError> {
        let (mut entries, mut after) = (Vec::new(), None::<ImageUri>);
        loop {
            let name = collection.clone();
            let page = self.ledger.read(move |db| objects::page(db, &name, after.as_ref(), PAGE)).await?;
            entries.extend(page.iter().map(|row| (row.uri.id(), self.mask(&row.stores))));
            match page.into_iter().last() {
                Some(last) => after = Some(last.uri),
                None => return Ok(entries),
            }
        }
    }

    fn mask(&self, stores: &StoreSet) -> Mask {
        Mask::from_flags(self.stores.iter().map(|store| stores.contains(store.name())))
    }
}

/// Selects every `step`-th record, starting at a different record each time.
struct Sample {
    step: u64,
    at: u64,
}

impl Sample {
    fn new(records: u64, wanted: u64) -> Self {
        let step = records.checked_div(wanted).map_or(u64::MAX, |step| step.max(1));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { step, at: u64::from(now.subsec_nanos()) % step }
    }

    fn selects_next(&mut self) -> bool {
        if self.step == u64::MAX {
            return false;
        }
        self.at = (self.at + 1) % self.step;
        self.at == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_about_the_requested_size() {
        let selected = |records: u64, wanted| {
            let mut sample = Sample::new(records, wanted);
            (0..records).filter(|_| sample.selects_next()).count()
        };
        assert_eq!((selected(10, 100), selected(10, 0), selected(0, 5)), (10, 0, 0));
        assert!((100..=101).contains(&selected(10_000, 100)));
    }
}
