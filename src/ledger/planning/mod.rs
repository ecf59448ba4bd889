//! Plans a job from its listing, page by page: unchanged images are counted, the others become batches. If a job
//! mirrors its bucket, the same pass finds the objects that have vanished: listing and objects are both in the order of
//! their keys.

pub(crate) mod diff;
pub(crate) mod listing;
pub(crate) mod vanished;

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Transaction, params};

use crate::domain::{
    CollectionName, Excludes, FailureClass, ImageRef, ImageUri, ItemFailure, JobId, JobPlan, StoreSet,
};
use crate::jobs::service::tally;
use crate::ledger::leases::work;
use crate::ledger::{Cursor, Ledger, jobs, metadata, objects};
use crate::source::SourceError;
use crate::sqlite::SqliteError;

/// A page of a listing, with its keys classified.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The last key of the page: an interrupted job continues its listing after it.
    pub listed_through: Option<String>,
    /// Number of keys in the page.
    pub listed: u64,
    /// Number of keys whose name does not look like an image.
    pub skipped: u64,
    /// The skipped keys, if they are needed: a job with `sync` removes the records of keys that are not listed.
    pub others: Vec<ImageUri>,
    /// The images in the page.
    pub images: Vec<ImageRef>,
    /// The images that are in an archive, with their storage class: they fail without being read.
    pub archived: BTreeMap<ImageUri, String>,
    /// Number of skipped keys that are not UTF-8.
    pub unreadable: u64,
    /// Where an interrupted job continues its listing; `None` if it continues after the last key.
    pub next: Option<Cursor>,
}

impl Page {
    /// Splits off the part of the page after `key`. Only for jobs with `sync`, whose pages contain every key.
    fn split_after(&mut self, key: String) -> Self {
        let images = self.images.partition_point(|image| image.uri.key() <= key.as_str());
        let others = self.others.partition_point(|uri| uri.key() <= key.as_str());
        let (images, others) = (self.images.split_off(images), self.others.split_off(others));
        let skipped = others.len() as u64;
        let listed = images.len() as u64 + skipped;
        self.listed -= listed;
        self.skipped -= skipped;
        let listed_through = self.listed_through.replace(key);
        let unmoved = self.next.is_some().then_some(Cursor::Unmoved);
        let next = std::mem::replace(&mut self.next, unmoved);
        // Keys that are not UTF-8 stay in the first part, which has counted them.
        Self { listed_through, listed, skipped, others, images, archived: self.archived.clone(), unreadable: 0, next }
    }
}

/// What a job's listing is compared with, and how it is split into batches.
#[derive(Clone, Debug)]
pub struct Planning {
    /// The collection that the vectors are written to.
    pub collection: CollectionName,
    /// [`crate::domain::Space::name`] of the collection's space.
    pub space: String,
    /// Every configured store: an object is unchanged only if each of them has it.
    pub stores: StoreSet,
    /// Maximum number of images in one batch.
    pub lease_size: usize,
    /// Maximum number of images that the whole job indexes.
    pub max_items: Option<u64>,
    /// Whether the job has a metadata file: then an object is unchanged only if its metadata row is unchanged too.
    pub metadata: bool,
    /// Prefix of the URIs that the job owns, if the job looks for vanished objects.
    pub owns: Option<String>,
    /// Keys that are not indexed.
    pub exclude: Excludes,
    /// For a dry run: the stores that have the collection. A dry run creates no batches.
    pub dry_run: Option<StoreSet>,
}

/// An image that is new or changed.
struct Changed {
    image: ImageRef,
    /// The stores that have the image already.
    have: StoreSet,
    /// A known object with the same ETag and size.
    possible_copy: Option<String>,
}

impl Ledger {
    /// Returns how far the listing of a job has got: its last key, and whether it is complete.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn listing(&self, job: JobId) -> Result<(Option<String>, bool), SqliteError> {
        self.reader
            .call(move |db| {
                db.query_row("SELECT listed_through, planned FROM jobs WHERE id = ?1", [job.to_string()], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
            })
            .await
    }

