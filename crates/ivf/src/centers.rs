//! The centroids of the lists, and how they give a vector its list and its code.

use std::sync::Arc;

use crate::block::{BLOCK, Codes};
use crate::code::{Entry, Query, encode};
use crate::kernel::{dot, sums};
use crate::rotation::Rotation;

/// The lists with the best estimates whose centroids are compared exactly with a vector that is added.
const REFINED_LISTS: usize = 24;

/// The centroid of a list.
#[derive(Debug)]
pub(crate) struct Center {
    /// Identifies the list. The number is never used for another one.
    pub(crate) number: u32,
    pub(crate) centroid: Vec<f32>,
    /// The rotated centroid.
    pub(crate) rotated: Vec<f32>,
    /// Half of the squared length of the centroid.
    half_square: f32,
}

impl Center {
    pub(crate) fn new(rotation: &Rotation, number: u32, centroid: Vec<f32>) -> Self {
        let (rotated, half_square) = (rotation.rotated(&centroid), dot(&centroid, &centroid) / 2.0);
        Self { number, centroid, rotated, half_square }
    }

    /// Returns a number that is greater the nearer the vector is to the centroid.
    pub(crate) fn closeness(&self, vector: &[f32]) -> f32 {
        dot(vector, &self.centroid) - self.half_square
    }
}

/// The centroids of all lists, by the positions of the lists.
#[derive(Clone, Debug)]
pub(crate) struct Centers {
    pub(crate) rotation: Arc<Rotation>,
    pub(crate) all: Vec<Arc<Center>>,
    /// Half of the squared length of each centroid; side by side, because each search reads them.
    half_squares: Vec<f32>,
    /// The codes of the centroids; the slots are the positions of the lists.
    codes: Codes,
    pub(crate) next_number: u32,
}

impl Centers {
    pub(crate) fn new(length: usize) -> Self {
        let (rotation, codes) = (Arc::new(Rotation::new(length)), Codes::new(length));
        Self { rotation, all: Vec::new(), half_squares: Vec::new(), codes, next_number: 0 }
    }

    /// Puts the centroid of a new list at a position, the next one or that of a list that it replaces.
    pub(crate) fn set_new(&mut self, at: usize, centroid: Vec<f32>) -> Arc<Center> {
        let center = Arc::new(Center::new(&self.rotation, self.next_number, centroid));
        self.next_number += 1;
        self.set(at, Arc::clone(&center));
        center
    }

    pub(crate) fn set(&mut self, at: usize, center: Arc<Center>) {
        let (scale, row) = encode(&center.rotated, &vec![0.0; center.rotated.len()]);
        #[expect(clippy::cast_possible_truncation, reason = "there are fewer lists than slots")]
        self.codes.set(at, at as u32, scale, &row);
        if at == self.all.len() {
            self.half_squares.push(center.half_square);
            self.all.push(center);
        } else {
            self.half_squares[at] = center.half_square;
            self.all[at] = center;
        }
    }

    /// Returns how near a vector is to the centroid of a list, from its product with the centroid; see [`Center::closeness`].
    pub(crate) fn closeness(&self, list: u32, product: f32) -> f32 {
        product - self.half_squares[list as usize]
    }

    /// Returns the estimated product of a query and each centroid, with the position of the list.
    pub(crate) fn estimates(&self, query: &Query) -> Vec<(f32, u32)> {
        let mut estimates = Vec::with_capacity(self.all.len());
        let mut products = [0; BLOCK];
        for (number, (block, count)) in (1..).zip(self.codes.blocks()) {
            sums(&block.codes, &query.words, &mut products, self.codes.ahead(number, None));
            let codes = products.iter().zip(&block.scales).zip(&block.slots).take(count);
            estimates.extend(codes.map(|((product, scale), slot)| (query.estimate(*product, *scale), *slot)));
        }
        estimates
    }

    fn encode(&self, vector: &[f32]) -> Entry {
        let query = Query::new(&self.rotation, vector);
        let Some(list) = self.nearest(vector, &query) else {
            // The first vector is the centroid of the first list.
            let (scale, row) = encode(&query.rotated, &query.rotated);
            return Entry { list: 0, number: self.next_number, scale, row };
        };
        let center = &self.all[list];
        let (scale, row) = encode(&query.rotated, &center.rotated);
        Entry { list, number: center.number, scale, row }
    }

    fn nearest(&self, vector: &[f32], query: &Query) -> Option<usize> {
        let mut best = self.estimates(query);
        for (product, list) in &mut best {
            *product = self.closeness(*list, *product);
        }
        if best.len() > REFINED_LISTS {
            best.select_nth_unstable_by(REFINED_LISTS, |a, b| b.0.total_cmp(&a.0));
            best.truncate(REFINED_LISTS);
        }
        let exact = best.into_iter().map(|(_, list)| (self.all[list as usize].closeness(vector), list as usize));
        exact.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, list)| list)
    }
}

/// Computes codes for an index as it was at one moment. It shares the centroids with the index but not the codes, so the index can
/// be changed in place meanwhile.
#[derive(Clone, Debug)]
pub struct Encoder(pub(crate) Arc<Centers>);

impl Encoder {
    /// Finds the list for a vector and computes its code. This is the expensive part of an insertion.
    pub fn encode(&self, vector: &[f32]) -> Entry {
        self.0.encode(vector)
    }
}
