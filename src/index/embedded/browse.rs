//! Pages of records in an order, without a query.
//!
//! Each page reads one column of every record, except in the order of ids, which is that of the table.

use std::borrow::Cow;
use std::cmp::Reverse;

use rusqlite::Connection;
use serde::Deserialize;

use super::collection::Collection;
use super::error::Fault;
use super::filter::{self, SlotSet};
use super::rows::{self, id, parse_payload, raw};
use super::version::Version;
use crate::domain::{BrowsePage, BrowseQuery, FirstItems, ImageId, PageStart, StoredImage, Timestamp};
use crate::index::shared::{IdRange, random_ranges};

/// A record of a page, and the start of the page after it.
struct Candidate {
    id: ImageId,
    slot: u32,
    next: PageStart,
}

/// The rows that a page is made from.
struct Records<'a> {
    connection: &'a Connection,
    number: i64,
    version: &'a Version,
    /// `None` for all.
    allowed: Option<&'a SlotSet>,
}

/// The part of a payload that is read for the order of keys.
#[derive(Deserialize)]
struct Key<'t> {
    #[serde(borrow)]
    s3_key: Cow<'t, str>,
}

impl Collection {
    /// Returns a page of records. Damaged ones are left out.
    pub(super) fn browse(&self, query: &BrowseQuery) -> Result<BrowsePage, Fault> {
        let snapshot = self.snapshot()?;
        let connection = snapshot.rows()?;
        let allowed = filter::slots(connection, self.number(), &query.filter)?;
        let records =
            Records { connection, number: self.number(), version: &snapshot.version, allowed: allowed.as_ref() };
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
            PageStart::Key { after } => self.by_key(after.as_ref(), limit),
            PageStart::Random { first, after } => self.by_id(*first, *after, limit),
        }
    }

    fn is_allowed(&self, slot: u32) -> bool {
        self.allowed.is_none_or(|allowed| allowed.contains(slot))
    }

    fn newest(&self, after: Option<(Timestamp, ImageId)>, limit: usize) -> Result<Vec<Candidate>, Fault> {
        // Timestamps are texts of equal length, so the order of the texts is the order of the moments.
        let after = after.map(|(moment, id)| (Reverse(moment.to_string()), id));
        let mut first = FirstItems::new(limit);
        let sql = format!("SELECT id, slot, indexed_at FROM records_{}", self.number);
        rows::each(self.connection, &sql, |row| {
            let slot = row.get(1)?;
            if self.is_allowed(slot) {
                let item = (Reverse(row.get::<_, String>(2)?), id(row, 0)?);
                if after.as_ref().is_none_or(|after| item > *after) {
                    first.offer((item, slot));
                }
            }
            Ok(())
        })?;
        let candidate = |((Reverse(moment), id), slot): ((Reverse<String>, ImageId), u32)| {
            let moment = Timestamp::parse(&moment).map_err(|error| Fault::Damaged(error.to_string()))?;
            Ok(Candidate { id, slot, next: PageStart::Newest { after: Some((moment, id)) } })
        };
        first.into_sorted().into_iter().map(candidate).collect()
    }

    fn by_key(&self, after: Option<&(String, ImageId)>, limit: usize) -> Result<Vec<Candidate>, Fault> {
        let mut first = FirstItems::new(limit);
        let sql = format!("SELECT slot, payload FROM payloads_{}", self.number);
        rows::each(self.connection, &sql, |row| {
            let slot = row.get(0)?;
            let Some(id) = self.version.occupant(slot).filter(|_| self.is_allowed(slot)) else { return Ok(()) };
            if let Ok(Key { s3_key }) = parse_payload(slot, raw(row, 1)?) {
                let item = (s3_key, id);
                if after.is_none_or(|(key, id)| (item.0.as_ref(), item.1) > (key.as_str(), *id)) {
                    first.offer((item.0.into_owned(), item.1, slot));
                }
            }
            Ok(())
        })?;
        let candidate = |(key, id, slot)| Candidate { id, slot, next: PageStart::Key { after: Some((key, id)) } };
        Ok(first.into_sorted().into_iter().map(candidate).collect())
    }

    fn by_id(&self, first: ImageId, after: Option<ImageId>, limit: usize) -> Result<Vec<Candidate>, Fault> {
        let sql = format!("SELECT id, slot FROM records_{} WHERE id > ?1 AND id < ?2 ORDER BY id", self.number);
        let mut select = self.connection.prepare_cached(&sql)?;
        let mut found = Vec::new();
        for IdRange { after, before } in random_ranges(first, after) {
            // Ids have 16 bytes: the empty blob is below all of them.
            let bounds = [after.map_or(Vec::new(), bytes), before.map_or(vec![u8::MAX; 17], bytes)];
            let mut rows = select.query(bounds)?;
            while found.len() < limit
                && let Some(row) = rows.next()?
            {
                let (id, slot) = (id(row, 0)?, row.get(1)?);
                if self.is_allowed(slot) {
                    found.push(Candidate { id, slot, next: PageStart::Random { first, after: Some(id) } });
                }
            }
        }
        Ok(found)
    }
}

fn bytes(id: ImageId) -> Vec<u8> {
    id.0.as_bytes().to_vec()
}