    /// Records a page of the listing: images that every store has unchanged are counted; the others become batches, in
    /// which each item lists the stores that have it already. Returns whether the whole page fitted within `max_items`.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn plan(&self, job: JobId, mut page: Page, planning: Planning) -> Result<bool, SqliteError> {
        // A listing of S3 is in this order already; pages of other sources are sorted here.
        page.images.sort_by(|one, other| one.uri.cmp(&other.uri));
        page.others.sort_unstable();
        loop {
            let (room, rest) = self.plan_some(job, page, planning.clone()).await?;
            let Some(rest) = rest else { return Ok(room) };
            page = rest;
        }
    }

    /// Like [`Ledger::plan`], in one transaction. Also returns the part of the page that was not processed.
    pub(crate) async fn plan_some(
        &self,
        job: JobId,
        mut page: Page,
        planning: Planning,
    ) -> Result<(bool, Option<Page>), SqliteError> {
        self.db
            .call(move |db| {
                let job = job.to_string();
                let tx = db.transaction()?;
                let mut found = planning.dry_run.is_some().then(|| read_plan(&tx, &job)).transpose()?;
                let reached = vanished::record_page(&tx, &job, &planning, &page, found.as_mut())?;
                let rest = reached.map(|key| page.split_after(key));
                let before = jobs::counts(&tx, &job)?;
                let counted_as_archived: u64 =
                    tx.query_row("SELECT archived FROM jobs WHERE id = ?1", [&job], |row| row.get(0))?;
                let taken = before.listed - before.skipped - before.unchanged - counted_as_archived;
                let mut room = planning.max_items.map(|limit| limit.saturating_sub(taken));
                let mut changed = Vec::new();
                let (mut unchanged, mut over_limit, mut archived, mut failed) = (0_u64, 0_u64, 0_u64, Vec::new());
                let rows = planning.metadata.then(|| metadata::rows_of_images(&tx, &job, &page.images)).transpose()?;
                let digests: Option<Vec<&str>> =
                    rows.as_ref().map(|rows| rows.iter().map(|row| row.digest.as_str()).collect());
                let held = diff::stores_of_images(
                    &tx,
                    &planning.collection,
                    &planning.space,
                    &page.images,
                    digests.as_deref(),
                )?;
                for (index, (image, mut have)) in page.images.into_iter().zip(held).enumerate() {
                    if let Some(stores_with_collection) = &planning.dry_run {
                        have = have.common(stores_with_collection);
                    }
                    let in_archive_now = page.archived.contains_key(&image.uri);
                    if room == Some(0) && !in_archive_now && !have.cover(&planning.stores) {
                        over_limit += 1;
                        continue;
                    }
                    if let Some(rows) = &rows {
                        metadata::count_joined(&tx, &job, &rows[index])?;
                    }
                    if have.cover(&planning.stores) {
                        unchanged += 1;
                    } else if let Some(class) = page.archived.get(&image.uri) {
                        archived += 1;
                        if found.is_none() {
                            work::insert_failure(&tx, &job, &in_archive(&image, class))?;
                            failed.push(FailureClass::Archived);
                        }
                    } else {
                        room = room.map(|left| left - 1);
                        let possible_copy = match found.as_mut() {
                            Some(found) => {
                                add_to_plan(&tx, &planning, &image, found)?;
                                None
                            }
                            None => objects::possible_copy(&tx, &planning.collection, &planning.space, &image)?,
                        };
                        changed.push(Changed { image, have: have.common(&planning.stores), possible_copy });
                    }
                }
                match found {
                    Some(found) => write_plan(&tx, &job, &found)?,
                    None => {
                        for batch in changed.chunks(planning.lease_size.max(1)) {
                            insert_batch(&tx, &job, batch)?;
                        }
                    }
                }
                let next = match &page.next {
                    Some(Cursor::Unmoved) => {
                        let kept = "SELECT listed_from FROM jobs WHERE id = ?1";
                        Some(Cursor::partial_text(tx.query_row(kept, [&job], |row| row.get(0))?))
                    }
                    next => next.as_ref().and_then(Cursor::to_text),
                };
                tx.prepare_cached(
                    "UPDATE jobs SET listed = listed + ?2, skipped = skipped + ?3, unchanged = unchanged + ?4,
                     listed_through = coalesce(?5, listed_through), failed = failed + ?6, archived = archived + ?7,
                     unreadable = unreadable + ?8, listed_from = coalesce(?9, listed_from)
                     WHERE id = ?1",
                )?
                .execute(params![
                    job,
                    page.listed - over_limit,
                    page.skipped,
                    unchanged,
                    page.listed_through,
                    failed.len(),
                    archived,
                    page.unreadable,
                    next
                ])?;
                tx.commit()?;
                tally::items(tally::CountedOutcome::Skipped, page.skipped);
                tally::items(tally::CountedOutcome::Unchanged, unchanged);
                tally::failures(&failed);
                Ok((over_limit == 0, rest))
            })
            .await
    }

    /// Records that the listing of a job is complete. `ended` means that the listing reached its end: then the objects
    /// that the job owns after the last key have vanished, too.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn planned(&self, job: JobId, planning: Planning, ended: bool) -> Result<(), SqliteError> {
        while !self.planned_some(job, planning.clone(), ended).await? {}
        Ok(())
    }

    /// Like [`Ledger::planned`], in one transaction. Returns whether everything was processed.
    pub(crate) async fn planned_some(&self, job: JobId, planning: Planning, ended: bool) -> Result<bool, SqliteError> {
        self.db
            .call(move |db| {
                let job = job.to_string();
                let tx = db.transaction()?;
                let mut found = planning.dry_run.is_some().then(|| read_plan(&tx, &job)).transpose()?;
                let reached = if ended { vanished::record_rest(&tx, &job, &planning, found.as_mut())? } else { None };
                if let Some(found) = found {
                    write_plan(&tx, &job, &found)?;
                }
                tx.execute(
                    "UPDATE jobs SET listed_through = coalesce(?2, listed_through), planned = ?2 IS NULL WHERE id = ?1",
                    params![job, reached],
                )?;
                tx.commit()?;
                Ok(reached.is_none())
            })
            .await
    }
}

