//! What a [`FilterCache`](super::FilterCache) holds.

use super::numbers::{NumberColumn, NumberField};
use super::predicate::{Attributes, Predicate};
use super::slot_set::SlotSet;
use super::terms::{TextColumn, TextField};

/// A part of the cache, in the state of one version. Cloning copies pointers.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// The slots of the records that fulfil a predicate.
    Slots(Predicate, SlotSet),
    Numbers(NumberColumn),
    Texts(TextColumn),
    /// The values of the field need too much memory.
    TooLarge(TextField),
}

/// What an [`Item`] is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Key<'a> {
    Slots(&'a Predicate),
    Numbers(NumberField),
    Texts(&'a TextField),
}

impl Item {
    pub(super) fn key(&self) -> Key<'_> {
        match self {
            Self::Slots(predicate, _) => Key::Slots(predicate),
            Self::Numbers(column) => Key::Numbers(column.field()),
            Self::Texts(column) => Key::Texts(column.field()),
            Self::TooLarge(field) => Key::Texts(field),
        }
    }

    /// Returns whether [`set`](Self::set) may change it.
    pub(super) fn is_changed(&self, slot: u32, attributes: Option<&Attributes>) -> bool {
        match self {
            Self::Slots(predicate, slots) => match attributes {
                Some(attributes) => predicate.matches(attributes),
                None => slots.contains(slot),
            },
            Self::Numbers(_) | Self::Texts(_) => true,
            Self::TooLarge(_) => false,
        }
    }

    /// Records which record is in a slot; `None` for an empty slot.
    pub(super) fn set(&mut self, slot: u32, attributes: Option<&Attributes>) {
        match self {
            Self::Slots(predicate, slots) => {
                slots.set(slot, attributes.is_some_and(|attributes| predicate.matches(attributes)));
            }
            Self::Numbers(column) => column.set(slot, attributes),
            Self::Texts(column) => column.set(slot, attributes),
            Self::TooLarge(_) => {}
        }
    }

    /// Returns the memory of the item, also if items of other versions share it.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Slots(_, slots) => slots.bytes(),
            Self::Numbers(column) => column.bytes(),
            Self::Texts(column) => column.bytes(),
            Self::TooLarge(_) => 0,
        }
    }
}
