//! Pages of records in an order, without a query.
//!
//! Each order is that of a table or of an index (`indexes.rs`), so a page reads only its own records and, with a filter,
//! the entries in between. Records without a time of EXIF are in no index of it: they are found by their ids, which are in memory.

use rusqlite::{Connection, Params};

use super::collection::Collection;
use super::error::Fault;
use super::filters::SlotSet;
use super::indexes::S3_KEY;
use super::rows::{id, raw};
use super::snapshot::Snapshot;
use crate::domain::{BrowsePage, BrowseQuery, ImageId, PageStart, StoredImage, Timestamp};
use crate::index::shared::{IdRange, random_ranges};

/// A record of a page, and the start of the page after it.
struct Candidate {
    id: ImageId,
    slot: u32,
    next: PageStart,
}

/// The rows that a page is made from.
struct Records<'a> {
    collection: &'a Collection,
    snapshot: &'a Snapshot,
    connection: &'a Connection,
    /// `None` for all.
    allowed: Option<&'a SlotSet>,
}

/// A text after every timestamp. Timestamps are texts of equal length, so the order of the texts is that of the moments.
const AFTER_ALL_TIMES: &str = ":";
/// The conditions for the records after a record. One condition for both would read every record of the same time.
pub(super) const SAME_TIME: &str = "indexed_at = ?1 AND id > ?2";
pub(super) const EARLIER: &str = "indexed_at < ?1";
/// The same for the times when images were taken.
pub(super) const DATED: &str = "taken_at IS NOT NULL";
pub(super) const SAME_TAKEN: &str = "taken_at = ?1 AND id > ?2";
pub(super) const TAKEN_EARLIER: &str = "taken_at < ?1";

impl Collection {
    /// Returns a page of records. Damaged ones are left out.
    pub(super) fn browse(&self, query: &BrowseQuery) -> Result<BrowsePage, Fault> {
        let snapshot = self.snapshot()?;
        let connection = snapshot.rows()?;
        let allowed = self.allowed(&snapshot, &query.filter)?;
        let records = Records { collection: self, snapshot: &snapshot, connection, allowed: allowed.as_ref() };
        let mut candidates = records.page(&query.start, query.limit.saturating_add(1))?;
        let has_more = candidates.len() > query.limit;
        candidates.truncate(query.limit);
        let mut page = BrowsePage::default();
        for Candidate { id, slot, next } in candidates {
            page.images.extend(self.payload(&snapshot, id, slot)?.map(|payload| StoredImage { id, payload }));
            page.next = Some(next).filter(|_| has_more);
        }
        Ok(page)
    }
}

