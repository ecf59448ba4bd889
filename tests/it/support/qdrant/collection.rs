//! One collection: vectors in rows, and the point of each row. Inner loops are plain, because tests are compiled
//! without optimisation.

use std::collections::{BTreeMap, HashMap};

use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::{Distance, OptimizersConfigDiff, PointId, QuantizationConfig, Value};
use serde_json::json;
use tonic::Status;
use uuid::Uuid;

/// The id of a point. Numbers come before UUIDs, as in a scroll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Num(u64),
    Uuid(Uuid),
}

impl Key {
    pub(super) fn parse(id: Option<&PointId>) -> Result<Self, Status> {
        match id.and_then(|id| id.point_id_options.as_ref()) {
            Some(PointIdOptions::Num(number)) => Ok(Self::Num(*number)),
            Some(PointIdOptions::Uuid(text)) => Uuid::parse_str(text)
                .map(Self::Uuid)
                .map_err(|_| Status::invalid_argument(format!("Unable to parse UUID: {text}"))),
            None => Err(Status::invalid_argument("Empty point id is not allowed")),
        }
    }
}

impl From<Key> for PointId {
    fn from(key: Key) -> Self {
        match key {
            Key::Num(number) => number.into(),
            Key::Uuid(id) => id.to_string().into(),
        }
    }
}

pub(super) struct Collection {
    pub(super) size: usize,
    pub(super) distance: Distance,
    pub(super) metadata: HashMap<String, Value>,
    /// What a request set when it created the collection, or later.
    pub(super) optimizers: OptimizersConfigDiff,
    pub(super) quantization: Option<QuantizationConfig>,
    /// Each field with the number of its type.
    pub(super) indexes: BTreeMap<String, i32>,
    rows: BTreeMap<Key, usize>,
    keys: Vec<Key>,
    vectors: Vec<f32>,
    payloads: Vec<HashMap<String, Value>>,
}

impl Collection {
    pub(super) fn new(size: usize, distance: Distance, metadata: HashMap<String, Value>) -> Self {
        Self {
            size,
            distance,
            metadata,
            optimizers: OptimizersConfigDiff::default(),
            quantization: None,
            indexes: BTreeMap::new(),
            rows: BTreeMap::new(),
            keys: Vec::new(),
            vectors: Vec::new(),
            payloads: Vec::new(),
        }
    }

    /// Its settings and points as JSON.
    pub(super) fn dump(&self) -> serde_json::Value {
        let points = self.ascending().filter_map(|(key, row)| match key {
            Key::Uuid(id) => Some(json!({"id": id, "vector": self.vector(row), "payload": self.payload(row)})),
            Key::Num(_) => None,
        });
        json!({
            "size": self.size,
            "distance": self.distance.as_str_name(),
            "metadata": self.metadata,
            "indexes": self.indexes,
            "points": points.collect::<Vec<_>>(),
        })
    }

    /// The collection of a [`Self::dump`].
    pub(super) fn restore(dump: &serde_json::Value) -> Self {
        let size = usize::try_from(dump["size"].as_u64().unwrap()).unwrap();
        let distance = Distance::from_str_name(dump["distance"].as_str().unwrap()).unwrap();
        let mut collection = Self::new(size, distance, payload(&dump["metadata"]));
        collection.indexes = serde_json::from_value(dump["indexes"].clone()).unwrap();
        for point in dump["points"].as_array().unwrap() {
            let id = Uuid::parse_str(point["id"].as_str().unwrap()).unwrap();
            let vector = serde_json::from_value(point["vector"].clone()).unwrap();
            collection.put(Key::Uuid(id), vector, payload(&point["payload"]));
        }
        collection
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Ids and their rows.
    pub(super) fn ascending(&self) -> impl Iterator<Item = (Key, usize)> {
        self.rows.iter().map(|(key, row)| (*key, *row))
    }

    /// The same from `key` on.
    pub(super) fn ascending_from(&self, key: Key) -> impl Iterator<Item = (Key, usize)> {
        self.rows.range(key..).map(|(key, row)| (*key, *row))
    }

    pub(super) fn row(&self, key: Key) -> Option<usize> {
        self.rows.get(&key).copied()
    }

    pub(super) fn key(&self, row: usize) -> Key {
        self.keys[row]
    }

    pub(super) fn payload(&self, row: usize) -> &HashMap<String, Value> {
        &self.payloads[row]
    }

    pub(super) fn vector(&self, row: usize) -> &[f32] {
        &self.vectors[row * self.size..(row + 1) * self.size]
    }

    pub(super) fn wrong_size(&self, got: usize) -> Option<Status> {
        let size = self.size;
        let message = format!("Wrong input: Vector dimension error: expected dim: {size}, got {got}");
        (got != size).then(|| Status::invalid_argument(message))
    }

    /// Writes a whole point of the right size. Its vector is normalised, unless it has none.
    pub(super) fn put(&mut self, key: Key, mut vector: Vec<f32>, payload: HashMap<String, Value>) {
        if self.distance == Distance::Cosine {
            let length = dot(&vector, &vector).sqrt();
            if length != 0.0 && (length - 1.0).abs() > 1e-6 {
                for number in &mut vector {
                    *number /= length;
                }
            }
        }
        if let Some(row) = self.row(key) {
            self.vectors[row * self.size..(row + 1) * self.size].copy_from_slice(&vector);
            self.payloads[row] = payload;
        } else {
            self.rows.insert(key, self.keys.len());
            self.keys.push(key);
            self.vectors.extend_from_slice(&vector);
            self.payloads.push(payload);
        }
    }

    pub(super) fn remove(&mut self, key: Key) -> bool {
        let Some(row) = self.rows.remove(&key) else { return false };
        let last = self.keys.len() - 1;
        self.vectors.copy_within(last * self.size.., row * self.size);
        self.vectors.truncate(last * self.size);
        self.payloads.swap_remove(row);
        self.keys.swap_remove(row);
        if row != last {
            self.rows.insert(self.keys[row], row);
        }
        true
    }

    /// Rows and scores of the points that match `may`, best first; NaN before all, ties in any order, zero vectors
    /// never.
    pub(super) fn nearest(&self, query: &[f32], may: impl Fn(usize) -> bool) -> Vec<(usize, f32)> {
        let length = dot(query, query).sqrt();
        let mut found = Vec::new();
        for row in 0..self.len() {
            let vector = self.vector(row);
            let score = dot(vector, query) / length;
            // Only vectors with a score of 0 can be zero vectors.
            if may(row) && (score != 0.0 || vector.iter().any(|number| *number != 0.0)) {
                found.push((row, score));
            }
        }
        found.sort_by(|(_, a), (_, b)| b.is_nan().cmp(&a.is_nan()).then_with(|| b.total_cmp(a)));
        found
    }
}

/// The fields of an object as values of Qdrant.
fn payload(object: &serde_json::Value) -> HashMap<String, Value> {
    let object = object.as_object().unwrap();
    object.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect()
}

/// Four sums in parallel; the sizes are equal.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 4];
    let mut at = 0;
    while at + 4 <= a.len() {
        let (a, b) = (&a[at..at + 4], &b[at..at + 4]);
        sums[0] += a[0] * b[0];
        sums[1] += a[1] * b[1];
        sums[2] += a[2] * b[2];
        sums[3] += a[3] * b[3];
        at += 4;
    }
    while at < a.len() {
        sums[0] += a[at] * b[at];
        at += 1;
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}
