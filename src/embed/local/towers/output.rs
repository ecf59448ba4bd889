//! Which output of a network is the vector, and how a vector is made of rows.

use rten_tensor::Tensor;
use rten_tensor::prelude::*;

use super::{listed, rows};
use crate::embed::local::engine::{Network, Port};
use crate::models::{OutputRule, Pooling};

/// The output of one tower.
pub(super) struct Output {
    pub(super) name: String,
    pooling: Option<Pooling>,
    /// Number of values in a vector, if the network says it.
    pub(super) dimension: Option<usize>,
}

/// Output with one row for each patch or token.
const HIDDEN: &str = "last_hidden_state";
/// In CLIP it is the vector before the projection.
const POOLER: &str = "pooler_output";

impl Output {
    /// Chooses the output with the vector; `tower` is `image` or `text`.
    ///
    /// # Errors
    /// A message with the names of all outputs.
    pub(super) fn choose(network: &dyn Network, tower: &str, rule: OutputRule) -> Result<Self, String> {
        let outputs = network.outputs();
        let find = |name: &str| outputs.iter().find(|port| port.name == name);
        let vectors = [
            format!("l2norm_{tower}_embeddings"),
            format!("{tower}_embeds"),
            format!("{tower}_embeddings"),
            "embedding".to_owned(),
            "embeddings".to_owned(),
            "sentence_embedding".to_owned(),
        ];
        let is_vector = |port: &&Port| port.name != POOLER && port.shape.len() == 2;
        let hidden = rule.hidden.and_then(|pooling| Some((find(HIDDEN)?, Some(pooling))));
        let found = vectors
            .iter()
            .find_map(|name| find(name))
            .or_else(|| find(POOLER).filter(|_| rule.pooler))
            .map(|port| (port, None))
            .or(hidden)
            .or_else(|| {
                let mut vectors = outputs.iter().filter(is_vector);
                vectors.next().filter(|_| vectors.next().is_none()).map(|port| (port, None))
            });
        let (port, pooling) = found.ok_or_else(|| {
            let names = listed(outputs.iter().map(|port| &*port.name));
            format!("none of its outputs is a vector that can be compared; it has {names}")
        })?;
        Ok(Self { name: port.name.clone(), pooling, dimension: port.shape.last().copied().flatten() })
    }

    /// Returns one vector for each input of a run. `lengths` are the numbers of real tokens, for a mean.
    pub(super) fn vectors(&self, output: &Tensor<f32>, lengths: &[usize]) -> Vec<Vec<f32>> {
        let (Some(pooling), &[_, tokens, width]) = (self.pooling, output.shape()) else { return rows(output) };
        let pool = |(at, row): (usize, Vec<f32>)| match pooling {
            Pooling::First => row[..width].to_vec(),
            Pooling::Mean => mean(&row, width, lengths.get(at).copied().unwrap_or(tokens)),
        };
        rows(output).into_iter().enumerate().map(pool).collect()
    }
}

/// Returns the mean of the first `count` rows of this width.
fn mean(rows: &[f32], width: usize, count: usize) -> Vec<f32> {
    let mut sum = vec![0.0; width];
    for row in rows.chunks_exact(width).take(count) {
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += value;
        }
    }
    // The length of the vector is changed to 1 later, so that the sum is enough.
    sum
}

/// Changes the values to the mean 0 and the variance 1.
pub(super) fn layer_norm(row: &mut [f32]) {
    #[expect(clippy::cast_precision_loss, reason = "a vector has at most some thousand values")]
    let count = row.len().max(1) as f32;
    let mean = row.iter().sum::<f32>() / count;
    let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count;
    let scale = (variance + 1e-5).sqrt().recip();
    for value in row {
        *value = (*value - mean) * scale;
    }
}
