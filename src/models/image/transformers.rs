//! The image processors of transformers.

use serde_json::{Map, Value};

use super::{HALF, ImageSpec, OPENAI_MEAN, OPENAI_STD, open_clip, side};
use crate::imaging::{Filter, Preprocessing, Resize};
use crate::models::Layout;
use crate::models::family::Family;
use crate::models::json::{given, quoted, whole};

/// Side of an image, if a file does not contain it.
const DEFAULT_SIZE: u64 = 224;

/// A class of image processors; it decides what a missing value means.
#[derive(Clone, Copy, PartialEq)]
enum Class {
    Clip,
    Siglip,
    Vit,
    JinaClip,
}

/// Parses the values of an image processor. As in transformers, a value that is absent or `null` has the default of the
/// class.
///
/// # Errors
/// A message with the key, its value and the supported values.
pub(super) fn read(values: &Map<String, Value>, family: &Family) -> Result<ImageSpec, String> {
    let class = Class::find(values, family)?;
    if class == Class::JinaClip {
        return open_clip::read(values, open_clip::Rule::new(Layout::Towers, family));
    }
    if !flag(values, "do_resize", true)? {
        return Err("do_resize is false; only true is supported".to_owned());
    }
    let rescale = if flag(values, "do_rescale", true)? { rescale_factor(values)? } else { 1.0 };
    let (mean, std) = match (flag(values, "do_normalize", true)?, class) {
        (false, _) => ([0.0; 3], [1.0; 3]),
        (true, Class::Clip) => {
            (channels(values, "image_mean", OPENAI_MEAN)?, deviations(values, "image_std", OPENAI_STD)?)
        }
        (true, _) => (channels(values, "image_mean", HALF)?, deviations(values, "image_std", HALF)?),
    };
    let preprocessing = Preprocessing { filter: filter(values, class)?, ..geometry(values, class)? };
    Ok(ImageSpec { preprocessing, mean, std, rescale })
}

