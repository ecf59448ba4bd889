//! Vectors of tests, and the comparison of all of them.

#![expect(clippy::cast_precision_loss, reason = "the numbers of tests are small")]

use std::cmp::Ordering;

use crate::kernel::dot;
use crate::{Candidates, Index, Positions, Vectors, prefetch};

/// A generator of numbers for tests (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A normally distributed number: the sum of twelve uniform ones.
    pub(crate) fn normal(&mut self) -> f32 {
        (0..12).map(|_| f32::from((self.bits() & 0xffff) as u16) / 65_536.0).sum::<f32>() - 6.0
    }

    pub(crate) fn unit(&mut self, length: usize) -> Vec<f32> {
        let mut vector: Vec<f32> = (0..length).map(|_| self.normal()).collect();
        normalise(&mut vector);
        vector
    }
}

pub(crate) fn normalise(vector: &mut [f32]) {
    let length = dot(vector, vector).sqrt();
    for x in vector {
        *x /= length;
    }
}

pub(crate) struct Table(pub(crate) Vec<Vec<f32>>);

impl Vectors for Table {
    fn vector(&self, slot: u32) -> &[f32] {
        &self.0[slot as usize]
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found(pub(crate) f32, pub(crate) u32);

impl Eq for Found {}

impl Ord for Found {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.total_cmp(&self.0).then(self.1.cmp(&other.1))
    }
}

impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

pub(crate) struct Request<'a> {
    pub(crate) table: &'a Table,
    pub(crate) query: &'a [f32],
    pub(crate) allowed: &'a (dyn Fn(u32) -> bool + Sync),
}

impl Candidates for Request<'_> {
    type Hit = Found;

    fn is_allowed(&self, slot: u32) -> bool {
        (self.allowed)(slot)
    }

    fn hit(&self, slot: u32, threshold: f32) -> Option<Found> {
        let score = dot(self.table.vector(slot), self.query);
        (score >= threshold).then_some(Found(score, slot))
    }

    fn prefetch(&self, slot: u32) {
        prefetch(self.table.vector(slot));
    }

    fn score(hit: &Found) -> f32 {
        hit.0
    }
}

pub(crate) const LENGTH: usize = 128;

/// Vectors in groups of similar ones, as a model makes them.
pub(crate) fn table(count: usize) -> Table {
    let mut random = Random(11);
    let centers: Vec<Vec<f32>> = (0..40).map(|_| random.unit(LENGTH)).collect();
    let vectors = (0..count).map(|at| {
        let noise = random.unit(LENGTH);
        let mut vector: Vec<f32> =
            centers[at % centers.len()].iter().zip(noise).map(|(a, b)| 0.7 * a + 0.7 * b).collect();
        normalise(&mut vector);
        vector
    });
    Table(vectors.collect())
}

/// Adds slots, and splits lists as a writer does.
pub(crate) fn insert(
    index: &mut Index,
    positions: &mut Positions,
    table: &Table,
    slots: impl IntoIterator<Item = u32>,
) {
    for slot in slots {
        let entry = index.encode(table.vector(slot));
        index.insert(positions, slot, &entry, table);
        if let Some(list) = index.list_to_split(positions, slot) {
            let split = index.plan_split(list, table);
            index.apply_split(positions, split);
        }
    }
}

pub(crate) fn exact(request: &Request<'_>, slots: impl Iterator<Item = u32>, keep: usize) -> Vec<Found> {
    let mut all: Vec<Found> = slots
        .filter(|slot| request.is_allowed(*slot))
        .filter_map(|slot| request.hit(slot, f32::NEG_INFINITY))
        .collect();
    all.sort_unstable();
    all.truncate(keep);
    all
}

pub(crate) fn recall(found: &[Found], exact: &[Found]) -> f32 {
    exact.iter().filter(|hit| found.contains(hit)).count() as f32 / exact.len() as f32
}
