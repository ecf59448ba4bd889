//! A job's listing, page by page: what is unchanged is counted, the rest becomes batches. Where a job mirrors its bucket,
//! the same walk finds what has vanished: listing and objects are both in the order of their keys.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Cursor, Ledger, beside, jobs, metadata, objects, vanished, work};
use crate::domain::{
    CollectionName, Excludes, FailureClass, ImageRef, ImageUri, ItemFailure, JobId, JobPlan, StoreSet,
};
use crate::jobs::tally;
use crate::source::SourceError;
use crate::sqlite::SqliteError;

/// A page of a listing, sorted out.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The last key of the page: a job that is interrupted lists on after it.
    pub listed_through: Option<String>,
    /// Keys in it.
    pub listed: u64,
    /// Of these, no images by their name.
    pub skipped: u64,
    /// The skipped ones, where it matters that they are there: a job of `sync` removes what is not.
    pub others: Vec<ImageUri>,
    /// The others.
    pub images: Vec<ImageRef>,
    /// Those of them that are in an archive, with their storage class: they fail without being read.
    pub archived: BTreeMap<ImageUri, String>,
    /// Of the skipped ones, keys that are not UTF-8.
    pub unreadable: u64,
    /// Where a job that is interrupted lists on; `None` if only the last key tells that.
    pub next: Option<Cursor>,
}

impl Page {
    /// Cuts off what is behind that key; of a job of `sync`, whose pages have every key.
    fn split_behind(&mut self, key: String) -> Self {
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
        // What cannot be named stays where it was counted.
        Self { listed_through, listed, skipped, others, images, archived: self.archived.clone(), unreadable: 0, next }
    }
}

/// What a job's listing is held against, and how it is cut.
#[derive(Clone, Debug)]
pub struct Planning {
    /// Where vectors go.
    pub collection: CollectionName,
    /// [`crate::domain::Space::name`] of its space.
    pub space: String,
    /// Every configured store: an object is unchanged where each of these has it.
    pub stores: StoreSet,
    /// Images in one batch.
    pub lease_size: usize,
    /// Images that the whole job may take.
    pub max_items: Option<u64>,
    /// Whether the job has a metadata file: then an object is unchanged only where its row is, too.
    pub metadata: bool,
    /// What the job owns, if it is to say what of it has vanished: URIs that begin so.
    pub owns: Option<String>,
    /// Keys that are not indexed.
    pub exclude: Excludes,
    /// Of a dry run: the stores that have the collection. Nothing is cut into batches then.
    pub dry_run: Option<StoreSet>,
}

/// An image that is not unchanged.
struct Changed {
    image: ImageRef,
    /// The stores that have it already.
    have: StoreSet,
    /// A known object of the same ETag and size.
    possible_copy: Option<String>,
}

impl Ledger {
    /// Where the listing of a job stands: its last key, and whether it is complete.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn listing(&self, job: JobId) -> Result<(Option<String>, bool), SqliteError> {
        self.reader
            .call(move |db| {
                db.query_row("SELECT listed_through, planned FROM jobs WHERE id = ?1", [job.to_string()], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
            })
            .await
    }

