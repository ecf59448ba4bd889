//! A number of each record: its width, its height, its times or its position.

use rusqlite::Connection;

use super::column::Column;
use super::predicate::Attributes;
use super::slot_set::SlotSet;
use crate::domain::Timestamp;
use crate::index::embedded::rows;

/// A field of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberField {
    Width,
    Height,
    /// In microseconds of Unix time.
    IndexedAt,
    /// In microseconds of Unix time.
    TakenAt,
    /// In steps of 10⁻⁷ degrees.
    Latitude,
    Longitude,
}

/// A number, or a value below all numbers for an empty slot and for a record without the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Number(i64);

impl Default for Number {
    fn default() -> Self {
        Self(i64::MIN)
    }
}

/// The values of one field. Cloning copies pointers.
#[derive(Clone, Debug)]
pub(super) struct NumberColumn {
    field: NumberField,
    numbers: Column<Number>,
}

impl NumberColumn {
    /// Reads the numbers of the records in the slots that are occupied.
    pub(super) fn read(
        field: NumberField,
        (connection, n): (&Connection, i64),
        is_occupied: impl Fn(u32) -> bool,
    ) -> rusqlite::Result<Self> {
        let name = match field {
            NumberField::Width => "width",
            NumberField::Height => "height",
            NumberField::IndexedAt => "indexed_at",
            NumberField::TakenAt => "taken_at",
            NumberField::Latitude => "lat",
            NumberField::Longitude => "lon",
        };
        let mut numbers = Column::default();
        rows::each(connection, &format!("SELECT slot, {name} FROM slots_{n}"), |row| {
            let slot = row.get(0)?;
            let number = match field {
                NumberField::Width
                | NumberField::Height
                | NumberField::TakenAt
                | NumberField::Latitude
                | NumberField::Longitude => row.get(1)?,
                NumberField::IndexedAt => Timestamp::parse(row.get_ref(1)?.as_str()?).ok().map(Timestamp::unix_micros),
            };
            if let Some(number) = number.filter(|_| is_occupied(slot)) {
                numbers.set(slot, Number(number));
            }
            Ok(())
        })?;
        Ok(Self { field, numbers })
    }

    pub(super) fn field(&self) -> NumberField {
        self.field
    }

    /// Stores the number of the record in a slot; `None` for an empty slot.
    pub(super) fn set(&mut self, slot: u32, attributes: Option<&Attributes>) {
        let number = attributes.and_then(|attributes| match self.field {
            NumberField::Width => Some(attributes.width.into()),
            NumberField::Height => Some(attributes.height.into()),
            NumberField::IndexedAt => Some(attributes.indexed_at.unix_micros()),
            NumberField::TakenAt => attributes.taken_at.map(Timestamp::unix_micros),
            NumberField::Latitude => attributes.location.map(|location| location.lat_e7().into()),
            NumberField::Longitude => attributes.location.map(|location| location.lon_e7().into()),
        });
        self.numbers.set(slot, number.map(Number).unwrap_or_default());
    }

    /// Returns the slots of the records whose number is at least `min`.
    pub(super) fn at_least(&self, min: i64) -> SlotSet {
        self.numbers.select(|number| number >= Number(min))
    }

    /// Returns the slots of the records whose number is from `min` to `max`.
    pub(super) fn between(&self, min: i64, max: i64) -> SlotSet {
        // The lowest number is that of a record without one.
        let min = min.max(i64::MIN + 1);
        self.numbers.select(|number| number >= Number(min) && number <= Number(max))
    }

    /// Returns the number of the record in a slot.
    pub(super) fn get(&self, slot: u32) -> Option<i64> {
        let number = self.numbers.get(slot);
        (number != Number::default()).then_some(number.0)
    }

    pub(super) fn bytes(&self) -> usize {
        self.numbers.bytes()
    }
}
