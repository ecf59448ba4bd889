//! What is different about an image, read from the stores that have it; and its repair.

use std::collections::{HashMap, HashSet};

use futures::StreamExt;

use super::walk::{Mask, Place};
use super::{CHUNK, Difference, DifferenceKind, MAX_NAMED, PAGE, VerifyReport};
use crate::domain::space::SAME_COSINE;
use crate::domain::{CollectionName, ImageId, ImageRecord, Payload, StoreSet};
use crate::jobs::JobService;
use crate::jobs::JobsError;
use crate::jobs::ledger::Known;
use crate::resilience::WorkClock;

/// Looks at places, some at a time.
pub(super) struct Examiner<'a> {
    jobs: &'a JobService,
    all: Mask,
    repair: bool,
    /// To be looked at, and whether the ids agreed.
    waiting: Vec<(Place, bool)>,
    /// Known to the ledger and in no store.
    lost: HashSet<ImageId>,
    found: VerifyReport,
}

/// An image and what is wrong with it.
struct Case {
    newest: ImageRecord,
    /// Stores that lack it, and those that have something else.
    missing: Mask,
    unequal: Mask,
    /// Stores that the ledger does not know to have it.
    unknown: Mask,
}

impl<'a> Examiner<'a> {
    pub(super) fn new(jobs: &'a JobService, collection: CollectionName, repair: bool) -> Self {
        let stores = jobs.stores.iter().map(|store| (store.name(), 0)).collect::<Vec<_>>();
        Self {
            jobs,
            all: Mask::all(stores.len()),
            repair,
            waiting: Vec::new(),
            lost: HashSet::new(),
            found: VerifyReport {
                collection,
                stores,
                ledger: 0,
                compared: 0,
                differences: Vec::new(),
                total: 0,
                repaired: 0,
            },
        }
    }

    /// Counts it.
    pub(super) fn saw(&mut self, place: Place) {
        for (at, (_, count)) in self.found.stores.iter_mut().enumerate() {
            *count += u64::from(place.stores.has(at));
        }
        self.found.ledger += u64::from(place.ledger.is_some());
    }

    /// Whether every store has it and the ledger knows.
    pub(super) fn agreed(&self, place: Place) -> bool {
        place.stores == self.all && place.ledger == Some(self.all)
    }

    /// Looks at it, when enough have come together.
    pub(super) async fn examine(&mut self, place: Place, agreed: bool) -> Result<(), JobsError> {
        if place.stores.is_empty() {
            self.lost.insert(place.id);
            return Ok(());
        }
        self.waiting.push((place, agreed));
        if self.waiting.len() < CHUNK { Ok(()) } else { self.look().await }
    }

    /// Looks at what is left, and says what was found.
    pub(super) async fn finish(mut self) -> Result<VerifyReport, JobsError> {
        self.look().await?;
        self.losses().await?;
        Ok(self.found)
    }

