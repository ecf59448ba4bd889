//! What the description files of some models do not say, or say wrongly.

use super::ModelSpec;
use super::image::HALF;

/// A change of the spec that the files give.
enum Exception {
    /// The text tower reads its padding, so that every text must have the full length.
    PadsToContext,
    /// Mean and deviation of the pixels are 0.5.
    HalfMean,
}

/// Parts of the name of a repository or folder, in lower case, each with its exception.
const EXCEPTIONS: [(&str, Exception); 2] = [
    // The text towers are trained without a causal mask and without a mask of the padding.
    ("mobileclip", Exception::PadsToContext),
    // OpenCLIP's table of pretrained weights differs from the preprocessor file of the hub for this one.
    ("laion2b-s32b-b82k", Exception::HalfMean),
];

pub(super) fn apply(repository: &str, spec: &mut ModelSpec) {
    let name = repository.to_lowercase();
    for (_, exception) in EXCEPTIONS.iter().filter(|(part, _)| name.contains(part)) {
        match exception {
            Exception::PadsToContext => spec.text.pads_to_context = true,
            Exception::HalfMean => (spec.image.mean, spec.image.std) = (HALF, HALF),
        }
    }
}
