//! A space: everything that determines the meaning of a vector.

use serde::{Deserialize, Serialize};

/// The model, the size of its vectors, the preprocessing, and the vectors of a few built-in probe images and texts. The
/// whole space is stored with each collection. The kind of provider is not part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Space {
    /// The model's name: a label for people; it is not compared.
    pub model: String,
    /// Numbers in a vector.
    pub dimension: usize,
    /// How an image is prepared before the model receives it, as text: `crop-260-bicubic`. A rule by which texts are
    /// cleaned follows after `+`.
    pub preprocessing: String,
    /// Vectors of the built-in probes, each of unit length.
    pub probes: Vec<Probe>,
}

/// One probe image or text and the vector that the model returned for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// `image:…` or `text:…`.
    pub name: String,
    /// The vector, of unit length.
    pub vector: Vec<f32>,
}

/// Two spaces are the same if, for every probe that both have, the cosine of the two vectors is at least this.
pub const MIN_SAME_COSINE: f32 = 0.999;

/// Two different spaces, whose vectors must not be in the same collection.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "the collection has vectors of `{stored}`, but the embedding provider makes vectors of `{offered}`: {reason}; use \
     another collection (VECTOR_DB_COLLECTION), or the model (CLIP_MODEL, CLIP_PRECISION, IMAGE_EMBEDDING_PROVIDER) and the \
     settings with which this one was created"
)]
pub struct SpaceMismatch {
    /// Name of the collection's space.
    pub stored: String,
    /// Name of the space of the embedding provider.
    pub offered: String,
    /// How they differ.
    pub reason: String,
}

impl Space {
    /// Returns `model/dimension/preprocessing`, for people and for payloads.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.model, self.dimension, self.preprocessing)
    }

    /// Checks whether vectors of `offered` can be compared with vectors of this space, which is the space of a
    /// collection.
    ///
    /// # Errors
    /// Returns [`SpaceMismatch`] with both names and the difference.
    pub fn admits(&self, offered: &Self) -> Result<(), SpaceMismatch> {
        match self.difference(offered) {
            None => Ok(()),
            Some(reason) => Err(SpaceMismatch { stored: self.name(), offered: offered.name(), reason }),
        }
    }

    fn difference(&self, offered: &Self) -> Option<String> {
        if self.dimension != offered.dimension {
            return Some(format!("{} numbers against {}", self.dimension, offered.dimension));
        }
        if self.preprocessing != offered.preprocessing {
            return Some(format!(
                "images or texts are prepared in different ways, `{}` against `{}` (IMAGE_RESIZE, IMAGE_PAD_COLOR, IMAGE_COLOR, \
                 IMAGE_TARGET_SIZE, or the size of the model)",
                self.preprocessing, offered.preprocessing
            ));
        }
        let mut compared = 0;
        for probe in &self.probes {
            let Some(other) = offered.probes.iter().find(|other| other.name == probe.name) else { continue };
            compared += 1;
            let cosine: f32 = probe.vector.iter().zip(&other.vector).map(|(a, b)| a * b).sum();
            let agrees = cosine >= MIN_SAME_COSINE && probe.vector.len() == other.vector.len();
            if !agrees {
                return Some(format!("the probe {} has cosine {cosine:.4} between them", probe.name));
            }
        }
        (compared == 0).then(|| "they have no probe in common".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(vector: [f32; 2]) -> Space {
        Space {
            model: "m".into(),
            dimension: 2,
            preprocessing: "crop-8".into(),
            probes: vec![Probe { name: "text:a".into(), vector: vector.to_vec() }],
        }
    }

    #[test]
    fn spaces_with_the_same_probes_are_the_same_whatever_the_label() {
        let other = Space { model: "another label".into(), ..space([1.0, 0.0]) };
        space([1.0, 0.0]).admits(&other).unwrap();
        space([1.0, 0.0]).admits(&space([0.9999, 0.0141])).unwrap();
    }

    #[test]
    fn the_error_names_the_difference() {
        let stored = space([1.0, 0.0]);
        let message = |offered: Space| stored.admits(&offered).unwrap_err().to_string();
        assert!(message(space([0.0, 1.0])).contains("text:a"));
        assert!(message(space([f32::NAN, 1.0])).contains("text:a"));
        assert!(message(Space { dimension: 3, ..space([1.0, 0.0]) }).contains("2 numbers against 3"));
        let resized = message(Space { preprocessing: "pad-8".into(), ..space([1.0, 0.0]) });
        for part in ["`crop-8`", "`pad-8`", "IMAGE_RESIZE", "VECTOR_DB_COLLECTION", "CLIP_MODEL"] {
            assert!(resized.contains(part), "{resized}");
        }
        assert!(message(Space { probes: vec![], ..space([1.0, 0.0]) }).contains("no probe in common"));
    }
}
