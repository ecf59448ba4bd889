//! Settings that have a new name. The former name is still read, with a warning.

use std::collections::btree_map::Entry;

use super::variables::Variables;

/// Former names and the names that replace them.
const FORMER_NAMES: [(&str, &str); 2] =
    [("GLIMPSE_LEASE_SIZE", "IMAGE_BATCH_SIZE"), ("CLIP_MAX_BATCH_SIZE", "IMAGE_EMBED_BATCH_SIZE")];

/// Returns the former names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FORMER_NAMES.into_iter().map(|(former, _)| former)
}

/// Replaces former names by the new ones. If both are set, the new one wins. Returns a warning for each former name.
pub(super) fn replace(variables: &mut Variables) -> Vec<String> {
    let mut warnings = Vec::new();
    for (former, new) in FORMER_NAMES {
        let Some(value) = variables.remove(&former.to_lowercase()) else { continue };
        match variables.entry(new.to_lowercase()) {
            Entry::Occupied(_) => {
                warnings.push(format!("{former} has no effect, because {new}, its new name, is set; unset {former}"));
            }
            Entry::Vacant(entry) => {
                warnings.push(format!("{former} is the former name of {new}; set {new} instead"));
                entry.insert(value);
            }
        }
    }
    warnings
}
