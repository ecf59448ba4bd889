//! Converts a [`Filter`] into a set of slots.
//!
//! The sets of the predicates that were used before are in memory ([`FilterCache`]), in the state of the version that a reader
//! has: each commit changes them together with the version. So are columns with a value for each slot: sets of ranges are made
//! from them, and values are counted. A reader that needs a set or a column that is not in memory reads it from SQLite. It then
//! brings it to the state of the newest version and stores it there, unless too much has changed meanwhile.

mod cache;
mod column;
mod item;
mod numbers;
mod predicate;
mod slot_set;
mod terms;
#[cfg(test)]
mod test_records;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(super) use self::cache::FilterCache;
use self::cache::max_bytes;
use self::item::{Item, Key};
use self::numbers::{NumberColumn, NumberField};
pub(super) use self::predicate::Attributes;
use self::predicate::Predicate;
pub(super) use self::slot_set::SlotSet;
pub(super) use self::terms::{TextColumn, TextField};
use super::collection::Collection;
use super::error::Fault;
use super::rows::{self, camera_term, folder_term, meta_term, month_term};
use super::snapshot::Snapshot;
use super::version::Version;
use crate::domain::{BoundingBox, Circle, Condition, Filter, MetaValue, Position, Timestamp};

/// How often a reader tries to bring an item to the state of the newest version, and the maximum number of slots that may have
/// changed.
const MAX_TRIES: usize = 8;
const MAX_CHANGES: usize = 16_384;

impl Collection {
    /// Returns the slots whose records match `filter`, or `None` if the filter has no condition. Selects the same records
    /// as [`Filter::matches`]; a test compares the two.
    pub(super) fn allowed(&self, snapshot: &Snapshot, filter: &Filter) -> Result<Option<SlotSet>, Fault> {
        let Filter { formats, folders, min_width, min_height, indexed_after, meta, .. } = filter;
        let Filter { cameras, taken, taken_months, near, bbox, .. } = filter;
        let mut selection = Selection { collection: self, snapshot, included: None, excluded: SlotSet::default() };
        selection.add(folders, |folder| Predicate::Term(folder_term(folder)))?;
        for (key, condition) in meta {
            selection.add(condition, |value| match value {
                MetaValue::Text(text) => Predicate::Term(meta_term(key, text)),
                range => Predicate::Range { prefix: meta_term(key, ""), range: range.clone() },
            })?;
        }
        selection.add(formats, |format| Predicate::Format(*format))?;
        selection.add(cameras, |camera| Predicate::Term(camera_term(camera)))?;
        selection.add(taken_months, |month| Predicate::Term(month_term(&month.to_string())))?;
        let bounds = [
            min_width.map(Predicate::MinWidth),
            min_height.map(Predicate::MinHeight),
            indexed_after.map(Predicate::IndexedAfter),
            taken.map(Predicate::Taken),
            near.map(Predicate::Near),
            bbox.map(Predicate::Within),
        ];
        for predicate in bounds.into_iter().flatten() {
            selection.intersect(self.slots(snapshot, predicate)?);
        }
        selection.into_slots()
    }

    /// Returns the values of a field for each slot; `None` if they need too much memory.
    pub(super) fn texts(&self, snapshot: &Snapshot, field: &TextField) -> Result<Option<TextColumn>, Fault> {
        match snapshot.filters.get(Key::Texts(field)) {
            Some(Item::Texts(column)) => return Ok(Some(column.clone())),
            Some(_) => return Ok(None),
            None => {}
        }
        let source = (snapshot.rows()?, self.number());
        // The other half is for the other items.
        let max_bytes = max_bytes(snapshot.version.slots()) / 2;
        let column = TextColumn::read(field, source, |slot| snapshot.version.occupant(slot).is_some(), max_bytes)?;
        let item = column.clone().map_or_else(|| Item::TooLarge(field.clone()), Item::Texts);
        self.store_item(&snapshot.version, item)?;
        Ok(column)
    }

    fn numbers(&self, snapshot: &Snapshot, field: NumberField) -> Result<NumberColumn, Fault> {
        if let Some(Item::Numbers(column)) = snapshot.filters.get(Key::Numbers(field)) {
            return Ok(column.clone());
        }
        let source = (snapshot.rows()?, self.number());
        let column = NumberColumn::read(field, source, |slot| snapshot.version.occupant(slot).is_some())?;
        self.store_item(&snapshot.version, Item::Numbers(column.clone()))?;
        Ok(column)
    }

    /// Returns the slots of the records that fulfil the predicate.
    fn slots(&self, snapshot: &Snapshot, predicate: Predicate) -> Result<SlotSet, Fault> {
        if let Some(Item::Slots(_, slots)) = snapshot.filters.get(Key::Slots(&predicate)) {
            return Ok(slots.clone());
        }
        let slots = if let Some(slots) = self.slots_from_column(snapshot, &predicate)? {
            slots
        } else {
            let mut slots = predicate.select(snapshot.rows()?, self.number())?;
            slots.retain(|slot| snapshot.version.occupant(slot).is_some());
            slots
        };
        let slots = slots.counted();
        self.store_item(&snapshot.version, Item::Slots(predicate, slots.clone()))?;
        Ok(slots)
    }