impl Records<'_> {
    fn page(&self, start: &PageStart, limit: usize) -> Result<Vec<Candidate>, Fault> {
        match start {
            PageStart::Newest { after } => self.newest(*after, limit),
            PageStart::Taken { after } => self.taken(*after, limit),
            PageStart::Key { after } => self.by_key(after.as_ref(), limit),
            PageStart::Random { first, after } => Ok(self.by_id(*first, *after, limit)),
        }
    }

    fn is_allowed(&self, slot: u32) -> bool {
        self.allowed.is_none_or(|allowed| allowed.contains(slot))
    }

    fn newest(&self, after: Option<(Timestamp, ImageId)>, limit: usize) -> Result<Vec<Candidate>, Fault> {
        let mut found = Vec::new();
        let Some((moment, id)) = after else {
            self.add_newest(&mut found, limit, EARLIER, (AFTER_ALL_TIMES,))?;
            return Ok(found);
        };
        self.add_newest(&mut found, limit, SAME_TIME, (moment.to_string(), bytes(id)))?;
        self.add_newest(&mut found, limit, EARLIER, (moment.to_string(),))?;
        Ok(found)
    }

    /// Adds records that match a condition, the newest first, until there are `limit`.
    fn add_newest(
        &self,
        found: &mut Vec<Candidate>,
        limit: usize,
        condition: &str,
        parameters: impl Params,
    ) -> Result<(), Fault> {
        let mut select = self.connection.prepare_cached(&newest_sql(self.collection.number(), condition))?;
        let mut rows = select.query(parameters)?;
        while found.len() < limit
            && let Some(row) = rows.next()?
        {
            let (id, slot) = (id(row, 0)?, row.get(1)?);
            if self.is_allowed(slot) {
                let moment = Timestamp::parse(&row.get::<_, String>(2)?);
                let moment = moment.map_err(|error| Fault::Damaged(error.to_string()))?;
                found.push(Candidate { id, slot, next: PageStart::Newest { after: Some((moment, id)) } });
            }
        }
        Ok(())
    }

    fn taken(&self, after: Option<(Option<Timestamp>, ImageId)>, limit: usize) -> Result<Vec<Candidate>, Fault> {
        let mut found = Vec::new();
        match after {
            None => self.add_taken(&mut found, limit, DATED, ())?,
            Some((Some(moment), id)) => {
                let micros = moment.unix_micros();
                self.add_taken(&mut found, limit, SAME_TAKEN, (micros, bytes(id)))?;
                self.add_taken(&mut found, limit, TAKEN_EARLIER, (micros,))?;
            }
            Some((None, _)) => {}
        }
        if found.len() < limit {
            self.add_undated(&mut found, limit, after.filter(|(moment, _)| moment.is_none()).map(|(_, id)| id))?;
        }
        Ok(found)
    }

    /// Adds records without a time after an id, in the order of their ids, until there are `limit`.
    fn add_undated(&self, found: &mut Vec<Candidate>, limit: usize, after: Option<ImageId>) -> Result<(), Fault> {
        let dated = self.collection.dated(self.snapshot)?;
        let undated = self.snapshot.version.ids().after(after).filter(|(_, slot)| !dated.contains(*slot));
        let allowed = undated.filter(|(_, slot)| self.is_allowed(*slot)).take(limit - found.len());
        found.extend(allowed.map(|(id, slot)| {
            let next = PageStart::Taken { after: Some((None, id)) };
            Candidate { id, slot, next }
        }));
        Ok(())
    }

    /// Adds records that match a condition, those taken last first, until there are `limit`.
    fn add_taken(
        &self,
        found: &mut Vec<Candidate>,
        limit: usize,
        condition: &str,
        parameters: impl Params,
    ) -> Result<(), Fault> {
        let mut select = self.connection.prepare_cached(&taken_sql(self.collection.number(), condition))?;
        let mut rows = select.query(parameters)?;
        while found.len() < limit
            && let Some(row) = rows.next()?
        {
            let (id, slot) = (id(row, 0)?, row.get(1)?);
            if self.is_allowed(slot) {
                let moment = Timestamp::from_unix_micros(row.get(2)?);
                found.push(Candidate { id, slot, next: PageStart::Taken { after: Some((moment, id)) } });
            }
        }
        Ok(())
    }

    fn by_key(&self, after: Option<&(String, ImageId)>, limit: usize) -> Result<Vec<Candidate>, Fault> {
        let mut select = self.connection.prepare_cached(&key_sql(self.collection.number()))?;
        let mut rows = select.query((after.map_or("", |(key, _)| key),))?;
        let mut found: Vec<(String, ImageId, u32)> = Vec::new();
        while let Some(row) = rows.next()? {
            let slot = row.get(0)?;
            let Some(id) = self.snapshot.version.occupant(slot).filter(|_| self.is_allowed(slot)) else { continue };
            let Ok(key) = std::str::from_utf8(raw(row, 1)?) else { continue };
            // Records with the same key (of several buckets) are sorted by their ids below, so all of them are read.
            if found.len() >= limit && found.last().is_some_and(|(last, ..)| last != key) {
                break;
            }
            if after.is_none_or(|(after, after_id)| (key, id) > (after.as_str(), *after_id)) {
                found.push((key.to_owned(), id, slot));
            }
        }
        found.sort_unstable();
        found.truncate(limit);
        let candidate = |(key, id, slot)| Candidate { id, slot, next: PageStart::Key { after: Some((key, id)) } };
        Ok(found.into_iter().map(candidate).collect())
    }

    fn by_id(&self, first: ImageId, after: Option<ImageId>, limit: usize) -> Vec<Candidate> {
        let mut found = Vec::new();
        for IdRange { after, before } in random_ranges(first, after) {
            let inside =
                self.snapshot.version.ids().after(after).take_while(|(id, _)| before.is_none_or(|before| *id < before));
            let allowed = inside.filter(|(_, slot)| self.is_allowed(*slot)).take(limit - found.len());
            found.extend(allowed.map(|(id, slot)| {
                let next = PageStart::Random { first, after: Some(id) };
                Candidate { id, slot, next }
            }));
        }
        found
    }
}

fn bytes(id: ImageId) -> Vec<u8> {
    id.0.as_bytes().to_vec()
}

/// Returns the query for the records that match a condition on their times, the newest first.
pub(super) fn newest_sql(n: i64, condition: &str) -> String {
    format!("SELECT id, slot, indexed_at FROM slots_{n} WHERE {condition} ORDER BY indexed_at DESC, id")
}

/// Returns the query for the records that match a condition on when they were taken, the latest first.
pub(super) fn taken_sql(n: i64, condition: &str) -> String {
    format!("SELECT id, slot, taken_at FROM slots_{n} WHERE {condition} ORDER BY taken_at DESC, id")
}

/// Returns the query for the slots and keys from a key on, by key.
pub(super) fn key_sql(n: i64) -> String {
    format!("SELECT slot, {S3_KEY} FROM payloads_{n} WHERE {S3_KEY} >= ?1 ORDER BY {S3_KEY}")
}
