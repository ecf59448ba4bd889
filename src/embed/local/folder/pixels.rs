//! The values of the image processor: size of an image and normalisation of its pixels. Refuses values that our
//! preprocessing does not support.

use serde_json::{Map, Value};

use super::json::{given, quoted, whole};
use crate::embed::local::towers::{Levels, levels};

/// Upper limit, above any CLIP. A larger number is an error in the file and would need much memory.
const MAX_SIZE: u64 = 2_048;
/// Pillow's number for bicubic.
const BICUBIC: u64 = 3;
/// Defaults of `CLIPImageProcessor`.
const DEFAULT_SIZE: u64 = 224;
const DEFAULT_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const DEFAULT_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// How images are prepared for the image tower.
#[derive(Debug, PartialEq)]
pub(super) struct Pixels {
    /// Side of the square image in pixels.
    pub(super) size: u32,
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
}

impl Pixels {
    /// Parses the values of `CLIPImageProcessor`. As in transformers, a value that is absent or `null` has the default
    /// of the class.
    ///
    /// # Errors
    /// A message with the key, its value and the supported values.
    pub(super) fn read(values: &Map<String, Value>) -> Result<Self, String> {
        check_type(values)?;
        for name in ["do_resize", "do_center_crop", "do_rescale", "do_normalize"] {
            match given(values, name) {
                None | Some(Value::Bool(true)) => {}
                Some(other) => return Err(format!("{name} is {}; only true is supported", quoted(other))),
            }
        }
        match given(values, "resample") {
            None => {}
            Some(number) if whole(number) == Some(BICUBIC) => {}
            Some(name) if name.as_str().is_some_and(|name| name.eq_ignore_ascii_case("bicubic")) => {}
            Some(other) => {
                return Err(format!("resample is {}; only {BICUBIC} (bicubic) is supported", quoted(other)));
            }
        }
        if let Some(factor) = given(values, "rescale_factor")
            && !factor.as_f64().is_some_and(|factor| (factor * 255.0 - 1.0).abs() <= 1e-4)
        {
            return Err(format!("rescale_factor is {}; only 1/255 is supported", quoted(factor)));
        }
        let crop = given(values, "crop_size").map(square).transpose()?;
        let size = given(values, "size").map_or(Ok(crop.unwrap_or(DEFAULT_SIZE)), shortest_edge)?;
        if let Some(crop) = crop.filter(|crop| *crop != size) {
            return Err(format!("size is {size} and crop_size is {crop}; only the same value for both is supported"));
        }
        let side = u32::try_from(size).ok().filter(|_| (1..=MAX_SIZE).contains(&size));
        let side = side.ok_or_else(|| format!("size is {size}; it must be between 1 and {MAX_SIZE} pixels"))?;
        let mean = channels(values, "image_mean", DEFAULT_MEAN)?;
        let std = channels(values, "image_std", DEFAULT_STD)?;
        if std.iter().any(|&value| value <= 0.0) {
            return Err(format!("image_std is {std:?}; each value must be greater than 0"));
        }
        Ok(Self { size: side, mean, std })
    }

    /// Returns the input of the network for each of the 256 values of each channel.
    pub(super) fn levels(&self) -> Levels {
        levels(self.mean, self.std)
    }
}

/// Checks the class of the image processor. Its key is `image_processor_type`, in files from before transformers 4.26
/// `feature_extractor_type`. Many files have both; then the newer key counts. Backends of the class add a suffix.
fn check_type(values: &Map<String, Value>) -> Result<(), String> {
    let name =
        ["image_processor_type", "feature_extractor_type"].into_iter().find(|name| given(values, name).is_some());
    let Some((name, kind)) = name.and_then(|name| Some((name, given(values, name)?))) else { return Ok(()) };
    let class = kind.as_str().map(|kind| ["Fast", "Pil"].iter().find_map(|end| kind.strip_suffix(end)).unwrap_or(kind));
    if let Some("CLIPImageProcessor" | "CLIPFeatureExtractor") = class {
        return Ok(());
    }
    let kind = quoted(kind);
    Err(format!("{name} is {kind}; only CLIPImageProcessor and CLIPFeatureExtractor are supported"))
}

/// Returns the shorter side after the resize: a number, or `shortest_edge` of an object.
fn shortest_edge(size: &Value) -> Result<u64, String> {
    let longest = size.get("longest_edge").is_some_and(|longest| !longest.is_null());
    let named = size.get("shortest_edge").and_then(whole).filter(|_| !longest);
    whole(size).or(named).ok_or_else(|| {
        format!(
            "size is {}; only a number or a shortest_edge is supported, because images are cropped and not squeezed",
            quoted(size)
        )
    })
}

/// Returns the side of a square: a number, `shortest_edge` of an object, or two equal sides.
fn square(size: &Value) -> Result<u64, String> {
    let side = |name: &str| size.get(name).and_then(whole);
    let same = side("height").filter(|&height| side("width") == Some(height)).or_else(|| side("shortest_edge"));
    let listed = size.as_array().and_then(|sides| match &sides[..] {
        [height, width] => whole(height).filter(|height| whole(width) == Some(*height)),
        _ => None,
    });
    let side = whole(size).or(same).or(listed);
    side.ok_or_else(|| format!("crop_size is {}; only a square is supported", quoted(size)))
}

