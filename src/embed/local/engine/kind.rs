//! The settings of the engine: which one runs the networks, and on which device.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::setting::keyword;

/// The inference engine (`CLIP_ENGINE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum EngineKind {
    /// rten, a part of this binary.
    #[default]
    Rten,
    /// ONNX Runtime, a library that is loaded at run time.
    OnnxRuntime,
}

impl EngineKind {
    /// Returns the name that settings, replies and logs use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rten => "rten",
            Self::OnnxRuntime => "onnxruntime",
        }
    }
}

impl TryFrom<String> for EngineKind {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        match keyword(&name).as_str() {
            "rten" => Ok(Self::Rten),
            "onnxruntime" => Ok(Self::OnnxRuntime),
            _ => Err("it must be `rten` or `onnxruntime`"),
        }
    }
}

impl From<EngineKind> for &'static str {
    fn from(kind: EngineKind) -> Self {
        kind.name()
    }
}

/// The device that runs the networks (`CLIP_DEVICE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The cores of this machine.
    #[default]
    Cpu,
    /// An NVIDIA GPU, by its number.
    Cuda(u8),
    /// The same, with a network that TensorRT compiles for it.
    TensorRt(u8),
    /// The GPU and the neural engine of an Apple computer.
    CoreMl,
}

impl Device {
    /// Whether it runs as many images as fit at once, in place of one for each core.
    pub(crate) fn is_accelerator(self) -> bool {
        self != Self::Cpu
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::TensorRt(number) => write!(f, "tensorrt:{number}"),
            Self::CoreMl => f.write_str("coreml"),
        }
    }
}

impl TryFrom<String> for Device {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let text = keyword(&text);
        let (name, number) = text.split_once(':').map_or((&*text, None), |(name, number)| (name, Some(number)));
        let number = number.map_or(Ok(0), str::parse);
        match (name, number) {
            ("cpu", _) if text == name => Ok(Self::Cpu),
            ("coreml", _) if text == name => Ok(Self::CoreMl),
            ("cuda", Ok(number)) => Ok(Self::Cuda(number)),
            ("tensorrt", Ok(number)) => Ok(Self::TensorRt(number)),
            _ => Err(
                "it must be `cpu`, `cuda`, `tensorrt` or `coreml`, with the number of the GPU if it is not 0: `cuda:1`",
            ),
        }
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_a_number_only_if_there_may_be_several() {
        let parse = |text: &str| Device::try_from(text.to_owned()).map(|device| device.to_string());
        for (text, expected) in [
            ("cpu", "cpu"),
            ("cuda", "cuda:0"),
            ("cuda:3", "cuda:3"),
            ("CUDA", "cuda:0"),
            ("tensorrt:1", "tensorrt:1"),
            ("coreml", "coreml"),
        ] {
            assert_eq!(parse(text).unwrap(), expected);
        }
        for text in ["gpu", "", "cpu:0", "coreml:1", "cuda:", "cuda:-1", "cuda:256", "cuda:1:2"] {
            assert!(parse(text).unwrap_err().contains("`cuda:1`"), "{text}");
        }
    }
}
