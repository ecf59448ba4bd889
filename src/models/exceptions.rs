//! What the description files of some models do not say, or say wrongly.

use super::ModelSpec;
use super::family::Family;
use super::image::HALF;

/// OpenCLIP's table of pretrained weights differs from the preprocessor file of the hub for this one.
const HALF_MEAN: &str = "laion2b-s32b-b82k";

/// Changes the spec that the files give. `repository` is the name of the repository or folder.
pub(super) fn apply(repository: &str, family: &Family, spec: &mut ModelSpec) {
    let name = repository.to_lowercase();
    if name.contains(HALF_MEAN) {
        (spec.image.mean, spec.image.std) = (HALF, HALF);
    }
    // Among the models with the files of CLIP, only MobileCLIP does not normalise pixels. Some of its sizes do, and have
    // only their name.
    if name.contains("mobileclip") || (*family == Family::Clip && spec.image.is_unnormalised()) {
        // The text towers are trained without a causal mask and without a mask of the padding.
        spec.text.pads_to_context = true;
    }
}
