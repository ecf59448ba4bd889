//! Merges several ascending lists of ids.

use std::iter::Peekable;
use std::pin::Pin;
use std::vec;

use futures::stream::{self, BoxStream, StreamExt};

use crate::domain::ImageId;
use crate::index::IndexError;

/// A set of stores, as a bit mask by their positions in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mask(u8);

impl Mask {
    /// Makes a set of the positions whose value is `true`.
    pub(crate) fn from_flags(values: impl IntoIterator<Item = bool>) -> Self {
        Self(values.into_iter().enumerate().fold(0, |mask, (position, value)| mask | u8::from(value) << position))
    }

    /// Makes a set of the first `count` positions.
    pub(crate) fn all(count: usize) -> Self {
        Self::from_flags((0..count).map(|_| true))
    }

    pub(crate) fn contains(self, position: usize) -> bool {
        self.0 >> position & 1 == 1
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the bit mask.
    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    /// Returns the union of both sets.
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the stores that are not in `other`.
    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// One id, and where it is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) id: ImageId,
    /// The stores that have it.
    pub(crate) stores: Mask,
    /// The stores that have it according to the ledger; `None` if the object is not in the ledger.
    pub(crate) ledger: Option<Mask>,
}

type Scan<'a> = Pin<Box<stream::Peekable<BoxStream<'a, Result<ImageId, IndexError>>>>>;

/// The merge of the lists.
pub(crate) struct Walk<'a> {
    scans: Vec<Scan<'a>>,
    ledger: Peekable<vec::IntoIter<(ImageId, Mask)>>,
}

impl<'a> Walk<'a> {
    /// Merges scans and the entries of the ledger. All of them must be in ascending order of ids.
    pub(crate) fn new(
        scans: impl Iterator<Item = BoxStream<'a, Result<ImageId, IndexError>>>,
        ledger: Vec<(ImageId, Mask)>,
    ) -> Self {
        Self { scans: scans.map(|scan| Box::pin(scan.peekable())).collect(), ledger: ledger.into_iter().peekable() }
    }

    /// Returns the next id.
    pub(crate) async fn next(&mut self) -> Result<Option<Place>, IndexError> {
        let mut heads = Vec::with_capacity(self.scans.len());
        for scan in &mut self.scans {
            heads.push(match scan.as_mut().peek().await {
                Some(Ok(id)) => Some(*id),
                Some(Err(error)) => return Err(error.clone()),
                None => None,
            });
        }
        let known = self.ledger.peek().map(|(id, _)| *id);
        let Some(id) = heads.iter().copied().chain([known]).flatten().min() else { return Ok(None) };
        for (scan, head) in self.scans.iter_mut().zip(&heads) {
            if *head == Some(id) {
                scan.next().await;
            }
        }
        let ledger = self.ledger.next_if(|(known, _)| *known == id).map(|(_, mask)| mask);
        Ok(Some(Place { id, stores: Mask::from_flags(heads.into_iter().map(|head| head == Some(id))), ledger }))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(n: u128) -> ImageId {
        ImageId(Uuid::from_u128(n))
    }

    fn scan(ids: &[u128]) -> BoxStream<'static, Result<ImageId, IndexError>> {
        stream::iter(ids.iter().map(|n| Ok(id(*n))).collect::<Vec<_>>()).boxed()
    }

    #[tokio::test]
    async fn every_id_is_returned_once_with_its_stores() {
        let ledger = vec![(id(2), Mask::all(2)), (id(5), Mask::from_flags([true, false]))];
        let mut walk = Walk::new([scan(&[1, 2, 4]), scan(&[2, 3, 4])].into_iter(), ledger);
        let mut places = Vec::new();
        while let Some(place) = walk.next().await.unwrap() {
            places.push((place.id.0.as_u128(), place.stores.0, place.ledger.map(|mask| mask.0)));
        }
        assert_eq!(
            places,
            [(1, 0b01, None), (2, 0b11, Some(0b11)), (3, 0b10, None), (4, 0b11, None), (5, 0, Some(0b01))]
        );
    }
}