    /// Returns the slots of the records that fulfil the predicate; `None` if no column has the values. SQLite finds a term and the
    /// records with a time without reading the others, so they need no column.
    fn slots_from_column(&self, snapshot: &Snapshot, predicate: &Predicate) -> Result<Option<SlotSet>, Fault> {
        let at_least = |field, min| Ok(Some(self.numbers(snapshot, field)?.at_least(min)));
        match predicate {
            Predicate::All | Predicate::Term(_) | Predicate::Dated => Ok(None),
            Predicate::Format(format) => {
                let column = self.texts(snapshot, &TextField::Format)?;
                Ok(column.map(|column| column.select(|value| value == format.as_str())))
            }
            Predicate::Range { prefix, range } => {
                let column = self.texts(snapshot, &TextField::Terms(prefix.clone()))?;
                Ok(column.map(|column| column.select(|value| range.matches(value))))
            }
            Predicate::MinWidth(min) => at_least(NumberField::Width, i64::from(*min)),
            Predicate::MinHeight(min) => at_least(NumberField::Height, i64::from(*min)),
            Predicate::IndexedAfter(after) => at_least(NumberField::IndexedAt, after.unix_micros().saturating_add(1)),
            Predicate::Taken(range) => {
                let [min, max] = [range.min, range.max].map(|bound| bound.map(Timestamp::unix_micros));
                let column = self.numbers(snapshot, NumberField::TakenAt)?;
                Ok(Some(column.between(min.unwrap_or(i64::MIN), max.unwrap_or(i64::MAX))))
            }
            Predicate::Near(circle) => self.near(snapshot, circle).map(Some),
            Predicate::Within(bbox) => self.within(snapshot, bbox).map(Some),
        }
    }

    /// Returns the slots of the records that have a time at which the image was taken.
    pub(super) fn dated(&self, snapshot: &Snapshot) -> Result<SlotSet, Fault> {
        self.slots(snapshot, Predicate::Dated)
    }

    fn within(&self, snapshot: &Snapshot, bbox: &BoundingBox) -> Result<SlotSet, Fault> {
        let (south, north) = (bbox.south_west.lat_e7(), bbox.north_east.lat_e7());
        let mut slots = self.numbers(snapshot, NumberField::Latitude)?.between(south.into(), north.into());
        let column = self.numbers(snapshot, NumberField::Longitude)?;
        let mut in_lon = SlotSet::default();
        for (west, east) in bbox.lon_ranges() {
            in_lon.unite(&column.between(west.into(), east.into()));
        }
        slots.intersect(&in_lon);
        Ok(slots)
    }

    /// Computes the distance only for the records in the box around the circle.
    fn near(&self, snapshot: &Snapshot, circle: &Circle) -> Result<SlotSet, Fault> {
        let mut slots = self.within(snapshot, &circle.bounding_box())?;
        let lat = self.numbers(snapshot, NumberField::Latitude)?;
        let lon = self.numbers(snapshot, NumberField::Longitude)?;
        let location = |slot| {
            let [lat, lon] = [lat.get(slot)?, lon.get(slot)?].map(|steps| i32::try_from(steps).ok());
            Position::from_e7(lat?, lon?)
        };
        slots.retain(|slot| location(slot).is_some_and(|location| circle.contains(location)));
        Ok(slots)
    }

    /// Stores an item in the current version. `version` is the one that it is from. Because it is held, no slot that is
    /// occupied in it can have another record in a later version.
    fn store_item(&self, version: &Arc<Version>, mut item: Item) -> Result<(), Fault> {
        let mut version = Arc::clone(version);
        for _ in 0..MAX_TRIES {
            let insert = |filters: &mut FilterCache| filters.insert(item.clone(), version.slots());
            if self.change_filters(&version, insert) {
                break;
            }
            let snapshot = self.snapshot()?;
            let Some(changed) = snapshot.version.changes_since(&version, MAX_CHANGES) else { break };
            for slot in changed {
                let attributes = match snapshot.version.occupant(slot) {
                    None => None,
                    Some(_) => match rows::payload(snapshot.rows()?, self.number(), slot) {
                        // Its values are not known.
                        Err(Fault::Damaged(_)) => return Ok(()),
                        payload => Some(Attributes::new(&payload?)),
                    },
                };
                item.set(slot, attributes.as_ref());
            }
            version = snapshot.version;
        }
        Ok(())
    }
}

/// The slots that match the conditions so far.
struct Selection<'a> {
    collection: &'a Collection,
    snapshot: &'a Snapshot,
    /// `None` if no condition has restricted them.
    included: Option<SlotSet>,
    excluded: SlotSet,
}

impl Selection<'_> {
    fn add<T>(&mut self, condition: &Condition<T>, predicate: impl Fn(&T) -> Predicate) -> Result<(), Fault> {
        let mut any: Option<SlotSet> = None;
        for value in &condition.any_of {
            let slots = self.collection.slots(self.snapshot, predicate(value))?;
            match &mut any {
                None => any = Some(slots),
                Some(any) => any.unite(&slots),
            }
        }
        if let Some(any) = any {
            self.intersect(any);
        }
        for value in &condition.none_of {
            self.excluded.unite(&self.collection.slots(self.snapshot, predicate(value))?);
        }
        Ok(())
    }

    fn intersect(&mut self, set: SlotSet) {
        match &mut self.included {
            None => self.included = Some(set),
            Some(included) => included.intersect(&set),
        }
    }

    /// Returns the selected slots, or `None` if every slot is selected.
    fn into_slots(self) -> Result<Option<SlotSet>, Fault> {
        let Self { collection, snapshot, included, excluded } = self;
        if excluded.is_empty() {
            return Ok(included);
        }
        let mut included = included.map_or_else(|| collection.slots(snapshot, Predicate::All), Ok)?;
        included.subtract(&excluded);
        Ok(Some(included))
    }
}
