//! Finds the differences of an image between the stores that have it, and repairs them.

use std::collections::{HashMap, HashSet};

use futures::StreamExt;

use crate::collections::verify::walk::{Mask, Place};
use crate::collections::verify::{CHUNK, Difference, DifferenceKind, MAX_NAMED, PAGE, VerifyReport};
use crate::domain::space::MIN_SAME_COSINE;
use crate::domain::{CollectionName, ImageId, ImageRecord, Payload, StoreSet};
use crate::jobs::JobService;
use crate::jobs::JobsError;
use crate::ledger::{ObjectRow, objects};

/// Compares the records of images, several at a time.
pub(crate) struct Examiner<'a> {
    jobs: &'a JobService,
    all: Mask,
    repair: bool,
    /// Images to compare, and whether stores and ledger agree on their ids.
    waiting: Vec<(Place, bool)>,
    /// Images that are in the ledger but in no store.
    lost: HashSet<ImageId>,
    report: VerifyReport,
}

/// An image and its differences.
struct Case {
    newest: ImageRecord,
    /// Stores that do not have it, and stores that have a different record.
    missing: Mask,
    unequal: Mask,
    /// Stores that have it, but not according to the ledger.
    unknown: Mask,
}

impl<'a> Examiner<'a> {
    pub(crate) fn new(jobs: &'a JobService, collection: CollectionName, repair: bool) -> Self {
        let stores = jobs.stores.iter().map(|store| (store.name(), 0)).collect::<Vec<_>>();
        Self {
            jobs,
            all: Mask::all(stores.len()),
            repair,
            waiting: Vec::new(),
            lost: HashSet::new(),
            report: VerifyReport {
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

    /// Counts an id.
    pub(crate) fn saw(&mut self, place: Place) {
        for (at, (_, count)) in self.report.stores.iter_mut().enumerate() {
            *count += u64::from(place.stores.contains(at));
        }
        self.report.ledger += u64::from(place.ledger.is_some());
    }

    /// Returns whether every store has the id and the ledger lists all of them.
    pub(crate) fn agreed(&self, place: Place) -> bool {
        place.stores == self.all && place.ledger == Some(self.all)
    }

    /// Adds an image. Compares the waiting images if there are enough of them.
    pub(crate) async fn examine(&mut self, place: Place, agreed: bool) -> Result<(), JobsError> {
        if place.stores.is_empty() {
            self.lost.insert(place.id);
            return Ok(());
        }
        self.waiting.push((place, agreed));
        if self.waiting.len() < CHUNK { Ok(()) } else { self.compare_waiting().await }
    }

    /// Compares the remaining images and returns the report.
    pub(crate) async fn finish(mut self) -> Result<VerifyReport, JobsError> {
        self.compare_waiting().await?;
        self.report_lost().await?;
        Ok(self.report)
    }

    async fn compare_waiting(&mut self) -> Result<(), JobsError> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut records = self.read(&waiting).await?;
        let mut cases = Vec::new();
        for (place, agreed) in waiting {
            let image_records = records.remove(&place.id).unwrap_or_default();
            self.report.compared += u64::from(image_records.len() > 1);
            cases.extend(self.find_differences(place, agreed, &image_records));
        }
        let repaired_ids = if self.repair { self.repair_cases(&cases).await? } else { HashSet::new() };
        for case in cases {
            let repaired = repaired_ids.contains(&case.newest.id);
            for (kind, stores) in [
                (DifferenceKind::Missing, case.missing),
                (DifferenceKind::Unequal, case.unequal),
                (DifferenceKind::Unknown, case.unknown),
            ] {
                if !stores.is_empty() {
                    let stores = self.names(stores);
                    let uri = Some(case.newest.uri.clone());
                    self.add_difference(Difference { id: case.newest.id, uri, kind, stores, repaired });
                }
            }
        }
        Ok(())
    }

    /// Reads the records of each image, with the position of their store.
    async fn read(&self, places: &[(Place, bool)]) -> Result<HashMap<ImageId, Vec<(usize, ImageRecord)>>, JobsError> {
        let mut records: HashMap<ImageId, Vec<(usize, ImageRecord)>> = HashMap::new();
        for (at, store) in self.jobs.stores.iter().enumerate() {
            let present = places.iter().filter(|(place, _)| place.stores.contains(at));
            let ids: Vec<ImageId> = present.map(|(place, _)| place.id).collect();
            if !ids.is_empty() {
                for record in store.get(&self.report.collection, &ids).await? {
                    records.entry(record.id).or_default().push((at, record));
                }
            }
        }
        Ok(records)
    }

    /// Returns the differences of an image; `None` if there are none.
    fn find_differences(&self, place: Place, agreed: bool, records: &[(usize, ImageRecord)]) -> Option<Case> {
        let newest = records.iter().max_by_key(|(_, record)| record.payload.indexed_at)?.1.clone();
        let positions = 0..self.report.stores.len();
        let differs =
            |at: usize| records.iter().any(|(position, record)| *position == at && !have_same_content(record, &newest));
        let unequal = Mask::from_flags(positions.map(differs));
        let missing = self.all.without(place.stores);
        // The ledger does not list objects without an ETag.
        let check_ledger = newest.payload.etag.is_some() && !agreed;
        let in_ledger = place.ledger.unwrap_or_default();
        let unknown = place.stores.without(unequal).without(if check_ledger { in_ledger } else { self.all });
        let differs = !missing.is_empty() || !unequal.is_empty() || !unknown.is_empty();
        differs.then_some(Case { newest, missing, unequal, unknown })
    }

    /// Writes the newest record of each image to the stores that do not have it or have a different one, and updates
    /// the ledger. Returns the images that every store has afterwards.
    async fn repair_cases(&self, cases: &[Case]) -> Result<HashSet<ImageId>, JobsError> {
        let mut groups: HashMap<u8, Vec<&Case>> = HashMap::new();
        for case in cases {
            groups.entry(case.missing.or(case.unequal).bits()).or_default().push(case);
        }
        let (mut known, mut repaired) = (Vec::new(), HashSet::new());
        for group in groups.into_values() {
            let records: Vec<ImageRecord> = group.iter().map(|case| case.newest.clone()).collect();
            let have_mask = self.all.without(group[0].missing.or(group[0].unequal));
            let have: StoreSet = self.names(have_mask).into_iter().collect();
            let mut written_stores = vec![have.clone(); records.len()];
            let mut replies = self.jobs.stores.upsert(&self.report.collection, &records, &have);
            while let Some(written) = replies.next().await {
                let refused: HashSet<ImageId> = written.outcome?.into_iter().map(|(id, _)| id).collect();
                for (record, written_stores) in records.iter().zip(&mut written_stores) {
                    if !refused.contains(&record.id) {
                        written_stores.insert(written.store);
                    }
                }
            }
            drop(replies);
            for (record, stores) in records.into_iter().zip(written_stores) {
                if stores.cover(&self.jobs.stores.name_set()) {
                    repaired.insert(record.id);
                }
                let Payload { etag, size_bytes, space, .. } = record.payload;
                known.extend(etag.map(|etag| ObjectRow { uri: record.uri, etag, size_bytes, space, stores }));
            }
        }
        let collection = self.report.collection.clone();
        self.jobs.ledger.write(move |tx| objects::put_all(tx, &collection, known)).await?;
        Ok(repaired)
    }

    /// Reports the images that are in the ledger but in no store, and with `repair` removes their stores from the
    /// ledger.
    async fn report_lost(&mut self) -> Result<(), JobsError> {
        let mut after = None;
        let mut left = self.lost.len();
        while left > 0 {
            let (collection, start) = (self.report.collection.clone(), after.take());
            let ledger = &self.jobs.ledger;
            let page = ledger.read(move |db| objects::page(db, &collection, start.as_ref(), PAGE)).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.uri.clone());
            let mut lost: Vec<ObjectRow> = page.into_iter().filter(|row| self.lost.contains(&row.uri.id())).collect();
            left -= lost.len();
            for known in &mut lost {
                let stores = self.names(self.jobs.mask(&known.stores));
                let uri = Some(known.uri.clone());
                let (id, kind) = (known.uri.id(), DifferenceKind::Lost);
                self.add_difference(Difference { id, uri, kind, stores, repaired: self.repair });
                known.stores = StoreSet::default();
            }
            if self.repair {
                let collection = self.report.collection.clone();
                self.jobs.ledger.write(move |tx| objects::put_all(tx, &collection, lost)).await?;
            }
        }
        Ok(())
    }

    fn add_difference(&mut self, difference: Difference) {
        self.report.total += 1;
        self.report.repaired += u64::from(difference.repaired);
        if self.report.differences.len() < MAX_NAMED {
            self.report.differences.push(difference);
        }
    }

    fn names(&self, mask: Mask) -> Vec<&'static str> {
        let stores = self.report.stores.iter().enumerate();
        stores.filter(|(at, _)| mask.contains(*at)).map(|(_, (name, _))| *name).collect()
    }
}

/// Returns whether two records have the same content, apart from the time when they were indexed.
fn have_same_content(one: &ImageRecord, other: &ImageRecord) -> bool {
    let payload = Payload { indexed_at: other.payload.indexed_at, ..one.payload.clone() };
    payload == other.payload
        && one.embedding.dimension() == other.embedding.dimension()
        && one.embedding.cosine(&other.embedding) >= MIN_SAME_COSINE
}
