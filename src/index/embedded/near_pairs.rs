//! Finds the pairs of similar records: compares every vector with every later one, block by block.

use std::sync::Arc;

use super::products::products;
use super::version::Version;
use crate::domain::ImageId;
use crate::index::NearPairs;

/// The vectors that are compared with all later ones at the same time. With 512 numbers each they fit into the cache of
/// one core, and the other vectors are read from memory once for each block.
const BLOCK: usize = 128;
/// The other vectors that are compared at the same time.
const TILE: usize = 40;

/// The vectors of one moment.
#[derive(Debug)]
pub(super) struct PairSearch {
    version: Arc<Version>,
    records: Vec<(ImageId, u32)>,
    options: NearPairs,
}

impl PairSearch {
    pub(super) fn new(version: Arc<Version>, options: NearPairs) -> Self {
        let blocks = version.blocks();
        let occupied =
            blocks.flat_map(|(first, block)| block.iter().zip(first..).filter_map(|(id, slot)| Some(((*id)?, slot))));
        let records = occupied.filter(|(id, _)| !options.without.contains(id)).collect();
        Self { version, records, options }
    }

    /// Returns the number of blocks.
    pub(super) fn blocks(&self) -> usize {
        self.records.len().div_ceil(BLOCK)
    }

    /// Returns the nearest later records of each record of a block.
    pub(super) fn pairs(&self, block: usize) -> Vec<(ImageId, ImageId)> {
        let map = self.version.map();
        let first = block * BLOCK;
        let later = &self.records[first..];
        let rows: Vec<&[f32]> = later.iter().take(BLOCK).map(|(_, slot)| map.row(*slot)).collect();
        let mut nearest: Vec<Nearest> = rows.iter().map(|_| Nearest::new(&self.options)).collect();
        let mut scores = Vec::new();
        for (from, tile) in (0..).step_by(TILE).zip(later.chunks(TILE)) {
            let columns: Vec<&[f32]> = tile.iter().map(|(_, slot)| map.row(*slot)).collect();
            products(&rows, &columns, &mut scores);
            for (row, (nearest, scores)) in nearest.iter_mut().zip(scores.chunks(columns.len())).enumerate() {
                for (other, score) in (from..).zip(scores) {
                    if *score >= nearest.limit && other > row {
                        nearest.add(other, *score);
                    }
                }
            }
        }
        let pairs = nearest
            .iter()
            .zip(later)
            .flat_map(|(nearest, (id, _))| nearest.found.iter().map(move |(other, _)| (*id, later[*other].0)));
        pairs.collect()
    }
}

/// The nearest records of one record.
struct Nearest {
    max: usize,
    /// The score that a further record needs.
    limit: f32,
    found: Vec<(usize, f32)>,
}

impl Nearest {
    fn new(options: &NearPairs) -> Self {
        Self { max: options.max_per_record, limit: options.min_score, found: Vec::new() }
    }

    fn add(&mut self, record: usize, score: f32) {
        self.found.push((record, score));
        if self.found.len() > self.max {
            let worst = (0..self.found.len()).min_by(|a, b| self.found[*a].1.total_cmp(&self.found[*b].1));
            worst.map(|worst| self.found.swap_remove(worst));
        }
        if self.found.len() == self.max {
            self.limit = self.found.iter().fold(f32::INFINITY, |limit, (_, score)| limit.min(*score));
        }
    }
}
