//! Plans a job from its listing, page by page: unchanged images are counted, the others become batches. If a job
//! mirrors its bucket, the same pass finds the objects that have vanished: listing and objects are both in the order of
//! their keys.

pub(crate) mod diff;
pub(crate) mod listing;
mod page;
pub(crate) mod ranges;
pub(crate) mod vanished;

use std::ops::ControlFlow;

use rusqlite::{OptionalExtension, Transaction, params};

use crate::domain::{
    CollectionName, Excludes, FailureClass, ImageRef, ImageUri, ItemFailure, JobId, JobPlan, StoreSet,
};
use crate::ledger::columns::Json;
use crate::ledger::{Step, failures, metadata, objects, tombstones};

pub(crate) use page::Page;

/// What a job's listing is compared with, and how it is split into batches.
#[derive(Clone, Debug)]
pub(crate) struct Planning {
    /// The collection that the vectors are written to.
    pub(crate) collection: CollectionName,
    /// [`crate::domain::Space::name`] of the collection's space.
    pub(crate) space: String,
    /// Every configured store: an object is unchanged only if each of them has it.
    pub(crate) stores: StoreSet,
    /// Maximum number of images in one batch.
    pub(crate) lease_size: usize,
    /// Maximum number of images that the whole job indexes.
    pub(crate) max_items: Option<u64>,
    /// For a rebuild: the name in the stores of the current generation. It shows which images have the same bytes.
    pub(crate) source_generation: Option<CollectionName>,
    /// Whether the job has a metadata file: then an object is unchanged only if its metadata row is unchanged too.
    pub(crate) metadata: bool,
    /// Prefix of the URIs that the job owns, if the job looks for vanished objects.
    pub(crate) owned_prefix: Option<String>,
    /// Keys that are not indexed.
    pub(crate) exclude: Excludes,
    /// For a dry run: the stores that have the collection. A dry run creates no batches.
    pub(crate) dry_run: Option<StoreSet>,
}

/// What was recorded of a page.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planned {
    /// Number of images beyond `max_items`. They are not planned, and the listing ends.
    pub(crate) over_limit: u64,
    /// Number of skipped keys, also of images that were removed permanently.
    pub(crate) skipped: u64,
    /// Number of images that every store has unchanged.
    pub(crate) unchanged: u64,
    /// Number of images that failed because they are in an archive.
    pub(crate) archived: u64,
}