    /// Notes a page of the listing: what every store has already, unchanged, is counted; the rest becomes batches, each
    /// item with the stores that have it already. Says whether there was room for all of the page.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn plan(&self, job: JobId, mut page: Page, planning: Planning) -> Result<bool, SqliteError> {
        // A listing of S3 comes so; another's page is put in order.
        page.images.sort_by(|one, other| one.uri.cmp(&other.uri));
        page.others.sort_unstable();
        loop {
            let (room, rest) = self.plan_some(job, page, planning.clone()).await?;
            let Some(rest) = rest else { return Ok(room) };
            page = rest;
        }
    }

    /// As [`Ledger::plan`], in one transaction. Gives what it did not come to.
    pub(super) async fn plan_some(
        &self,
        job: JobId,
        mut page: Page,
        planning: Planning,
    ) -> Result<(bool, Option<Page>), SqliteError> {
        self.db
            .call(move |db| {
                let job = job.to_string();
                let all = db.transaction()?;
                let mut found = planning.dry_run.is_some().then(|| read_plan(&all, &job)).transpose()?;
                let reached = vanished::note_page(&all, &job, &planning, &page, found.as_mut())?;
                let rest = reached.map(|key| page.split_behind(key));
                let before = jobs::counts(&all, &job)?;
                let passed: u64 = all.query_row("SELECT archived FROM jobs WHERE id = ?1", [&job], |row| row.get(0))?;
                let taken = before.listed - before.skipped - before.unchanged - passed;
                let mut room = planning.max_items.map(|most| most.saturating_sub(taken));
                let mut changed = Vec::new();
                let (mut unchanged, mut over, mut archived, mut failed) = (0_u64, 0_u64, 0_u64, Vec::new());
                let rows = planning.metadata.then(|| metadata::found(&all, &job, &page.images)).transpose()?;
                let digests: Option<Vec<&str>> =
                    rows.as_ref().map(|rows| rows.iter().map(|row| row.digest.as_str()).collect());
                let held =
                    beside::holders(&all, &planning.collection, &planning.space, &page.images, digests.as_deref())?;
                for (place, (image, mut have)) in page.images.into_iter().zip(held).enumerate() {
                    if let Some(there) = &planning.dry_run {
                        have = have.common(there);
                    }
                    let in_archive_now = page.archived.contains_key(&image.uri);
                    if room == Some(0) && !in_archive_now && !have.cover(&planning.stores) {
                        over += 1;
                        continue;
                    }
                    if let Some(rows) = &rows {
                        metadata::note_found(&all, &job, &rows[place])?;
                    }
                    if have.cover(&planning.stores) {
                        unchanged += 1;
                    } else if let Some(class) = page.archived.get(&image.uri) {
                        archived += 1;
                        if found.is_none() {
                            work::insert_failure(&all, &job, &in_archive(&image, class))?;
                            failed.push(FailureClass::Archived);
                        }
                    } else {
                        room = room.map(|left| left - 1);
                        let possible_copy = match found.as_mut() {
                            Some(found) => {
                                foresee(&all, &planning, &image, found)?;
                                None
                            }
                            None => objects::possible_copy(&all, &planning.collection, &planning.space, &image)?,
                        };
                        changed.push(Changed { image, have: have.common(&planning.stores), possible_copy });
                    }
                }
                match found {
                    Some(found) => write_plan(&all, &job, &found)?,
                    None => {
                        for batch in changed.chunks(planning.lease_size.max(1)) {
                            insert_batch(&all, &job, batch)?;
                        }
                    }
                }
                let next = match &page.next {
                    Some(Cursor::Unmoved) => {
                        let kept = "SELECT listed_from FROM jobs WHERE id = ?1";
                        Some(Cursor::again(all.query_row(kept, [&job], |row| row.get(0))?))
                    }
                    next => next.as_ref().and_then(Cursor::to_text),
                };
                all.prepare_cached(
                    "UPDATE jobs SET listed = listed + ?2, skipped = skipped + ?3, unchanged = unchanged + ?4,
                     listed_through = coalesce(?5, listed_through), failed = failed + ?6, archived = archived + ?7,
                     unreadable = unreadable + ?8, listed_from = coalesce(?9, listed_from)
                     WHERE id = ?1",
                )?
                .execute(params![
                    job,
                    page.listed - over,
                    page.skipped,
                    unchanged,
                    page.listed_through,
                    failed.len(),
                    archived,
                    page.unreadable,
                    next
                ])?;
                all.commit()?;
                tally::items(tally::CountedOutcome::Skipped, page.skipped);
                tally::items(tally::CountedOutcome::Unchanged, unchanged);
                tally::failures(&failed);
                Ok((over == 0, rest))
            })
            .await
    }

    /// Notes that the listing of a job is complete. `ended` says that it came to its end by itself: what the job owns
    /// behind the last key has then vanished, too.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn planned(&self, job: JobId, planning: Planning, ended: bool) -> Result<(), SqliteError> {
        while !self.planned_some(job, planning.clone(), ended).await? {}
        Ok(())
    }

    /// As [`Ledger::planned`], in one transaction; says whether that was all.
    pub(super) async fn planned_some(&self, job: JobId, planning: Planning, ended: bool) -> Result<bool, SqliteError> {
        self.db
            .call(move |db| {
                let job = job.to_string();
                let all = db.transaction()?;
                let mut found = planning.dry_run.is_some().then(|| read_plan(&all, &job)).transpose()?;
                let reached = if ended { vanished::note_rest(&all, &job, &planning, found.as_mut())? } else { None };
                if let Some(found) = found {
                    write_plan(&all, &job, &found)?;
                }
                all.execute(
                    "UPDATE jobs SET listed_through = coalesce(?2, listed_through), planned = ?2 IS NULL WHERE id = ?1",
                    params![job, reached],
                )?;
                all.commit()?;
                Ok(reached.is_none())
            })
            .await
    }
}

/// The failure of an image that is in an archive: nothing was asked for.
fn in_archive(image: &ImageRef, class: &str) -> ItemFailure {
    let (uri, class) = (image.uri.clone(), class.to_owned());
    let message = SourceError::Archived { uri: uri.clone(), class }.to_string();
    ItemFailure { uri, class: FailureClass::Archived, message, attempts: 0 }
}

/// Notes in a dry run what the job would read.
fn foresee(all: &Transaction<'_>, planning: &Planning, image: &ImageRef, found: &mut JobPlan) -> rusqlite::Result<()> {
    let known: Option<String> = all
        .prepare_cached("SELECT stores FROM objects WHERE collection = ?1 AND uri = ?2")?
        .query_row(params![planning.collection.as_str(), image.uri.as_str()], |row| row.get(0))
        .optional()?;
    let there = planning.dry_run.as_ref().unwrap_or(&planning.stores);
    match known {
        Some(stores) if !StoreSet::parse(&stores).common(there).is_empty() => found.add_changed(image.uri.key()),
        Some(_) | None => found.add_new(image.uri.key()),
    }
    Ok(())
}

pub(super) fn read_plan(all: &Transaction<'_>, job: &str) -> rusqlite::Result<JobPlan> {
    let plan: Option<String> = all.query_row("SELECT plan FROM jobs WHERE id = ?1", [job], |row| row.get(0))?;
    Ok(plan.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

pub(super) fn write_plan(all: &Transaction<'_>, job: &str, plan: &JobPlan) -> rusqlite::Result<()> {
    all.execute("UPDATE jobs SET plan = ?2 WHERE id = ?1", params![job, jobs::to_json(plan)?]).map(drop)
}

fn insert_batch(all: &Transaction<'_>, job: &str, images: &[Changed]) -> rusqlite::Result<()> {
    all.prepare_cached("INSERT INTO batches(job, state) VALUES (?1, 'todo')")?.execute([job])?;
    let batch = all.last_insert_rowid();
    let mut insert = all.prepare_cached(
        "INSERT INTO items(job, batch, uri, etag, size, have, possible_copy) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
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
