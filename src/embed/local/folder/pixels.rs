//! `preprocessor_config.json`: the size of a picture and what its numbers become. Refuses what our preprocessing is not.

use serde::Deserialize;
use serde_json::Value;

use crate::embed::local::towers::{Levels, levels};

/// No CLIP takes more; a larger number is a mistake that would cost memory.
const MAX_SIZE: u64 = 2_048;
/// Pillow's number of bicubic.
const BICUBIC: u64 = 3;

/// How pictures are given to the image tower.
#[derive(Debug, PartialEq)]
pub(super) struct Pixels {
    /// Side of the square in pixels.
    pub(super) size: u32,
    mean: [f32; 3],
    std: [f32; 3],
}

#[derive(Deserialize)]
struct File {
    #[serde(alias = "feature_extractor_type")]
    image_processor_type: Option<String>,
    size: Option<Value>,
    crop_size: Option<Value>,
    resample: Option<u64>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
    rescale_factor: Option<f64>,
    do_resize: Option<bool>,
    do_center_crop: Option<bool>,
    do_rescale: Option<bool>,
    do_normalize: Option<bool>,
}

impl Pixels {
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        Self::read(json).map_err(|reason| format!("preprocessor_config.json: {reason}"))
    }

    fn read(json: &[u8]) -> Result<Self, String> {
        let file: File = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let kind = file.image_processor_type.as_deref().unwrap_or("CLIPImageProcessor");
        if !kind.starts_with("CLIPImageProcessor") && kind != "CLIPFeatureExtractor" {
            return Err(format!("it is for a {kind}; only CLIP's preprocessing is done here"));
        }
        for (name, on) in [
            ("do_resize", file.do_resize),
            ("do_center_crop", file.do_center_crop),
            ("do_rescale", file.do_rescale),
            ("do_normalize", file.do_normalize),
        ] {
            if on == Some(false) {
                return Err(format!("{name} is off; here it is always done"));
            }
        }
        match file.resample {
            None | Some(BICUBIC) => {}
            Some(other) => return Err(format!("resample is {other}; only bicubic ({BICUBIC}) is done here")),
        }
        let factor = file.rescale_factor.unwrap_or(1.0 / 255.0);
        if (factor * 255.0 - 1.0).abs() > 1e-4 {
            return Err(format!("rescale_factor is {factor}; only 1/255 is done here"));
        }
        let size = shortest_edge(file.size.as_ref())?;
        let crop = file.crop_size.as_ref().map_or(Ok(size), square)?;
        if size != crop {
            return Err(format!("size is {size} and crop_size {crop}; only the same for both is done here"));
        }
        let size = u32::try_from(size).ok().filter(|_| (1..=MAX_SIZE).contains(&size));
        let mean = file.image_mean.ok_or("there is no image_mean of three channels")?;
        let std = file.image_std.ok_or("there is no image_std of three channels")?;
        if !mean.iter().chain(&std).all(|value| value.is_finite()) || std.iter().any(|&value| value <= 0.0) {
            return Err(format!("image_mean {mean:?} and image_std {std:?} cannot be right"));
        }
        Ok(Self { size: size.ok_or_else(|| format!("size must be between 1 and {MAX_SIZE} pixels"))?, mean, std })
    }

    /// What each of the 256 values of each channel is for the network.
    pub(super) fn levels(&self) -> Levels {
        levels(self.mean, self.std)
    }
}

/// The shorter side after the resize: a number alone, or under its name.
fn shortest_edge(size: Option<&Value>) -> Result<u64, String> {
    let size = size.ok_or("there is no size")?;
    let named = size.get("shortest_edge").and_then(Value::as_u64);
    size.as_u64().or(named).ok_or_else(|| format!("size is {size}; only a shortest_edge is done here, no squeezing"))
}

/// The side of a square: a number alone, or twice the same.
fn square(size: &Value) -> Result<u64, String> {
    let side = |name: &str| size.get(name).and_then(Value::as_u64);
    let same = side("height").filter(|&height| side("width") == Some(height));
    size.as_u64().or(same).ok_or_else(|| format!("crop_size is {size}; only a square is done here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIP: &str = r#"{"image_mean":[0.5,0.4,0.3],"image_std":[0.2,0.2,0.1],"size":{"shortest_edge":224},
        "crop_size":{"height":224,"width":224},"resample":3,"do_resize":true,"rescale_factor":0.00392156862745098,
        "image_processor_type":"CLIPImageProcessor"}"#;

    #[test]
    fn both_spellings_of_a_size_are_read() {
        let expected = Pixels { size: 224, mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.1] };
        assert_eq!(Pixels::parse(CLIP.as_bytes()).unwrap(), expected);
        let old = r#"{"image_mean":[0.5,0.4,0.3],"image_std":[0.2,0.2,0.1],"size":224,"crop_size":224,
            "feature_extractor_type":"CLIPFeatureExtractor"}"#;
        assert_eq!(Pixels::parse(old.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn what_is_not_done_here_is_refused_by_name() {
        for (from, to, named) in [
            ("\"resample\":3", "\"resample\":2", "resample is 2"),
            ("\"do_resize\":true", "\"do_resize\":false", "do_resize"),
            ("\"do_resize\":true", "\"do_center_crop\":false", "do_center_crop"),
            ("\"do_resize\":true", "\"do_normalize\":false", "do_normalize"),
            ("0.00392156862745098", "1.0", "rescale_factor"),
            ("{\"shortest_edge\":224}", "{\"height\":224,\"width\":224}", "no squeezing"),
            ("{\"shortest_edge\":224}", "256", "size is 256 and crop_size 224"),
            ("\"width\":224", "\"width\":112", "only a square"),
            ("[0.2,0.2,0.1]", "[0.2,0.2,0.0]", "image_std"),
            ("[0.5,0.4,0.3]", "[0.5]", "preprocessor_config.json"),
            ("CLIPImageProcessor", "ViTImageProcessor", "ViTImageProcessor"),
        ] {
            let json = CLIP.replace(from, to);
            assert_ne!(json, CLIP, "{from}");
            let said = Pixels::parse(json.as_bytes()).unwrap_err();
            assert!(said.contains(named), "{said} does not name {named}");
        }
        assert!(Pixels::parse(CLIP.replace("224", "100000").as_bytes()).is_err());
        assert!(Pixels::parse(b"{}").is_err());
    }
}