impl Class {
    /// The key is `image_processor_type`, in files from before transformers 4.26 `feature_extractor_type`. Many files have
    /// both; then the newer key counts. Backends of a class add a suffix.
    fn find(values: &Map<String, Value>, family: &Family) -> Result<Self, String> {
        let keys = ["image_processor_type", "feature_extractor_type"];
        let Some((key, kind)) = keys.into_iter().find_map(|key| Some((key, given(values, key)?))) else {
            return Ok(match family {
                Family::Siglip => Self::Siglip,
                Family::JinaClip => Self::JinaClip,
                Family::Clip | Family::MetaClip2 | Family::Nomic | Family::OpenClip(_) => Self::Clip,
            });
        };
        let name = kind.as_str().unwrap_or_default();
        let name = ["Fast", "Pil"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        match name {
            "CLIPImageProcessor" | "CLIPFeatureExtractor" => Ok(Self::Clip),
            "SiglipImageProcessor" => Ok(Self::Siglip),
            "ViTImageProcessor" | "ViTFeatureExtractor" => Ok(Self::Vit),
            "JinaCLIPImageProcessor" => Ok(Self::JinaClip),
            _ => Err(format!(
                "{key} is {}; supported are CLIPImageProcessor, SiglipImageProcessor, ViTImageProcessor and \
                 JinaCLIPImageProcessor",
                quoted(kind)
            )),
        }
    }
}

fn flag(values: &Map<String, Value>, key: &str, default: bool) -> Result<bool, String> {
    match given(values, key) {
        None => Ok(default),
        Some(Value::Bool(set)) => Ok(*set),
        Some(other) => Err(format!("{key} is {}; it must be true or false", quoted(other))),
    }
}

fn filter(values: &Map<String, Value>, class: Class) -> Result<Filter, String> {
    let default = if class == Class::Vit { Filter::Bilinear } else { Filter::Bicubic };
    let Some(value) = given(values, "resample") else { return Ok(default) };
    let filter = whole(value).and_then(Filter::from_pillow).or_else(|| value.as_str().and_then(Filter::from_name));
    filter.ok_or_else(|| format!("resample is {}; it must be a number of Pillow from 0 to 5", quoted(value)))
}

fn rescale_factor(values: &Map<String, Value>) -> Result<f32, String> {
    let Some(value) = given(values, "rescale_factor") else { return Ok(1.0 / 255.0) };
    #[expect(clippy::cast_possible_truncation, reason = "the network computes in f32")]
    let factor = value.as_f64().map(|factor| factor as f32).filter(|factor| factor.is_finite() && *factor > 0.0);
    factor.ok_or_else(|| format!("rescale_factor is {}; it must be a number above 0", quoted(value)))
}

/// Returns how images become squares, with any filter.
fn geometry(values: &Map<String, Value>, class: Class) -> Result<Preprocessing, String> {
    let crops = flag(values, "do_center_crop", class == Class::Clip)?;
    let crop = given(values, "crop_size").filter(|_| crops).map(|crop| square("crop_size", crop)).transpose()?;
    let size = given(values, "size");
    let shortest = match size {
        // A number has another meaning in each class.
        Some(size) if whole(size).is_some() => whole(size).filter(|_| class == Class::Clip),
        Some(size) => {
            let longest = size.get("longest_edge").is_some_and(|edge| !edge.is_null());
            size.get("shortest_edge").and_then(whole).filter(|_| !longest)
        }
        None => Some(crop.unwrap_or(DEFAULT_SIZE)).filter(|_| class == Class::Clip),
    };
    if let Some(edge) = shortest {
        if !crops {
            return Err(
                "do_center_crop is false and size has only a shortest_edge, so that images are not squares; only \
                        squares are supported"
                    .to_owned(),
            );
        }
        let size = crop.unwrap_or(edge);
        if size > edge {
            return Err(format!("size is {edge} and crop_size is {size}; crop_size must not be larger than size"));
        }
        return Ok(Preprocessing { edge: side(edge)?, ..Preprocessing::new(side(size)?, Resize::CropFloor) });
    }
    let size = size.map_or(Ok(DEFAULT_SIZE), |size| square("size", size))?;
    match crop.filter(|crop| *crop != size) {
        Some(crop) => Err(format!(
            "size is a square of {size} and crop_size is {crop}; only the same value for both is supported"
        )),
        None => Ok(Preprocessing::new(side(size)?, Resize::Squash)),
    }
}

/// Returns the side of a square: a number, or two equal sides. A crop may also have a `shortest_edge`.
pub(super) fn square(key: &str, size: &Value) -> Result<u64, String> {
    let side = |name: &str| size.get(name).and_then(whole);
    let same = side("height")
        .filter(|&height| side("width") == Some(height))
        .or_else(|| side("shortest_edge").filter(|_| key == "crop_size"));
    let listed = size.as_array().and_then(|sides| match &sides[..] {
        [height, width] => whole(height).filter(|height| whole(width) == Some(*height)),
        _ => None,
    });
    let side = whole(size).or(same).or(listed);
    side.ok_or_else(|| format!("{key} is {}; only a square is supported", quoted(size)))
}

/// Returns one number for each of red, green and blue. A single number is used for all three. `null` is refused: some
/// writers mean no normalisation by it, and some the default of a library.
pub(super) fn channels(values: &Map<String, Value>, name: &str, default: [f32; 3]) -> Result<[f32; 3], String> {
    let Some(value) = values.get(name) else { return Ok(default) };
    #[expect(clippy::cast_possible_truncation, reason = "the network computes in f32")]
    let number = |value: &Value| value.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
    let three = match value.as_array() {
        Some(list) => list.iter().map(number).collect::<Option<Vec<_>>>().and_then(|list| list.try_into().ok()),
        None => number(value).map(|number| [number; 3]),
    };
    three.ok_or_else(|| format!("{name} is {}; it must be a list of three numbers", quoted(value)))
}

/// As [`channels`], for values by which pixels are divided.
pub(super) fn deviations(values: &Map<String, Value>, name: &str, default: [f32; 3]) -> Result<[f32; 3], String> {
    let std = channels(values, name, default)?;
    if std.iter().any(|&value| value <= 0.0) {
        return Err(format!("{name} is {std:?}; each value must be greater than 0"));
    }
    Ok(std)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