    async fn look(&mut self) -> Result<(), JobsError> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut records = self.read(&waiting).await?;
        let mut cases = Vec::new();
        for (place, agreed) in waiting {
            let of_it = records.remove(&place.id).unwrap_or_default();
            self.found.compared += u64::from(of_it.len() > 1);
            cases.extend(self.case(place, agreed, &of_it));
        }
        let mended = if self.repair { self.mend(&cases).await? } else { HashSet::new() };
        for case in cases {
            let repaired = mended.contains(&case.newest.id);
            for (kind, stores) in [
                (DifferenceKind::Missing, case.missing),
                (DifferenceKind::Unequal, case.unequal),
                (DifferenceKind::Unknown, case.unknown),
            ] {
                if !stores.is_empty() {
                    let stores = self.names(stores);
                    let uri = Some(case.newest.uri.clone());
                    self.note(Difference { id: case.newest.id, uri, kind, stores, repaired });
                }
            }
        }
        Ok(())
    }

    /// The records of each image, each with the place of its store.
    async fn read(&self, places: &[(Place, bool)]) -> Result<HashMap<ImageId, Vec<(usize, ImageRecord)>>, JobsError> {
        let mut records: HashMap<ImageId, Vec<(usize, ImageRecord)>> = HashMap::new();
        for (at, store) in self.jobs.stores.iter().enumerate() {
            let here = places.iter().filter(|(place, _)| place.stores.has(at));
            let ids: Vec<ImageId> = here.map(|(place, _)| place.id).collect();
            if !ids.is_empty() {
                for record in store.get(&self.found.collection, &ids).await? {
                    records.entry(record.id).or_default().push((at, record));
                }
            }
        }
        Ok(records)
    }

    /// What is wrong with it, if anything is.
    fn case(&self, place: Place, agreed: bool, records: &[(usize, ImageRecord)]) -> Option<Case> {
        let newest = records.iter().max_by_key(|(_, record)| record.payload.indexed_at)?.1.clone();
        let places = 0..self.found.stores.len();
        let odd = |at: usize| records.iter().any(|(place, record)| *place == at && !alike(record, &newest));
        let unequal = Mask::of(places.map(odd));
        let missing = self.all.without(place.stores);
        // What came without an ETag the ledger cannot know.
        let knowable = newest.payload.etag.is_some() && !agreed;
        let believed = place.ledger.unwrap_or_default();
        let unknown = place.stores.without(unequal).without(if knowable { believed } else { self.all });
        let wrong = !missing.is_empty() || !unequal.is_empty() || !unknown.is_empty();
        wrong.then_some(Case { newest, missing, unequal, unknown })
    }

    /// Writes the newest record of each image where it is missing or another, and what the ledger is to know. Gives the
    /// images that every store has now.
    async fn mend(&self, cases: &[Case]) -> Result<HashSet<ImageId>, JobsError> {
        let mut groups: HashMap<u8, Vec<&Case>> = HashMap::new();
        for case in cases {
            groups.entry(case.missing.or(case.unequal).bits()).or_default().push(case);
        }
        let (mut known, mut mended) = (Vec::new(), HashSet::new());
        for group in groups.into_values() {
            let records: Vec<ImageRecord> = group.iter().map(|case| case.newest.clone()).collect();
            let have = self.all.without(group[0].missing.or(group[0].unequal));
            let have: StoreSet = self.names(have).into_iter().collect();
            let mut holders = vec![have.clone(); records.len()];
            let clock = WorkClock::start();
            let mut answers = self.jobs.stores.upsert(&self.found.collection, &records, &have, &clock);
            while let Some(written) = answers.next().await {
                let refused: HashSet<ImageId> = written.outcome?.into_iter().map(|(id, _)| id).collect();
                for (record, holders) in records.iter().zip(&mut holders) {
                    if !refused.contains(&record.id) {
                        holders.insert(written.store);
                    }
                }
            }
            drop(answers);
            for (record, stores) in records.into_iter().zip(holders) {
                if stores.cover(&self.jobs.stores.all()) {
                    mended.insert(record.id);
                }
                let Payload { etag, size_bytes, space, .. } = record.payload;
                known.extend(etag.map(|etag| Known { uri: record.uri, etag, size_bytes, space, stores }));
            }
        }
        self.jobs.ledger.know(self.found.collection.clone(), known).await?;
        Ok(mended)
    }

    /// Names what the ledger knows and no store has, and makes it forget that.
    async fn losses(&mut self) -> Result<(), JobsError> {
        let mut after = None;
        let mut left = self.lost.len();
        while left > 0 {
            let page = self.jobs.ledger.known(self.found.collection.clone(), after.take(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.uri.clone());
            let mut lost: Vec<Known> = page.into_iter().filter(|known| self.lost.contains(&known.uri.id())).collect();
            left -= lost.len();
            for known in &mut lost {
                let stores = self.names(self.jobs.mask(&known.stores));
                let uri = Some(known.uri.clone());
                let (id, kind) = (known.uri.id(), DifferenceKind::Lost);
                self.note(Difference { id, uri, kind, stores, repaired: self.repair });
                known.stores = StoreSet::default();
            }
            if self.repair {
                self.jobs.ledger.know(self.found.collection.clone(), lost).await?;
            }
        }
        Ok(())
    }

    fn note(&mut self, difference: Difference) {
        self.found.total += 1;
        self.found.repaired += u64::from(difference.repaired);
        if self.found.differences.len() < MAX_NAMED {
            self.found.differences.push(difference);
        }
    }

    fn names(&self, mask: Mask) -> Vec<&'static str> {
        let stores = self.found.stores.iter().enumerate();
        stores.filter(|(at, _)| mask.has(*at)).map(|(_, (name, _))| *name).collect()
    }
}

/// Whether two records say the same. When they were made is no part of that.
fn alike(one: &ImageRecord, other: &ImageRecord) -> bool {
    let payload = Payload { indexed_at: other.payload.indexed_at, ..one.payload.clone() };
    payload == other.payload
        && one.embedding.dimension() == other.embedding.dimension()
        && one.embedding.cosine(&other.embedding) >= SAME_COSINE
}