/// Returns one number for each of red, green and blue. A single number is used for all three.
fn channels(values: &Map<String, Value>, name: &str, default: [f32; 3]) -> Result<[f32; 3], String> {
    let Some(value) = given(values, name) else { return Ok(default) };
    #[expect(clippy::cast_possible_truncation, reason = "the network computes in f32")]
    let number = |value: &Value| value.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
    let three = match value.as_array() {
        Some(list) => list.iter().map(number).collect::<Option<Vec<_>>>().and_then(|list| list.try_into().ok()),
        None => number(value).map(|number| [number; 3]),
    };
    three.ok_or_else(|| format!("{name} is {}; it must be a list of three numbers", quoted(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::local::folder::json::object;

    const CLIP: &str = r#"{"image_mean":[0.5,0.4,0.3],"image_std":[0.2,0.2,0.1],"size":{"shortest_edge":224},
        "crop_size":{"height":224,"width":224},"resample":3,"do_resize":true,"rescale_factor":0.00392156862745098,
        "image_processor_type":"CLIPImageProcessor"}"#;

    fn parse(json: &str) -> Result<Pixels, String> {
        Pixels::read(&object(json.as_bytes())?)
    }

    #[test]
    fn all_spellings_of_the_same_values_are_accepted() {
        let expected = Pixels { size: 224, mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.1] };
        assert_eq!(parse(CLIP).unwrap(), expected);
        let kind = "\"image_processor_type\":\"CLIPImageProcessor\"";
        for (from, to) in [
            (kind, "\"x\":1"),
            (kind, "\"feature_extractor_type\":\"CLIPFeatureExtractor\""),
            (kind, "\"image_processor_type\":\"CLIPFeatureExtractor\""),
            (kind, "\"image_processor_type\":\"CLIPImageProcessorFast\""),
            (
                kind,
                "\"image_processor_type\":\"CLIPImageProcessorPil\",\"feature_extractor_type\":\"CLIPFeatureExtractor\"",
            ),
            (
                kind,
                "\"feature_extractor_type\":\"ViTFeatureExtractor\",\"image_processor_type\":\"CLIPImageProcessor\"",
            ),
            (kind, "\"image_processor_type\":null,\"feature_extractor_type\":\"CLIPFeatureExtractor\""),
            (kind, "\"image_processor_type\":\"CLIPImageProcessor\",\"image_processor_type\":\"CLIPImageProcessor\""),
            ("{\"shortest_edge\":224}", "224"),
            ("{\"shortest_edge\":224}", "224.0"),
            ("{\"shortest_edge\":224}", "{\"shortest_edge\":224.0,\"longest_edge\":null}"),
            ("{\"shortest_edge\":224}", "null"),
            ("{\"height\":224,\"width\":224}", "224"),
            ("{\"height\":224,\"width\":224}", "{\"height\":224.0,\"width\":224}"),
            ("{\"height\":224,\"width\":224}", "{\"shortest_edge\":224}"),
            ("{\"height\":224,\"width\":224}", "[224,224]"),
            ("{\"height\":224,\"width\":224}", "null"),
            ("\"resample\":3", "\"resample\":3.0"),
            ("\"resample\":3", "\"resample\":null"),
            ("\"do_resize\":true", "\"do_resize\":null"),
            ("\"do_resize\":true", "\"_valid_processor_keys\":[\"images\"],\"default_to_square\":false"),
            ("0.00392156862745098", "null"),
        ] {
            let json = CLIP.replace(from, to);
            assert_ne!(json, CLIP, "{from}");
            assert_eq!(parse(&json).as_ref(), Ok(&expected), "{to}");
        }
        let grey = parse(r#"{"image_mean":0.5,"image_std":[1,1,1]}"#).unwrap();
        assert_eq!((grey.mean, grey.std), ([0.5; 3], [1.0; 3]));
        assert_eq!(parse("{}").unwrap(), Pixels { size: 224, mean: DEFAULT_MEAN, std: DEFAULT_STD });
    }

    #[test]
    fn an_unsupported_value_is_refused_with_its_name() {
        for (from, to, named) in [
            ("\"resample\":3", "\"resample\":2", "resample is 2; only 3 (bicubic) is supported"),
            ("\"do_resize\":true", "\"do_resize\":false", "do_resize is false"),
            ("\"do_resize\":true", "\"do_center_crop\":false", "do_center_crop"),
            ("\"do_resize\":true", "\"do_normalize\":false", "do_normalize"),
            ("\"do_resize\":true", "\"do_rescale\":0", "do_rescale"),
            ("0.00392156862745098", "1.0", "rescale_factor is 1.0"),
            ("{\"shortest_edge\":224}", "{\"height\":224,\"width\":224}", "not squeezed"),
            ("{\"shortest_edge\":224}", "{\"shortest_edge\":224,\"longest_edge\":300}", "\"longest_edge\":300"),
            ("{\"shortest_edge\":224}", "256", "size is 256 and crop_size is 224"),
            ("\"width\":224", "\"width\":112", "only a square"),
            ("[0.2,0.2,0.1]", "[0.2,0.2,0.0]", "image_std"),
            ("[0.5,0.4,0.3]", "[0.5]", "image_mean is [0.5]"),
            ("\"CLIPImageProcessor\"", "\"ViTImageProcessor\"", "image_processor_type is \"ViTImageProcessor\""),
            (
                "image_processor_type\":\"CLIPImageProcessor\"",
                "feature_extractor_type\":\"ViTFeatureExtractor\"",
                "feature_extractor_type is \"ViTFeatureExtractor\"",
            ),
        ] {
            let json = CLIP.replace(from, to);
            assert_ne!(json, CLIP, "{from}");
            let error = parse(&json).unwrap_err();
            assert!(error.contains(named), "{error} does not contain {named}");
        }
        assert!(parse(&CLIP.replace("224", "100000")).unwrap_err().contains("between 1 and 2048"));
    }
}