/// Returns the failure of an image that is in an archive. It has no attempts, because the image was not requested.
fn in_archive(image: &ImageRef, class: &str) -> ItemFailure {
    let (uri, class) = (image.uri.clone(), class.to_owned());
    let message = SourceError::Archived { uri: uri.clone(), class }.to_string();
    ItemFailure { uri, class: FailureClass::Archived, message, attempts: 0 }
}

/// Records in the plan of a dry run that the job would read this image.
fn add_to_plan(
    tx: &Transaction<'_>,
    planning: &Planning,
    image: &ImageRef,
    found: &mut JobPlan,
) -> rusqlite::Result<()> {
    let known: Option<String> = tx
        .prepare_cached("SELECT stores FROM objects WHERE collection = ?1 AND uri = ?2")?
        .query_row(params![planning.collection.as_str(), image.uri.as_str()], |row| row.get(0))
        .optional()?;
    let stores_with_collection = planning.dry_run.as_ref().unwrap_or(&planning.stores);
    match known {
        Some(stores) if !StoreSet::parse(&stores).common(stores_with_collection).is_empty() => {
            found.add_changed(image.uri.key());
        }
        Some(_) | None => found.add_new(image.uri.key()),
    }
    Ok(())
}

pub(crate) fn read_plan(tx: &Transaction<'_>, job: &str) -> rusqlite::Result<JobPlan> {
    let plan: Option<String> = tx.query_row("SELECT plan FROM jobs WHERE id = ?1", [job], |row| row.get(0))?;
    Ok(plan.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

pub(crate) fn write_plan(tx: &Transaction<'_>, job: &str, plan: &JobPlan) -> rusqlite::Result<()> {
    tx.execute("UPDATE jobs SET plan = ?2 WHERE id = ?1", params![job, jobs::to_json(plan)?]).map(drop)
}

fn insert_batch(tx: &Transaction<'_>, job: &str, images: &[Changed]) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO batches(job, state) VALUES (?1, 'todo')")?.execute([job])?;
    let batch = tx.last_insert_rowid();
    let mut insert = tx.prepare_cached(
        "INSERT INTO items(job, batch, uri, etag, size, have, twin) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for Changed { image, have, possible_copy } in images {
        insert.execute(params![
            job,
            batch,
            image.uri.as_str(),
            image.etag,
            image.size_bytes,
            have.to_string(),
            possible_copy
        ])?;
    }
    Ok(())
}