/// Records, in steps, a page of the listing: images that every store has unchanged, and images that were removed
/// permanently, are counted; the others become batches, in which each item lists the stores that have it already.
pub(crate) fn plan(
    job: JobId,
    mut page: Page,
    planning: Planning,
) -> impl FnMut(&Transaction<'_>) -> Step<Planned> + Send + 'static {
    // A listing of S3 is in this order already; pages of other sources are sorted here.
    page.images.sort_by(|one, other| one.uri.cmp(&other.uri));
    page.others.sort_unstable();
    let mut planned = Planned::default();
    move |tx| {
        Ok(match plan_some(tx, job, &planning, std::mem::take(&mut page), &mut planned)? {
            Some(rest) => {
                page = rest;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(planned),
        })
    }
}

/// One step of [`plan`]. Returns the part of the page that was not processed.
fn plan_some(
    tx: &Transaction<'_>,
    job: JobId,
    planning: &Planning,
    mut page: Page,
    planned: &mut Planned,
) -> rusqlite::Result<Option<Page>> {
    let mut plan = planning.dry_run.is_some().then(|| read_plan(tx, job)).transpose()?;
    let reached = vanished::record_page(tx, job, planning, &page, plan.as_mut())?;
    let rest = reached.map(|key| page.split_after(key));
    let sql = "SELECT listed - skipped - unchanged - archived FROM jobs WHERE id = ?1";
    let taken: u64 = tx.query_row(sql, [job], |row| row.get(0))?;
    let mut room = planning.max_items.map(|limit| limit.saturating_sub(taken));
    let (mut unchanged, mut over_limit, mut archived, mut changed) = (0_u64, 0_u64, 0_u64, Vec::new());
    let mut skipped = page.skipped;
    let rows = planning.metadata.then(|| metadata::rows_of_images(tx, job, &page.images)).transpose()?;
    let digests: Option<Vec<&str>> = rows.as_ref().map(|rows| rows.iter().map(|row| row.digest.as_str()).collect());
    let (collection, space) = (&planning.collection, &planning.space);
    let held = diff::stores_of_images(tx, collection, space, &page.images, digests.as_deref())?;
    let removed = tombstones::among(tx, collection, &page.images)?;
    for (index, (image, mut stored_in)) in page.images.into_iter().zip(held).enumerate() {
        if let Some(stores_with_collection) = &planning.dry_run {
            stored_in = stored_in.common(stores_with_collection);
        }
        if removed.contains(&image.uri) {
            skipped += 1;
            continue;
        }
        let in_archive = page.archived.remove(&image.uri);
        let outdated = page.outdated.as_ref().map(|uris| uris.contains(&image.uri) && !stored_in.is_empty());
        let is_unchanged = outdated.map_or_else(|| stored_in.cover(&planning.stores), |outdated| !outdated);
        if room == Some(0) && in_archive.is_none() && !is_unchanged {
            over_limit += 1;
            continue;
        }
        if let Some(rows) = &rows {
            metadata::count_joined(tx, job, &rows[index])?;
        }
        if is_unchanged {
            unchanged += 1;
        } else if let Some(message) = in_archive {
            archived += 1;
            if plan.is_none() {
                // It has no attempts, because the image was not requested.
                let failure = ItemFailure { uri: image.uri, class: FailureClass::Archived, message, attempts: 0 };
                failures::add(tx, job, &failure)?;
            }
        } else {
            room = room.map(|left| left - 1);
            let possible_copy = match plan.as_mut() {
                Some(plan) => {
                    add_to_plan(tx, planning, &image, plan)?;
                    None
                }
                // Every store gets the record again, with the vector that it has.
                None if outdated.is_some() => {
                    stored_in = StoreSet::default();
                    Some(image.uri.clone())
                }
                None => match &planning.source_generation {
                    Some(source) => objects::first_copy(tx, source, &image)?,
                    None => objects::possible_copy(tx, collection, space, &image)?,
                },
            };
            changed.push(Changed { image, stored_in: stored_in.common(&planning.stores), possible_copy });
        }
    }
    let failed = if plan.is_none() { archived } else { 0 };
    match plan {
        Some(plan) => write_plan(tx, job, &plan)?,
        None => {
            for batch in changed.chunks(planning.lease_size.max(1)) {
                insert_batch(tx, job, batch)?;
            }
        }
    }
    let next = page.next.map(|next| next.to_stored(tx, job)).transpose()?;
    tx.prepare_cached(
        "UPDATE jobs SET listed = listed + ?2, skipped = skipped + ?3, unchanged = unchanged + ?4,
         failed = failed + ?5, archived = archived + ?6, unreadable = unreadable + ?7,
         listed_from = coalesce(?8, listed_from)
         WHERE id = ?1",
    )?
    .execute(params![
        job,
        page.listed - over_limit,
        skipped,
        unchanged,
        failed,
        archived,
        page.unreadable,
        next
    ])?;
    if let Some(key) = &page.listed_through {
        listing::set_position(tx, job, page.range.as_deref(), key)?;
    }
    planned.over_limit += over_limit;
    planned.skipped += skipped;
    planned.unchanged += unchanged;
    planned.archived += failed;
    Ok(rest)
}

/// Records, in steps, that the listing of a job is complete. `ended` means that the listing reached its end: then the
/// objects that the job owns after the last key have vanished, too.
pub(crate) fn complete(
    job: JobId,
    planning: Planning,
    ended: bool,
) -> impl FnMut(&Transaction<'_>) -> Step<()> + Send + 'static {
    move |tx| {
        let mut plan = planning.dry_run.is_some().then(|| read_plan(tx, job)).transpose()?;
        let reached = if ended { vanished::record_rest(tx, job, &planning, None, plan.as_mut())? } else { None };
        if let Some(plan) = plan {
            write_plan(tx, job, &plan)?;
        }
        if let Some(key) = reached {
            listing::set_position(tx, job, None, &key)?;
            return Ok(ControlFlow::Continue(()));
        }
        tx.execute("UPDATE jobs SET planned = 1 WHERE id = ?1", [job])?;
        Ok(ControlFlow::Break(()))
    }
}

/// Records, in steps, that a range of a listing is complete: the objects that the job owns after the last listed key of
/// the range have vanished, too. The listing is complete with its last range.
pub(crate) fn complete_range(
    job: JobId,
    planning: Planning,
    after: String,
) -> impl FnMut(&Transaction<'_>) -> Step<()> + Send + 'static {
    move |tx| {
        let Some(range) = ranges::find(tx, job, &after)? else { return Ok(ControlFlow::Break(())) };
        let mut plan = planning.dry_run.is_some().then(|| read_plan(tx, job)).transpose()?;
        let reached = vanished::record_rest(tx, job, &planning, Some(&range), plan.as_mut())?;
        if let Some(plan) = plan {
            write_plan(tx, job, &plan)?;
        }
        if let Some(key) = reached {
            listing::set_position(tx, job, Some(&after), &key)?;
            return Ok(ControlFlow::Continue(()));
        }
        ranges::remove(tx, job, &after)?;
        Ok(ControlFlow::Break(()))
    }
}

/// Records in the plan of a dry run that the job would read this image.
fn add_to_plan(
    tx: &Transaction<'_>,
    planning: &Planning,
    image: &ImageRef,
    plan: &mut JobPlan,
) -> rusqlite::Result<()> {
    let known: Option<StoreSet> = tx
        .prepare_cached("SELECT stores FROM objects WHERE collection = ?1 AND uri = ?2")?
        .query_row(params![planning.collection, image.uri], |row| row.get(0))
        .optional()?;
    let stores_with_collection = planning.dry_run.as_ref().unwrap_or(&planning.stores);
    match known {
        Some(stores) if !stores.common(stores_with_collection).is_empty() => plan.add_changed(image.uri.key()),
        Some(_) | None => plan.add_new(image.uri.key()),
    }
    Ok(())
}

/// Removes the deletions from the plan of a dry run.
pub(crate) fn clear_planned_deletions(tx: &Transaction<'_>, job: JobId) -> rusqlite::Result<()> {
    let mut plan = read_plan(tx, job)?;
    plan.deleted = 0;
    plan.examples.deleted.clear();
    write_plan(tx, job, &plan)
}

fn read_plan(tx: &Transaction<'_>, job: JobId) -> rusqlite::Result<JobPlan> {
    let plan: Option<Json<_>> = tx.query_row("SELECT plan FROM jobs WHERE id = ?1", [job], |row| row.get(0))?;
    Ok(plan.map(|Json(plan)| plan).unwrap_or_default())
}

fn write_plan(tx: &Transaction<'_>, job: JobId, plan: &JobPlan) -> rusqlite::Result<()> {
    tx.execute("UPDATE jobs SET plan = ?2 WHERE id = ?1", params![job, Json(plan)]).map(drop)
}

/// An image that is new or changed.
struct Changed {
    image: ImageRef,
    /// The stores that have the image already.
    stored_in: StoreSet,
    /// A known object with the same ETag and size.
    possible_copy: Option<ImageUri>,
}

fn insert_batch(tx: &Transaction<'_>, job: JobId, images: &[Changed]) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO batches(job, state) VALUES (?1, 'todo')")?.execute([job])?;
    let batch = tx.last_insert_rowid();
    let mut insert = tx.prepare_cached(
        "INSERT INTO items(job, batch, uri, etag, size, have, twin) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for Changed { image, stored_in, possible_copy } in images {
        insert.execute(params![job, batch, image.uri, image.etag, image.size_bytes, stored_in, possible_copy])?;
    }
    Ok(())
}
