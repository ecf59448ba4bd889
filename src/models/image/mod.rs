//! How images are prepared for the image tower.

mod open_clip;
mod transformers;

use super::Layout;
use super::descriptions::{CONFIG, Descriptions, OPEN_CLIP_CONFIG, PREPROCESS_CFG, PREPROCESSOR, PROCESSOR};
use super::family::{Family, tower_number};
use super::json::given;
use crate::imaging::Preprocessing;

/// Upper limit, above any model. A larger number is an error in the file and would need much memory.
const MAX_SIZE: u64 = 2_048;
/// Mean and deviation of the pixels with which OpenAI trained CLIP.
pub(in crate::models) const OPENAI_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
pub(in crate::models) const OPENAI_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
pub(in crate::models) const HALF: [f32; 3] = [0.5; 3];

/// How an image becomes the input of the image tower.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ImageSpec {
    pub(crate) preprocessing: Preprocessing,
    pub(crate) mean: [f32; 3],
    pub(crate) std: [f32; 3],
    /// Factor of the values 0 to 255 before mean and deviation; 1/255 for most models.
    pub(crate) rescale: f32,
}

impl ImageSpec {
    /// Reads the preparation from the first file that has it. Returns the name of this file, too.
    ///
    /// # Errors
    /// A message that begins with the name of the file.
    pub(in crate::models) fn read(
        family: &Family,
        layout: Layout,
        files: &Descriptions,
    ) -> Result<(Self, &'static str), String> {
        let named = |name: &'static str| move |reason: String| format!("{name}: {reason}");
        let by_open_clip = |name: &'static str, values| {
            let rule = open_clip::Rule::new(layout, family);
            open_clip::read(values, rule).map_err(named(name)).map(|spec| (spec, name))
        };
        let by_transformers = |name: &'static str, values| {
            transformers::read(values, family).map_err(named(name)).map(|spec| (spec, name))
        };
        if let Some(value) = files.get(PROCESSOR).and_then(|file| given(file, "image_processor"))
            && !value.is_object()
        {
            return Err(format!("{PROCESSOR}: image_processor must be a JSON object"));
        }
        let (spec, name) = if let Some(values) = files.get(PREPROCESS_CFG) {
            by_open_clip(PREPROCESS_CFG, values)?
        } else if let Some(values) = files.nested(OPEN_CLIP_CONFIG, "preprocess_cfg")
            && matches!(family, Family::OpenClip(_))
        {
            by_open_clip(OPEN_CLIP_CONFIG, values)?
        } else if let Some(values) = files.nested(PROCESSOR, "image_processor") {
            by_transformers(PROCESSOR, values)?
        } else if let Some(values) = files.get(PREPROCESSOR) {
            by_transformers(PREPROCESSOR, values)?
        } else {
            return Err(format!(
                "there is no {PREPROCESSOR}, no object image_processor in {PROCESSOR}, no {PREPROCESS_CFG} and no object \
                 preprocess_cfg in {OPEN_CLIP_CONFIG}, so the preparation of images is not known"
            ));
        };
        let stated = files.get(CONFIG).map_or(Ok(None), |config| tower_number(config, "vision_config", "image_size"));
        let stated = stated.map_err(named(CONFIG))?;
        if let Some(stated) = stated.filter(|stated| *stated != u64::from(spec.preprocessing.size)) {
            let other = spec.preprocessing.size;
            return Err(format!(
                "image_size in {CONFIG} is {stated}, but the image size in {name} is {other}; both must be the same"
            ));
        }
        Ok((spec, name))
    }

    /// Whether the values of the pixels are only brought to the range 0 to 1.
    #[expect(clippy::float_cmp, reason = "the values are those of the files, not results")]
    pub(in crate::models) fn is_unnormalised(&self) -> bool {
        self.mean == [0.0; 3] && self.std == [1.0; 3]
    }
}

/// Checks the side of a square.
fn side(size: u64) -> Result<u32, String> {
    let side = u32::try_from(size).ok().filter(|_| (1..=MAX_SIZE).contains(&size));
    side.ok_or_else(|| format!("size is {size}; it must be between 1 and {MAX_SIZE} pixels"))
}
