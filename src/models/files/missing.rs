//! What is missing in a folder or repository without a model that can be used.

use super::{Layout, PLACES, pair, sizes};
use crate::models::precision::Precision;

/// Suffixes of files that are not used, with what they are.
const UNUSED: [(&str, &str); 2] = [("_bnb4", "4 bits of bitsandbytes"), ("_uint8", "unsigned 8 bits")];

/// Returns the most specific reason why no towers were found.
pub(super) fn no_towers(names: &[String], precision: Precision, size: Option<&str>) -> String {
    let sizes = sizes(names);
    if let Some(size) = size.filter(|size| !sizes.contains(size)) {
        return match &sizes[..] {
            [] => format!("it has no folder onnx/{size}/ for the size `{size}`; remove `:{size}` from its name"),
            _ => format!("it has no size `{size}`; its sizes are {}", sizes.join(", ")),
        };
    }
    let has = |other: &Precision| pair(names, *other, size).is_ok_and(|pair| pair.is_some());
    if let Some(other) = Precision::OF_FILES.into_iter().find(has) {
        return format!("there is no {precision} export, only {other}; set CLIP_PRECISION={other}");
    }
    let files = onnx_files(names);
    let specific = one_tower(names).or_else(|| unused(names)).map(|reason| format!("{reason}; {files}"));
    specific.unwrap_or_else(|| {
        format!(
            "there are no towers exported to ONNX: vision_model.onnx and text_model.onnx, both in the folder or both in its \
             folder onnx/ (for fp16 with the suffix _fp16, for int8 _int8 or _quantized, for q4 _q4 or _q4f16), \
             visual/model.onnx and textual/model.onnx, visual.onnx and text.onnx, or model.onnx with both; {files}"
        )
    })
}

/// Returns the suffixes of the files of one tower.
fn suffixes(names: &[String], place: &str, stem: &str) -> Vec<&'static str> {
    let used = Precision::OF_FILES.into_iter().flat_map(|precision| precision.suffixes().iter().copied());
    let all = used.chain(UNUSED.map(|(suffix, _)| suffix));
    all.filter(|suffix| names.contains(&format!("{place}{stem}{suffix}.onnx"))).collect()
}

/// Returns the reason if a layout has files of one tower only, or no precision with both. A layout with both towers in one
/// precision, which is then one that is not used, has another reason.
fn one_tower(names: &[String]) -> Option<String> {
    let mut reason = None;
    for (layout, image, text) in Layout::TOWERS {
        for place in PLACES.into_iter().filter(|_| layout != Layout::Combined) {
            let path = |stem: &str, suffix: &str| format!("{place}{stem}{suffix}.onnx");
            let lacks = |tower: &str, stem: &str, other: String| {
                let missing = path(stem, "");
                format!("the model has no {tower} tower: there is {other}, but no {missing}; both must be exported")
            };
            let (images, texts) = (suffixes(names, place, image), suffixes(names, place, text));
            let found = match (&images[..], &texts[..]) {
                ([], []) => continue,
                ([suffix, ..], []) => lacks("text", text, path(image, suffix)),
                ([], [suffix, ..]) => lacks("image", image, path(text, suffix)),
                (images, texts) if images.iter().any(|suffix| texts.contains(suffix)) => return None,
                ([one, ..], [other, ..]) => {
                    let (one, other) = (path(image, one), path(text, other));
                    format!("its towers have no precision in common: there are {one} and {other}; export both in one")
                }
            };
            reason.get_or_insert(found);
        }
    }
    reason
}

/// Returns the reason if there are only files that are not used.
fn unused(names: &[String]) -> Option<String> {
    let (suffix, what) = UNUSED.into_iter().find(|(suffix, _)| {
        let end = format!("{suffix}.onnx");
        names.iter().any(|name| name.ends_with(&end))
    })?;
    Some(format!(
        "its only ONNX files are of a kind that is not supported ({what}, {suffix}.onnx); supported are fp32, fp16 (_fp16), \
         int8 (_int8 or _quantized) and q4 (_q4 or _q4f16): use an export with one of these"
    ))
}

/// Maximum number of ONNX files in an error.
const MAX_NAMED_FILES: usize = 12;
/// Maximum characters of a file name in an error.
const MAX_NAME_CHARS: usize = 100;

/// Lists the existing ONNX files for an error.
pub(super) fn onnx_files(names: &[String]) -> String {
    let has_end = |name: &str, end: &str| name.to_ascii_lowercase().ends_with(end);
    let mut files: Vec<_> = names.iter().filter(|name| has_end(name, ".onnx")).collect();
    files.sort();
    if files.is_empty() {
        let weights = names.iter().any(|name| has_end(name, ".safetensors") || has_end(name, ".bin"));
        let weights =
            if weights { ", only weights for PyTorch; export the model with optimum or OpenCLIP" } else { "" };
        return format!("there are no ONNX files at all{weights}");
    }
    let cut = |name: &&String| name.chars().take(MAX_NAME_CHARS).collect::<String>();
    let named: Vec<_> = files.iter().take(MAX_NAMED_FILES).map(cut).collect();
    let more = match files.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("the existing ONNX files are: {}{more}", named.join(", "))
}
