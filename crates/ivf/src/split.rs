//! Finds the centroids of the two halves of a list.

use crate::Vectors;
use crate::kernel::dot;

/// The vectors of a list that are looked at.
const SAMPLE: usize = 512;
/// Steps towards the direction in which the vectors differ most (power iteration), and rounds of 2-means after it.
const POWER_STEPS: usize = 4;
const ROUNDS: usize = 4;

/// Returns two centroids: the vectors are divided along the direction in which they differ most, and then by 2-means.
/// Both are equal if the vectors are.
pub(crate) fn two_means(slots: &[u32], vectors: &impl Vectors) -> [Vec<f32>; 2] {
    let sample: Vec<&[f32]> =
        slots.iter().step_by(slots.len().div_ceil(SAMPLE).max(1)).map(|slot| vectors.vector(*slot)).collect();
    let mean = mean(sample.iter().copied());
    let direction = main_direction(&sample, &mean);
    let middle = dot(&mean, &direction);
    let mut sides: Vec<bool> = sample.iter().map(|vector| dot(vector, &direction) > middle).collect();
    let mut centroids = [mean.clone(), mean];
    for _ in 0..ROUNDS {
        for (side, centroid) in [false, true].into_iter().zip(&mut centroids) {
            let members = sample.iter().zip(&sides).filter(|(_, member)| **member == side).map(|(vector, _)| *vector);
            let new = self::mean(members);
            if !new.is_empty() {
                *centroid = new;
            }
        }
        let half_squares = centroids.each_ref().map(|centroid| dot(centroid, centroid) / 2.0);
        for (vector, side) in sample.iter().zip(&mut sides) {
            *side = dot(vector, &centroids[1]) - half_squares[1] > dot(vector, &centroids[0]) - half_squares[0];
        }
    }
    centroids
}

/// Returns the mean of vectors; empty if there are none.
fn mean<'a>(vectors: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
    let (mut sum, mut count) = (Vec::new(), 0.0);
    for vector in vectors {
        sum.resize(vector.len(), 0.0);
        add(&mut sum, vector, 1.0);
        count += 1.0;
    }
    for x in &mut sum {
        *x /= count;
    }
    sum
}

/// Returns a direction of length 1 in which the vectors differ most; not exact. Any direction if they do not differ.
fn main_direction(sample: &[&[f32]], mean: &[f32]) -> Vec<f32> {
    let farthest = sample.iter().map(|vector| difference(vector, mean)).max_by(|a, b| dot(a, a).total_cmp(&dot(b, b)));
    let mut direction = farthest.unwrap_or_else(|| mean.to_vec());
    for _ in 0..POWER_STEPS {
        let (middle, mut next, mut total) = (dot(&direction, mean), vec![0.0; mean.len()], 0.0);
        for vector in sample {
            let along = dot(vector, &direction) - middle;
            add(&mut next, vector, along);
            total += along;
        }
        add(&mut next, mean, -total);
        let length = dot(&next, &next).sqrt();
        if length < f32::EPSILON {
            break;
        }
        for x in &mut next {
            *x /= length;
        }
        direction = next;
    }
    direction
}

fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn add(sum: &mut [f32], vector: &[f32], factor: f32) {
    for (sum, x) in sum.iter_mut().zip(vector) {
        *sum += factor * x;
    }
}
