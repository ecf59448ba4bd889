//! The image tower: from pixels to the input of the network.

use std::sync::Arc;

use rten_tensor::Tensor;

use super::listed;
use super::output::Output;
use crate::embed::EmbedError;
use crate::embed::local::engine::{Element, Input, Network, Port};
use crate::imaging::PreparedImage;
use crate::models::{ImageSpec, ModelSpec, naflex};

/// Input of a network for each of the 256 values of red, green and blue.
type Levels = [[f32; 256]; 3];

/// The order and type of the pixels.
enum Form {
    /// All red values, then all green, then all blue.
    Planes(Box<Levels>),
    /// Red, green and blue of each pixel, as numbers that are brought to the range of the model.
    Pixels(Box<Levels>),
    /// The bytes themselves; the network brings them to the range of the model.
    Bytes { planes: bool },
}

/// A network with the input and output that are used.
pub(super) struct ImageTower {
    network: Arc<dyn Network>,
    input: String,
    form: Form,
    size: u32,
    takes_one: bool,
    output: Output,
}

/// Names of the input in exports.
const INPUTS: [&str; 4] = ["pixel_values", "image", "images", "input"];

impl ImageTower {
    pub(super) fn new(network: Arc<dyn Network>, spec: &ModelSpec) -> Result<Self, String> {
        let inputs = network.inputs();
        let names = || listed(inputs.iter().map(|port| &*port.name));
        if inputs.iter().any(|port| port.name == "spatial_shapes") {
            return Err(naflex::refusal("onnx-community/siglip2-base-patch16-256-ONNX"));
        }
        let takes_images = |port: &&Port| matches!(port.element, Element::F32 | Element::U8);
        let port = INPUTS.iter().find_map(|name| inputs.iter().filter(takes_images).find(|port| port.name == *name));
        let port = port.ok_or_else(|| {
            format!("it has the inputs {}; one of them must be {}", names(), listed(INPUTS.into_iter()))
        })?;
        let size = spec.image.preprocessing.size;
        let (takes_one, form) = (takes_one(port)?, form(port, &spec.image)?);
        let output = Output::choose(&*network, "image", spec.image_output)?;
        Ok(Self { input: port.name.clone(), form, size, takes_one, output, network })
    }

    /// Whether the network takes only one image in a run.
    pub(super) fn takes_one(&self) -> bool {
        self.takes_one
    }

    pub(super) fn dimension(&self) -> Option<usize> {
        self.output.dimension
    }

    /// Returns the output row of each image.
    pub(super) fn rows(&self, images: &[PreparedImage]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let side = self.size as usize;
        if let Some(other) = images.iter().find(|image| image.size != self.size || image.rgb.len() != side * side * 3) {
            let (given, wanted) = (other.size, self.size);
            return Err(EmbedError::Rejected(format!(
                "the image has {given} x {given} pixels; the model takes {wanted} x {wanted}"
            )));
        }
        let output = self.network.run(vec![(&self.input, self.tensor(images))], &self.output.name)?;
        Ok(self.output.vectors(&output, &[]))
    }

    fn tensor(&self, images: &[PreparedImage]) -> Input {
        let side = self.size as usize;
        let (planes, pixels) = ([images.len(), 3, side, side], [images.len(), side, side, 3]);
        match &self.form {
            Form::Planes(levels) => {
                let mut values = Vec::with_capacity(images.len() * 3 * side * side);
                for image in images {
                    for (channel, levels) in levels.iter().enumerate() {
                        values.extend(image.rgb[channel..].iter().step_by(3).map(|&value| levels[usize::from(value)]));
                    }
                }
                Input::F32(Tensor::from_data(&planes, values))
            }
            Form::Pixels(levels) => {
                let bytes = images.iter().flat_map(|image| image.rgb.iter().enumerate());
                let values: Vec<f32> = bytes.map(|(at, &value)| levels[at % 3][usize::from(value)]).collect();
                Input::F32(Tensor::from_data(&pixels, values))
            }
            Form::Bytes { planes: true } => {
                let channels = images.iter().flat_map(|image| (0..3).map(move |channel| (image, channel)));
                let values = channels.flat_map(|(image, channel)| image.rgb[channel..].iter().step_by(3).copied());
                Input::U8(Tensor::from_data(&planes, values.collect::<Vec<u8>>()))
            }
            Form::Bytes { planes: false } => {
                let values: Vec<u8> = images.iter().flat_map(|image| image.rgb.iter().copied()).collect();
                Input::U8(Tensor::from_data(&pixels, values))
            }
        }
    }
}

fn takes_one(port: &Port) -> Result<bool, String> {
    match port.shape.first().copied().flatten() {
        None => Ok(false),
        Some(1) => Ok(true),
        Some(other) => Err(format!("it takes exactly {other} images in a run; only 1 or any number is supported")),
    }
}

/// Reads the order and type of the pixels from the shape of the input, and compares the size.
fn form(port: &Port, image: &ImageSpec) -> Result<Form, String> {
    let size = image.preprocessing.size as usize;
    let (planes, sides): (bool, Vec<Option<usize>>) = match port.shape[..] {
        [_, height, width, Some(3)] => (false, vec![height, width]),
        [_, _, height, width] => (true, vec![height, width]),
        [] => (port.element == Element::F32, Vec::new()),
        _ => return Err(format!("its input `{}` has {} dimensions; it must have 4", port.name, port.shape.len())),
    };
    if let Some(other) = sides.iter().flatten().find(|side| **side != size) {
        return Err(format!("it takes images of {other} pixels, but its preprocessing makes {size}"));
    }
    let levels = || Box::new(levels(image));
    Ok(match (port.element, planes) {
        (Element::U8, planes) => Form::Bytes { planes },
        (_, true) => Form::Planes(levels()),
        (_, false) => Form::Pixels(levels()),
    })
}

/// Returns `(value * rescale - mean) / std` for each value of each channel.
fn levels(ImageSpec { mean, std, rescale, .. }: &ImageSpec) -> Levels {
    let level = |channel: usize| {
        std::array::from_fn(|value| {
            (u8::try_from(value).map_or(255.0, f32::from) * rescale - mean[channel]) / std[channel]
        })
    };
    std::array::from_fn(level)
}
