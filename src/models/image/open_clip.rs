//! The image preparation in the words of OpenCLIP, which immich and jina use, too.

use serde_json::{Map, Value};

use super::transformers::{channels, deviations, square};
use super::{ImageSpec, OPENAI_MEAN, OPENAI_STD, side};
use crate::imaging::{Filter, Preprocessing, Resize};
use crate::models::Layout;
use crate::models::family::Family;
use crate::models::json::{given, quoted, whole, whole_number};

/// Side of an image, if no file contains it.
const DEFAULT_SIZE: u64 = 224;

/// What depends on the library that uses the words.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    crop: Resize,
    /// Side of an image, if the values do not contain it.
    size: u64,
}

impl Rule {
    pub(super) fn new(layout: Layout, family: &Family) -> Self {
        let crop = if layout == Layout::Immich { Resize::CropFloor } else { Resize::CropEven };
        let vision = match family {
            Family::OpenClip(config) => given(config, "vision_cfg").and_then(Value::as_object),
            _ => None,
        };
        let size = vision.and_then(|vision| whole_number(vision, "image_size").ok().flatten());
        Self { crop, size: size.unwrap_or(DEFAULT_SIZE) }
    }
}

/// Reads the values. Missing ones have the defaults of OpenCLIP.
///
/// # Errors
/// A message with the key, its value and the supported values.
pub(super) fn read(values: &Map<String, Value>, Rule { crop, size }: Rule) -> Result<ImageSpec, String> {
    let size = side(given(values, "size").map_or(Ok(size), |size| square("size", size))?)?;
    let text = |key: &str, default: &'static str| match given(values, key) {
        None => Ok(default.to_owned()),
        Some(Value::String(text)) => Ok(text.to_lowercase()),
        Some(other) => Err(format!("{key} is {}; it must be a text", quoted(other))),
    };
    if text("mode", "rgb")? != "rgb" {
        return Err("mode must be RGB".to_owned());
    }
    let resize = match &*text("resize_mode", "shortest")? {
        "shortest" => crop,
        "squash" => Resize::Squash,
        "longest" => Resize::Pad(fill_colour(values)?),
        other => return Err(format!("resize_mode is {other:?}; it must be shortest, longest or squash")),
    };
    // Training draws the filter at random.
    let name = text("interpolation", "bicubic")?.replace("random", "bicubic");
    let filter = Filter::from_name(&name)
        .ok_or_else(|| format!("interpolation is {name:?}; it must be a filter of Pillow, such as bicubic"))?;
    let mean = channels(values, "mean", OPENAI_MEAN)?;
    let std = deviations(values, "std", OPENAI_STD)?;
    Ok(ImageSpec {
        preprocessing: Preprocessing { filter, ..Preprocessing::new(size, resize) },
        mean,
        std,
        rescale: 1.0 / 255.0,
    })
}

fn fill_colour(values: &Map<String, Value>) -> Result<[u8; 3], String> {
    let Some(value) = given(values, "fill_color") else { return Ok([0; 3]) };
    let byte = |value: &Value| whole(value).and_then(|number| u8::try_from(number).ok());
    let listed = || value.as_array()?.iter().map(byte).collect::<Option<Vec<_>>>()?.try_into().ok();
    let colour = byte(value).map(|grey| [grey; 3]).or_else(listed);
    colour.ok_or_else(|| format!("fill_color is {}; it must be a number from 0 to 255, or three", quoted(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::json::object;

    fn read_json(json: &str) -> Result<String, String> {
        let rule = Rule { crop: Resize::CropEven, size: 240 };
        read(&object(json.as_bytes())?, rule).map(|spec| spec.preprocessing.to_string())
    }

    #[test]
    fn the_words_of_open_clip_are_read_with_its_defaults() {
        for (json, expected) in [
            ("{}", "crop-240-bicubic-even"),
            (r#"{"size":[224,224],"interpolation":"random","resize_mode":"shortest"}"#, "crop-224-bicubic-even"),
            (r#"{"size":384,"resize_mode":"squash","mode":"RGB"}"#, "squash-384-bicubic"),
            (r#"{"interpolation":"bilinear","resize_mode":"longest","fill_color":255}"#, "pad-240-bilinear-ffffff"),
        ] {
            assert_eq!(read_json(json).as_deref(), Ok(expected));
        }
        for (json, message) in [
            (r#"{"size":[224,336]}"#, "only a square"),
            (r#"{"resize_mode":"stretch"}"#, "resize_mode is \"stretch\""),
            (r#"{"interpolation":"cubic"}"#, "interpolation is \"cubic\""),
            (r#"{"mode":"L"}"#, "RGB"),
            (r#"{"mean":null}"#, "mean is null; it must be a list of three numbers"),
            (r#"{"std":null}"#, "std is null; it must be a list of three numbers"),
            (r#"{"std":[0.5,0.5,0]}"#, "each value must be greater than 0"),
            (r#"{"resize_mode":"longest","fill_color":300}"#, "fill_color is 300"),
        ] {
            let error = read_json(json).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
