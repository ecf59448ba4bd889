//! Whether the stores and the ledger agree: every id, and a sample of vectors and payloads. What they do not agree on is
//! named, and repaired from the store that has it, without embedding again.

mod examine;
mod walk;

use std::time::{SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use futures::future::try_join_all;

use super::JobService;
use super::error::JobsError;
use super::service::Jobs;
use crate::domain::{CollectionInfo, CollectionName, ImageId, ImageUri, StoreSet};
use crate::index::IndexError;
use examine::Examiner;
use walk::{Mask, Walk};

/// How closely to look.
#[derive(Clone, Copy, Debug)]
pub struct VerifyOptions {
    /// Repair what is found.
    pub repair: bool,
    /// How many records that every store has to read and compare.
    pub sample: u64,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct VerifyReport {
    /// Where.
    pub collection: CollectionName,
    /// Ids in each store.
    pub stores: Vec<(&'static str, u64)>,
    /// Objects that the ledger knows.
    pub ledger: u64,
    /// Records that were read from the stores and compared.
    pub compared: u64,
    /// The first [`MAX_NAMED`].
    pub differences: Vec<Difference>,
    /// How many there are.
    pub total: u64,
    /// How many of them were repaired.
    pub repaired: u64,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Of the image.
    pub id: ImageId,
    /// Where it is, if anyone says so.
    pub uri: Option<ImageUri>,
    /// What is different.
    pub kind: DifferenceKind,
    /// In which stores.
    pub stores: Vec<&'static str>,
    /// Whether it is no more.
    pub repaired: bool,
}

/// What is different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// These stores lack what another has. Repaired by a copy.
    Missing,
    /// These stores have another vector or payload than the newest record of the image. Repaired by a copy.
    Unequal,
    /// The stores have it, and the ledger does not know that of these. Repaired in the ledger.
    Unknown,
    /// The ledger believes these to have it, and no store does. Repaired in the ledger: the next job indexes it again.
    Lost,
}

/// Differences that are named; all are counted, and repaired if that is wanted.
pub const MAX_NAMED: usize = 1_000;
/// Most records that a sample may have.
pub const MAX_SAMPLED: u64 = 1_000_000;
/// Records that are read at a time.
const CHUNK: usize = 64;
/// Objects that are read from the ledger at a time.
const PAGE: u32 = 5_000;

impl Jobs {
    /// Compares the stores and the ledger. No job writes to the collection meanwhile.
    ///
    /// # Errors
    /// [`JobsError::CollectionBusy`] while a job or another verification is at it; [`JobsError::Index`] where a store does
    /// not answer, or the stores' collections are of different spaces.
    pub async fn verify(&self, name: &str, options: VerifyOptions) -> Result<VerifyReport, JobsError> {
        let collection = CollectionName::parse(name)?;
        let _reserved = self.0.reserve(&collection).await?;
        let infos = self.0.same_space(&collection, options.repair).await?;
        let mut ledger = self.0.beliefs(&collection).await?;
        ledger.sort_unstable();
        let most = infos.iter().flatten().map(|info| info.count).max().unwrap_or(0);
        let scans = self.0.stores.iter().zip(&infos).map(|(store, info)| match info {
            Some(_) => store.scan(&collection),
            None => futures::stream::empty().boxed(),
        });
        let mut walk = Walk::new(scans, ledger);
        let mut examiner = Examiner::new(&self.0, collection.clone(), options.repair);
        let mut sample = Sample::new(most, options.sample);
        while let Some(place) = walk.next().await? {
            examiner.saw(place);
            let agreed = examiner.agreed(place);
            if !agreed || sample.takes() {
                examiner.examine(place, agreed).await?;
            }
        }
        examiner.finish().await
    }
}

impl JobService {
    /// What each store knows of the collection, which all must have in one space. Makes it where it is missing, if asked to.
    async fn same_space(
        &self,
        collection: &CollectionName,
        make: bool,
    ) -> Result<Vec<Option<CollectionInfo>>, JobsError> {
        let mut infos = try_join_all(self.stores.iter().map(|store| store.describe(collection))).await?;
        let there = || self.stores.iter().zip(&infos).filter_map(|(store, info)| Some((store.name(), info.as_ref()?)));
        let Some((name, first)) = there().next() else {
            return Err(IndexError::UnknownCollection(collection.clone()).into());
        };
        for (other, info) in there() {
            first.space.admits(&info.space).map_err(|moved| {
                let (collection, reason) = (collection.clone(), moved.reason);
                JobsError::Apart { collection, stores: [name, other], reason }
            })?;
        }
        let first = first.clone();
        for (store, info) in self.stores.iter().zip(&mut infos) {
            if info.is_none() && make {
                store.ensure_image_collection(collection, &first.space).await?;
                self.ledger.forget_store(collection.clone(), store.name()).await?;
            }
        }
        Ok(infos)
    }

    /// What the ledger believes: which stores have which object.
    async fn beliefs(&self, collection: &CollectionName) -> Result<Vec<(ImageId, Mask)>, JobsError> {
        let (mut beliefs, mut after) = (Vec::new(), None);
        loop {
            let page = self.ledger.known(collection.clone(), after, PAGE).await?;
            beliefs.extend(page.iter().map(|known| (known.uri.id(), self.mask(&known.stores))));
            match page.into_iter().last() {
                Some(last) => after = Some(last.uri),
                None => return Ok(beliefs),
            }
        }
    }

    fn mask(&self, stores: &StoreSet) -> Mask {
        Mask::of(self.stores.iter().map(|store| stores.contains(store.name())))
    }
}

/// Every so many records, from another one on each time.
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

    fn takes(&mut self) -> bool {
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
    fn a_sample_is_about_as_large_as_wanted() {
        let taken = |records: u64, wanted| {
            let mut sample = Sample::new(records, wanted);
            (0..records).filter(|_| sample.takes()).count()
        };
        assert_eq!((taken(10, 100), taken(10, 0), taken(0, 5)), (10, 0, 0));
        assert!((100..=101).contains(&taken(10_000, 100)));
    }
}
